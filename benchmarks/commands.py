"""How long ``connectorctl status`` takes with all of its imports, against a real daemon: the budget is 150 ms.

``python benchmarks/commands.py``. Processor time is what tells on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
from connectord.testing.daemon_process import DaemonProcess


def measure(command: list[str], rounds: int) -> tuple[float, float, float]:
    """The least and the median wall-clock time, and the mean processor time, in milliseconds."""
    walls = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        walls.append((time.perf_counter() - began) * 1000)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return min(walls), statistics.median(walls), used * 1000 / rounds


async def main(rounds: int) -> None:
    """Start a daemon, and print a line for each command."""
    with tempfile.TemporaryDirectory() as directory:
        daemon = DaemonProcess(Path(directory))
        systems = "".join(
            f'[systems.s{number}]\nadapter = "http"\n[systems.s{number}.http]\nurl = "http://127.0.0.1:9/"\n'
            for number in range(20)
        )
        daemon.configure(daemon.head() + systems)
        await daemon.start()
        try:
            control = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket)]
            for name, command in (
                ("python alone", [sys.executable, "-c", "pass"]),
                ("import click", [sys.executable, "-c", "import click"]),
                ("connectorctl --help", [*control, "--help"]),
                ("connectorctl status", [*control, "status"]),
                ("connectorctl list", [*control, "list"]),
            ):
                least, median, used = measure(command, rounds)
                print(f"{name:20}  least {least:5.0f} ms   median {median:5.0f} ms   processor {used:5.0f} ms")
        finally:
            await daemon.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    trio.run(main, parser.parse_args().rounds)
