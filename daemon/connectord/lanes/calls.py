"""Calling an adapter: with a time limit, and so that whatever it does costs no more than this call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
import trio

from connectord.adapters import Adapter, NotConnected
from connectord.guards.faults import leaf_of, message_of, reraise_cancelled
from connectord.lanes.faults import fault_words, place_of

T = TypeVar("T")
LONGEST_WISH_SECONDS = 366 * 86_400.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call brought no answer. ``fault`` says that it is the adapter's own.

    ``outcome_unknown``: the system may have got what was sent all the same.
    """

    message: str
    retry_after_ms: int | None = None
    fault: bool = False
    outcome_unknown: bool = False


async def call_adapter(
    call: Callable[[], Awaitable[Any]],
    read: Callable[[Any], T],
    *,
    adapter: type[Adapter],
    method: str,
    system: str,
    limit_seconds: float | None,
    **about: object,
) -> T | Trouble:
    """What ``read`` makes of what ``call`` returns, or why there is nothing to read.

    What ``read`` raises counts as the adapter's fault too: it returned rubbish. ``method`` is what is called, and
    ``about`` what it is called for, for the log. Where ``limit_seconds`` is None, somebody else cancels what is late.
    Raises only :class:`trio.Cancelled`.
    """
    try:
        if limit_seconds is None:
            return read(await call())
        with trio.CancelScope(deadline=trio.current_time() + limit_seconds):
            return read(await call())
        return no_answer(limit_seconds)
    except BaseException as error:  # noqa: BLE001 - a plugin's fault costs this call and no more
        reraise_cancelled(error)
        leaf = leaf_of(error)
        if isinstance(leaf, NotConnected):
            return Trouble(
                message_of(leaf) or "not connected",
                retry_after_ms(leaf.retry_after_seconds),
                outcome_unknown=leaf.outcome_unknown is True,
            )
        return tell_fault(error, adapter=adapter, method=method, system=system, **about)


def tell_fault(error: BaseException, *, adapter: type[Adapter], method: str, system: str, **about: object) -> Trouble:
    """What a call came to in which the adapter did something wrong, once it is in the log."""
    log.error(
        "adapter fault",
        system=system,
        adapter=adapter.name,
        method=method,
        at=place_of(error, adapter, method),
        exc_info=error,
        **about,
    )
    return Trouble(fault_words(error, adapter, method), fault=True)


def no_answer(limit_seconds: float) -> Trouble:
    """What a call came to whose time was up."""
    return Trouble(f"no answer within {limit_seconds:g} s", outcome_unknown=True)


def retry_after_ms(wish_seconds: object) -> int | None:
    """``Retry-After`` as an adapter gave it, in whole milliseconds; None where it is no number, or none was given."""
    if not isinstance(wish_seconds, int | float):
        return None
    try:
        return int(min(max(wish_seconds, 0.0), LONGEST_WISH_SECONDS) * 1000)
    except ValueError:  # nan
        return None
