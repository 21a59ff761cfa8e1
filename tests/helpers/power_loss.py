"""A disk as a power loss leaves it: what was synced is there; of the rest any part may be.

A write that was not synced may be there, not be there, or be there in part, sector by sector; so may a truncation; and
so may every change of a directory that was not synced. Nothing is assumed of the order, as POSIX promises none.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from helpers.syscalls import Argument, SystemCall

SECTORS = (512, 4096)
IGNORED = ("-shm",)
"""SQLite's index of the WAL: it is shared memory, made anew by whoever opens the database first."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place; ``data`` is None for a truncation to ``offset``."""

    offset: int
    data: bytes | None


@dataclass(eq=False, slots=True)
class File:
    """One file: what is on disk for good, and what is not yet."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of the directory: ``name`` is that file from now on, or nothing."""

    name: str
    file: File | None


Image = dict[str, bytes]
"""The files of the directory, by name. None of them: the directory itself may be gone."""


class Disk:
    """One directory, driven by system calls."""

    def __init__(self, directory: Path) -> None:
        self._directory = PurePosixPath(directory)
        self._names: dict[str, File] = {}
        self._durable_names: dict[str, File] = {}
        self._entries: list[Entry] = []
        self._directory_is_durable = False
        self._covered: dict[str, set[int]] = {}
        self.synced = 0
        """How often something was synced."""

    def apply(self, call: SystemCall) -> bool:
        """Let a system call happen; whether it concerned the directory."""
        arguments = call.arguments
        match call.name:
            case "openat" | "open" | "creat":
                return self._open(call)
            case "pwrite64":
                return self._write(arguments[0], int(arguments[3].text), arguments[1].data, call.result)
            case "write":
                file = self._file(arguments[0].path)
                return file is not None and self._write(arguments[0], file.size, arguments[1].data, call.result)
            case "ftruncate":
                return self._truncate(self._file(arguments[0].path), int(arguments[1].text))
            case "fsync" | "fdatasync":
                return self._sync(call)
            case "unlink" | "unlinkat":
                return self._remove(_last_string(arguments))
            case "link" | "linkat" | "rename" | "renameat" | "renameat2":
                return self._link(call)
            case "mkdir" | "mkdirat" | "sendto" | "sendmsg" | "recvfrom":
                return False
            case name:
                touched = [argument.path or argument.data for argument in arguments]
                if any(self._name(_text(item)) for item in touched if item):
                    raise NotImplementedError(f"{name} on the directory: the model of the disk does not know it")
                return False

    def after_power_loss(self, rng: random.Random, keep: float) -> Image:
        """What the directory may hold if the power goes now. ``keep`` is the chance of what was not synced: 0 to 1."""
        names = dict(self._durable_names)
        if not self._directory_is_durable and not _chance(rng, keep):
            return {}
        for entry in self._entries:
            if _chance(rng, keep):
                if entry.file is None:
                    names.pop(entry.name, None)
                else:
                    names[entry.name] = entry.file
        return {name: _content(file, rng, keep) for name, file in names.items()}

    def without(self, index: int) -> Image | None:
        """Everything kept but the ``index``-th unsynced write of all; None where there are not so many."""
        writes = [(file, number) for file in self._names.values() for number in range(len(file.pending))]
        if index >= len(writes):
            return None
        lost, number = writes[index]
        return {
            name: _apply(file.durable, [w for n, w in enumerate(file.pending) if (file, n) != (lost, number)])
            for name, file in self._names.items()
        }

    def _name(self, path: str | None) -> str | None:
        if path is None:
            return None
        place = PurePosixPath(path)
        if place.parent != self._directory or place.name.endswith(IGNORED):
            return None
        return place.name

    def _file(self, path: str | None) -> File | None:
        name = self._name(path)
        return None if name is None else self._names.get(name)

    def _open(self, call: SystemCall) -> bool:
        path = call.path or _text(_last_string(call.arguments))
        name = self._name(path)
        flags = " ".join(argument.text for argument in call.arguments)
        if name is None or "O_CREAT" not in flags:
            return False
        if name in self._names:
            return False
        self._names[name] = file = File()
        self._entries.append(Entry(name, file))
        return True

    def _write(self, target: Argument, offset: int, data: bytes | None, length: int) -> bool:
        file = self._file(target.path)
        if file is None or data is None:
            return False
        file.pending.append(Write(offset, data[:length]))
        file.size = max(file.size, offset + length)
        return True

    def _truncate(self, file: File | None, size: int) -> bool:
        if file is None:
            return False
        file.pending.append(Write(size, None))
        file.size = size
        return True

    def _sync(self, call: SystemCall) -> bool:
        path = call.arguments[0].path
        if path is None:
            return False
        place = PurePosixPath(path)
        if place == self._directory.parent:
            self._directory_is_durable = True
        elif place == self._directory:
            self._durable_names = dict(self._names)
            self._entries.clear()
        else:
            file = self._file(path)
            if file is None:
                return False
            if call.begins:
                self._covered[call.thread] = set(map(id, file.pending))
                return False
            # what another thread wrote while it was under way may not be in it
            covered = self._covered.pop(call.thread, None)
            synced = [write for write in file.pending if covered is None or id(write) in covered]
            file.durable = bytearray(_apply(file.durable, synced))
            del file.pending[: len(synced)]
        self.synced += 1
        return True

    def _remove(self, path: bytes) -> bool:
        name = self._name(_text(path))
        if name is None or self._names.pop(name, None) is None:
            return False
        self._entries.append(Entry(name, None))
        return True

    def _link(self, call: SystemCall) -> bool:
        old, new = (self._name(_text(item.data)) for item in call.arguments if item.data is not None)
        if old is None or new is None:
            return False
        file = self._names[old]
        self._names[new] = file
        self._entries.append(Entry(new, file))
        if call.name.startswith("rename"):
            del self._names[old]
            self._entries.append(Entry(old, None))
        return True


def _content(file: File, rng: random.Random, keep: float) -> bytes:
    kept: list[Write] = []
    for write in file.pending:
        if keep in (0.0, 1.0) or write.data is None:
            if _chance(rng, keep):
                kept.append(write)
            continue
        fate = rng.random()
        if fate < keep * 0.7:
            kept.append(write)
        elif fate < keep:
            kept.extend(_torn(write, rng))
    return _apply(file.durable, kept)


def _torn(write: Write, rng: random.Random) -> Iterator[Write]:
    """Some sectors of a write, as they lie on the disk."""
    data, sector = write.data or b"", rng.choice(SECTORS)
    start = 0
    while start < len(data):
        end = min(len(data), start + sector - (write.offset + start) % sector)
        if rng.random() < 0.5:
            yield Write(write.offset + start, data[start:end])
        start = end


def _apply(durable: bytes | bytearray, writes: list[Write]) -> bytes:
    content = bytearray(durable)
    for write in writes:
        if write.data is None:
            del content[write.offset :]
            content.extend(bytes(write.offset - len(content)))
        else:
            content.extend(bytes(max(0, write.offset - len(content))))
            content[write.offset : write.offset + len(write.data)] = write.data
    return bytes(content)


def _chance(rng: random.Random, keep: float) -> bool:
    return keep >= 1.0 or (keep > 0.0 and rng.random() < keep)


def _last_string(arguments: tuple[Argument, ...]) -> bytes:
    return [argument.data for argument in arguments if argument.data is not None][-1]


def _text(data: bytes | str | None) -> str | None:
    return data.decode() if isinstance(data, bytes) else data
