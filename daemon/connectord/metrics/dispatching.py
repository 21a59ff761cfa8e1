"""Counting the requests of the control socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import Any, TypeAlias

import trio

from connectord.control.methods import Caller
from connectord.control.protocol import Notify
from connectord.measures import ControlMeasures

Dispatch: TypeAlias = Callable[[Caller, str, dict[str, Any], Notify], Awaitable[Any]]

OTHER_METHOD = "(other)"
"""What is counted for a method that connectord does not have itself: anybody may ask for any name."""

_ENDLESS = "watch"


def measured(dispatch: Dispatch, methods: Container[str], measures: ControlMeasures) -> Dispatch:
    """``dispatch``, with every request counted under its method. A stream that goes on until its reader leaves has no
    time that says anything, and is left out."""

    async def count(caller: Caller, method: str, params: dict[str, Any], notify: Notify) -> Any:
        if method == _ENDLESS:
            return await dispatch(caller, method, params, notify)
        failed, began_at = True, trio.current_time()
        try:
            result = await dispatch(caller, method, params, notify)
            failed = False
        finally:
            name = method if method in methods else OTHER_METHOD
            measures.count(name, trio.current_time() - began_at, failed=failed)
        return result

    return count
