"""What a process holds at one moment: what an adapter took and did not give back is the difference of two."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from connectord.testing.fake_system import FakeSystem

_PROCESSES = Path("/proc")
_DESCRIPTORS = Path("/proc/self/fd")
# trio keeps threads that wait for work, by this name
_IDLE_THREAD = "Trio thread"


@dataclass(frozen=True, slots=True)
class Resources:
    """File descriptors with what they are, threads, tasks of trio, and child processes; by their identities."""

    files: dict[int, str]
    threads: dict[int, str]
    tasks: dict[int, str]
    children: dict[int, str]

    @classmethod
    def now(cls, system: FakeSystem | None = None) -> Resources:
        """What there is now, without what belongs to ``system``. To be called in trio."""
        return cls(
            files=_files(frozenset() if system is None else system.filenos()),
            threads={
                thread.ident or 0: thread.name
                for thread in threading.enumerate()
                if not thread.name.startswith(_IDLE_THREAD)
            },
            tasks={id(task): task.name for task in _tasks(None if system is None else system.nursery)},
            children=_children(),
        )

    def since(self, before: Resources) -> list[str]:
        """What is here and was not there, in words."""
        pairs = (
            ("file descriptor", self.files, before.files),
            ("thread", self.threads, before.threads),
            ("task", self.tasks, before.tasks),
            ("child process", self.children, before.children),
        )
        return [
            f"{kind} ({name})" for kind, mine, theirs in pairs for key, name in mine.items() if theirs.get(key) != name
        ]


async def left_behind(before: Resources, system: FakeSystem | None, *, patience_seconds: float = 0.5) -> list[str]:
    """What is still there, compared with ``before``, once everything had a moment to end."""
    with trio.move_on_after(patience_seconds):
        while Resources.now(system).since(before):
            await trio.sleep(0.01)
    return Resources.now(system).since(before)


@contextmanager
def collected_by_accident() -> Generator[list[str], None, None]:
    """What the garbage collector had to close in this block because nobody else did, in words, once it has ended."""
    found: list[str] = []
    gc.collect()  # what others left is not ours
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield found
        gc.collect()
    found += [str(each.message)[:200] for each in caught if issubclass(each.category, ResourceWarning)]


def _files(without: frozenset[int]) -> dict[int, str]:
    found = {}
    for path in _DESCRIPTORS.iterdir():
        number = int(path.name)
        try:
            target = str(path.readlink())
        except OSError:
            continue  # the one that lists the directory
        if number not in without and target != f"/proc/{os.getpid()}/fd":
            found[number] = target
    return found


def _tasks(without: trio.Nursery | None) -> Iterator[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in task.child_nurseries:
            if nursery is not without:
                waiting.extend(nursery.child_tasks)


def _children() -> dict[int, str]:
    found = {}
    for path in _PROCESSES.iterdir():
        if not path.name.isdigit():
            continue
        try:
            head, _, rest = (path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:
            continue  # it has ended meanwhile
        if int(rest.split()[1]) == os.getpid():
            found[int(path.name)] = head.partition("(")[2]
    return found
