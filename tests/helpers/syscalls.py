"""What a daemon did to its files and sockets, system call by system call, as strace saw it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRACED = (
    "openat,open,creat,write,pwrite64,pwritev,pwritev2,writev,ftruncate,truncate,fsync,fdatasync,sync_file_range,fallocate,"
    "unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,rmdir,sendto,sendmsg,recvfrom"
)
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?(?: .*)?$", re.S)
_ARGUMENT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"|([\w|.-]+)(?:<((?:\\x[0-9a-f]{2})*)>)?|([^,\s"][^,]*)')
_PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: bytes of a string, or the text of anything else, with the path behind a file descriptor."""

    text: str
    data: bytes | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A call that succeeded; ``result`` is what it returned, ``path`` the file behind a returned descriptor.

    A sync during which other threads go on has two: the first, with ``begins``, where it begins.
    """

    name: str
    arguments: tuple[Argument, ...]
    result: int
    path: str | None
    thread: str = ""
    begins: bool = False


def recording(output: Path) -> list[str]:
    """The command that runs a program and records its calls into ``output``; the process is the program itself."""
    return [
        "strace", "-D", "-f", "-qq", "-y", "-xx", "-s", "4194304", "-e", f"trace={TRACED}", "-o", str(output)
    ]  # fmt: skip


def read_calls(output: Path) -> Iterator[SystemCall]:
    """The calls in their order: one that sends counts when it begins, any other when it has ended."""
    _wait_for_the_end(output)
    begun: dict[str, str] = {}
    for line in output.read_text(encoding="ascii").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        thread, text = match.groups()
        if text.endswith("<unfinished ...>"):
            text = text.removesuffix("<unfinished ...>").rstrip()
            if text.startswith("send"):
                # its first byte may be out: what it says has to be true from here on
                yield from _parse(text + ") = 0", thread)
            else:
                begun[thread] = text
                if text.startswith(("fsync", "fdatasync")):
                    yield from _parse(text + ") = 0", thread, begins=True)
            continue
        if text.startswith("<... "):
            head = begun.pop(thread, None)
            if head is None:
                continue
            text = head + text.split(" resumed>", 1)[1]
        yield from _parse(text, thread)


def _parse(text: str, thread: str, *, begins: bool = False) -> Iterator[SystemCall]:
    match = _CALL.fullmatch(text)
    if match is None:
        return
    name, arguments, result, path = match.groups()
    if int(result) < 0:
        return
    found = []
    for data, word, behind, other in _ARGUMENT.findall(arguments):
        found.append(Argument(word or other, _bytes(data) if not word and not other else None, _path(behind)))
    yield SystemCall(name, tuple(found), int(result), _path(path), thread, begins)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str | None) -> str | None:
    return _bytes(text).decode() if text else None


def _wait_for_the_end(output: Path) -> None:
    # strace is nobody's child here: it ends a moment after the program
    size, deadline = -1, time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        fresh = output.stat().st_size
        if fresh == size:
            return
        size = fresh
        time.sleep(0.3)
