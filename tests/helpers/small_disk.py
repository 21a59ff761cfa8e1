"""A disk that can be full: a tmpfs of a few megabytes. Only root can mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(directory: Path, kibibytes: int) -> Iterator[Path]:
    """Mount it at ``directory`` until the block ends. The test is skipped where that is not allowed."""
    directory.mkdir(mode=0o700)
    options = f"size={kibibytes}k,mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "connectord-test", str(directory)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"a tmpfs cannot be mounted: {done.stderr.strip()}"
        if os.geteuid() == 0 and os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room at all; the file that takes it."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for piece in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError:
                continue
    return filler
