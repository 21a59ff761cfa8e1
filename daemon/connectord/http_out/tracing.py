"""The ``trace`` extension of a request: httpcore's events under httpcore's names, for those who watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import trio

Trace: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[None]]
Result = TypeVar("Result")


async def observe(trace: Trace | None, name: str, step: Callable[[], Awaitable[Result]], **info: Any) -> Result:
    """Do ``step`` and tell ``trace`` before and after it."""
    if trace is None:
        return await step()
    await trace(f"{name}.started", info)
    try:
        result = await step()
    except BaseException as error:
        with trio.CancelScope(shield=True):
            await trace(f"{name}.failed", {"exception": error})
        raise
    await trace(f"{name}.complete", {"return_value": result})
    return result
