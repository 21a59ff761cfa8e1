"""The service manager's watchdog: fed only while the ledger's writer and every lane answer.

A timer would feed it while the one writer hangs. So each time the writer does an empty transaction, and each lane's
loops come round. Who does not answer is named in the log; the service manager ends the process in the end, and what
was under way is settled at the next start (rule 14).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import structlog
import trio

from connectord import systemd
from connectord.errors import StoreError
from connectord.lanes.lane import Lane
from connectord.ledger.ledger import Ledger

QUESTIONS_WITHIN_LIMIT: Final = 3
"""How often is asked within the time that the service manager gives: one answer may fail to come without harm."""

_GLANCE_SECONDS: Final = 0.05

log = structlog.get_logger()


async def feed_watchdog(seconds: float, ledger: Ledger, lanes: Callable[[], Collection[Lane]]) -> None:
    """Tell the service manager that all is well, as long as it is; runs until cancelled.

    ``seconds`` is how long it waits for a sign of life. ``lanes`` are the ones that must answer at the moment.
    """
    period = seconds / QUESTIONS_WITHIN_LIMIT
    was_silent: list[str] = []
    while True:
        next_at = trio.current_time() + period
        silent = await find_silent(period * 0.8, ledger, lanes)
        if silent:
            log.critical("no answer: the watchdog is not fed", silent=silent, killed_after_seconds=seconds)
            systemd.notify_status(f"no answer from {', '.join(silent)}; the watchdog is not fed")
        else:
            if was_silent:
                log.warning("all answer again", were_silent=was_silent)
                systemd.notify_status("all answer again")
            systemd.notify("WATCHDOG=1")
        was_silent = silent
        await trio.sleep_until(next_at)


async def find_silent(patience: float, ledger: Ledger, lanes: Callable[[], Collection[Lane]]) -> list[str]:
    """Ask the ledger's writer and every lane; who has not answered after ``patience`` seconds, at most."""
    deadline = trio.current_time() + patience
    with trio.move_on_at(deadline) as asking:
        await _ask_writer(ledger)
    if asking.cancelled_caught:
        return ["the ledger's writer"]
    if ledger.waits_for_room:
        # lanes wait for room on the disk in the midst of what they do: nothing is wrong with them
        return []
    for lane in lanes():
        lane.ask()
    while (silent := [lane.name for lane in lanes() if lane.is_silent]) and trio.current_time() < deadline:
        await trio.sleep(min(_GLANCE_SECONDS, max(deadline - trio.current_time(), 0.001)))
    return [f"the lane {name}" for name in silent]


async def _ask_writer(ledger: Ledger) -> None:
    try:
        await ledger.ask_writer()
    except StoreError:
        return  # an answer, too; where it is one that the daemon must not go on from, the ledger ends it
