"""``connectord demo``: the main job in front of one's eyes, with nothing to set up."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import trio

from connectord.cli.demo.screen import LiveScreen, PlainScreen
from connectord.cli.demo.story import tell

TIME_LIMIT_SECONDS = 58


def run_demo() -> int:
    """Run the demo; 0 if every outcome was the expected one, 1 if not."""
    screen = LiveScreen() if sys.stdout.isatty() else PlainScreen()
    with tempfile.TemporaryDirectory(prefix="connectord-demo-") as directory:
        return trio.run(_run, Path(directory), screen)


async def _run(directory: Path, screen: PlainScreen | LiveScreen) -> int:
    with trio.move_on_after(TIME_LIMIT_SECONDS) as scope:
        await tell(directory, screen)
    if scope.cancelled_caught:
        screen.check("-", "the demo ends in time", ok=False)
    return screen.finish()
