"""`connectord demo`: the main job, with nothing to set up."""

from __future__ import annotations

import re
import subprocess
import sys

import trio


async def test_every_outcome_of_the_demo_is_the_expected_one() -> None:
    with trio.fail_after(120):
        done = await trio.run_process(
            [sys.executable, "-m", "connectord.cli.daemon", "demo"],
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    printed = done.stdout.decode()
    assert done.returncode == 0, printed + done.stderr.decode()
    found = re.search(r"(\d+) as expected, (\d+) not", printed)
    assert found is not None, printed
    assert (int(found[1]) > 20, int(found[2])) == (True, 0)
