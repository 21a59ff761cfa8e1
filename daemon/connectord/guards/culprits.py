"""Whose code a stack is in: a plugin's, connectord's own, or a library's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TypeAlias

import trio

OURSELVES = "connectord itself"

Packages: TypeAlias = Callable[[], Mapping[str, str]]
"""The plugins that are loaded: their packages, and how to name each plugin."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who runs, as far as a stack tells.

    ``package`` is None where it is no plugin's code. ``at`` is ``file:line``. ``system`` is whose adapter it is, where
    the stack shows it.
    """

    name: str
    at: str
    package: str | None = None
    system: str | None = None

    def __str__(self) -> str:
        return f"{self.name}, {self.at}"


def package_of(module: str) -> str:
    """The package that a module counts as: the topmost one; for one of ours the module itself."""
    # our own adapters would otherwise claim every frame of the daemon
    return module if module.partition(".")[0] == "connectord" else module.partition(".")[0]


def module_of(frame: FrameType) -> str:
    """The name of the module that a frame's code stands in."""
    return str(frame.f_globals.get("__name__", ""))


def culprit_of(frames: Iterable[tuple[FrameType, int]], packages: Mapping[str, str]) -> Culprit | None:
    """Who runs in a stack, given with its innermost frame first; None for an empty one.

    It is the innermost frame of a plugin's package; where there is none, whoever the innermost frame belongs to.
    """
    innermost: tuple[FrameType, int] | None = None
    found: Culprit | None = None
    ours = False
    for frame, line in frames:
        module = module_of(frame)
        innermost = innermost or (frame, line)
        ours = ours or module.partition(".")[0] == "connectord"
        package = package_of(module)
        if found is None and package in packages:
            found = Culprit(packages[package], f"{frame.f_code.co_filename}:{line}", package)
        if frame.f_code.co_name == "call_adapter" and module == "connectord.lanes.calls":
            system = frame.f_locals.get("system")
            if found is not None and isinstance(system, str):
                return Culprit(found.name, found.at, found.package, system)
    if found is not None or innermost is None:
        return found
    frame, line = innermost
    name = OURSELVES if ours else f"the library {module_of(frame).partition('.')[0]}"
    return Culprit(name, f"{frame.f_code.co_filename}:{line}")


def running_culprit(thread: int, packages: Mapping[str, str]) -> Culprit | None:
    """Who runs in a thread right now."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
    return culprit_of(_outwards(frame), packages)


def waiting_culprits(packages: Mapping[str, str]) -> list[Culprit]:
    """Whose tasks are waiting in a plugin's code. To be called in the loop's thread."""
    found: dict[str, Culprit] = {}
    root = trio.lowlevel.current_root_task()
    tasks = [] if root is None else [root]
    while tasks:
        task = tasks.pop()
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        culprit = task_culprit(task, packages)
        if culprit is not None and culprit.package is not None:
            found[culprit.at] = culprit
    return list(found.values())


def task_culprit(task: trio.lowlevel.Task, packages: Mapping[str, str]) -> Culprit | None:
    """Whose code a task waits in."""
    return culprit_of(reversed(list(task.iter_await_frames())), packages)


def _outwards(frame: FrameType | None) -> Iterable[tuple[FrameType, int]]:
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back
