"""Who blocks the event loop is seen from outside of it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
import trio
from connectord.guards.culprits import OURSELVES, culprit_of, package_of, task_culprit, waiting_culprits
from connectord.guards.loop_watch import Block, LoopWatch
from structlog.testing import capture_logs

ME = {package_of(__name__): "the test"}


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines  # type: ignore[misc]


async def rounds() -> None:
    """Long enough for the watch to ask a few times."""
    await trio.sleep(0.05)


def block_here(seconds: float) -> None:
    time.sleep(seconds)


def work_here() -> None:
    # keeps the interpreter's lock in one call: nobody can look until it returns
    re.match(r"(a+)+$", "a" * 24 + "b")


async def test_a_block_is_named_once_while_it_lasts_and_told_when_it_is_over(log) -> None:
    told: list[Block] = []
    watch = LoopWatch(lambda: ME, told.append)
    watch.set_limit(100)
    with watch.watching():
        await rounds()
        block_here(1.5)
        await rounds()
    block = watch.longest
    assert block is not None
    assert block in told
    assert block.culprit is not None
    assert block.culprit.name == "the test"
    assert Path(block.culprit.at.rpartition(":")[0]) == Path(__file__)
    lines = [line["event"] for line in log if line["at"] == block.culprit.at]
    assert lines == ["the event loop is blocked", "the event loop goes on"]


async def test_a_block_in_code_that_keeps_the_interpreters_lock_is_told_too(log) -> None:
    # by whom can be seen only if the thread is quick when the lock is free again: a busy machine decides that
    told: list[Block] = []
    watch = LoopWatch(lambda: ME, told.append)
    watch.set_limit(100)
    with watch.watching():
        await rounds()
        began = time.monotonic()
        work_here()
        seconds = time.monotonic() - began
        await rounds()
    assert watch.longest is not None
    assert watch.longest in told
    assert watch.longest.seconds >= seconds / 2


@pytest.mark.parametrize("limit", [60_000, None])
async def test_nothing_is_told_below_the_limit(limit: int | None, log) -> None:
    told: list[Block] = []
    watch = LoopWatch(dict, told.append)
    watch.set_limit(limit)
    with watch.watching():
        await trio.sleep(0.3)
        block_here(0.3)
        await trio.sleep(0.3)
    assert (watch.longest is None) == (limit is None)
    assert (told, log) == ([], [])


async def test_no_thread_is_left() -> None:
    before = threading.active_count()
    watch = LoopWatch(dict, lambda block: None)
    with watch.watching():
        assert threading.active_count() == before + 1
        await rounds()
    assert threading.active_count() == before


def frame(module: str, line: int, function: str = "f", **local: object) -> tuple[object, int]:
    code = SimpleNamespace(co_filename=f"/{module.replace('.', '/')}.py", co_name=function)
    return SimpleNamespace(f_globals={"__name__": module}, f_code=code, f_locals=local), line


PACKAGES = {"acme": "plugin 'acme'"}


def test_it_is_the_innermost_frame_of_a_plugin_and_the_system_of_the_lanes_call() -> None:
    stack = [
        frame("time", 1),
        frame("acme.deep", 2),
        frame("acme", 3),
        frame("connectord.lanes.calls", 4, "call_adapter", system="erp"),
        frame("trio._core", 5),
    ]
    culprit = culprit_of(stack, PACKAGES)  # type: ignore[arg-type]
    assert culprit is not None
    assert (culprit.name, culprit.at, culprit.system) == ("plugin 'acme'", "/acme/deep.py:2", "erp")


@pytest.mark.parametrize(
    ("stack", "name"),
    [
        ([frame("sqlite3.x", 1), frame("connectord.store.base", 2)], OURSELVES),
        ([frame("trio._core", 1), frame("trio", 2)], "the library trio"),
    ],
)
def test_where_no_plugin_runs_it_is_connectord_or_a_library(stack, name: str) -> None:
    culprit = culprit_of(stack, PACKAGES)
    assert culprit is not None
    assert (culprit.name, culprit.package) == (name, None)
    assert culprit_of([], PACKAGES) is None


async def test_waiting_tasks_are_named_by_the_line_they_wait_at() -> None:
    async def wait() -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await rounds()
        (task,) = nursery.child_tasks
        culprit = task_culprit(task, ME)
        assert culprit is not None
        assert culprit.at == f"{__file__}:{wait.__code__.co_firstlineno + 1}"
        assert culprit in waiting_culprits(ME)
        nursery.cancel_scope.cancel()
