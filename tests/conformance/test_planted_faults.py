"""The kit fails an adapter with a planted fault, names what is wrong, and passes its healthy sibling."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# what fails, section by section; and words that name the fault
PLANTED = {
    "swallows": ({"cancelled at every await", "killed at every await"}, "trigger() swallowed the cancellation"),
    "leaks-connection": ({"cancelled at every await"}, "leaked, until the garbage collector came: unclosed <socket"),
    "leaks-task": ({"cancelled at every await"}, "leaves more behind: task (trio.sleep_forever)"),
    "leaks-thread": ({"cancelled at every await"}, "leaves more behind: thread (leaked)"),
    "new-key": ({"the same key on every attempt", "killed at every await"}, "bears call.idempotency_key (rule 14)"),
    "taken": ({"slow and broken peers"}, "status 503: trigger() returned Taken(reference=None); that is a failed conn"),
    "hangs": ({"slow and broken peers", "jumps of the wall clock"}, "it hangs on a slow peer"),
    "blocks": ({"does not hold up the event loop"}, "planted.py:"),
    "raises-on-callback": ({"early, late, duplicate and forged callbacks"}, "read_callback() raised KeyError"),
    "accepts-forged": ({"early, late, duplicate and forged callbacks"}, "a forged callback is accepted: another body"),
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one plain pytest prints for all of them."""
    directory = tmp_path_factory.mktemp("kit")
    (directory / "test_planted.py").write_text((HERE / "planted.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, f"--rootdir={directory}", str(directory)], capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def failed_sections(printed: str, adapter: str) -> set[str]:
    _, _, rest = printed.partition(f" conformance of the adapter {adapter} ==")
    report = rest.partition("\ngrade ")[0]
    assert report, printed
    return {match.strip() for match in re.findall(r"^(\S.*?) +FAILED", report, re.M)}


def test_the_healthy_sibling_passes(printed: str) -> None:
    assert failed_sections(printed, "healthy") == set()
    assert "TestHealthy." not in printed.partition("FAILURES")[2].partition("conformance of")[0]


@pytest.mark.parametrize("adapter", PLANTED)
def test_the_kit_fails_and_names(adapter: str, printed: str) -> None:
    sections, words = PLANTED[adapter]
    failed = failed_sections(printed, adapter)
    # what blocks the loop is slow for everybody: other sections may run out of time with it
    assert failed >= sections if adapter == "blocks" else failed == sections
    assert words in printed
