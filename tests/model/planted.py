"""Whether the comparison would see a bug: each of these is planted in a copy of the lifecycle and must be caught.

``python -m model.planted`` in tests/ plants one after the other, and fails if one is missed; names choose some of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = os.environ.get("MODEL_EXAMPLES", "150")
"""How many a bug has to be caught by, always the same ones."""
TESTS = Path(__file__).parents[1]
SAID = re.compile(r"E\s+(\S*AssertionError: .*(the rules say|No further tries|Tried)|\S*(BrokenRule|DaemonEnded): )")
"""What a difference between both looks like in pytest's report."""
DAEMON = TESTS.parent / "daemon" / "connectord"
LIFECYCLE = DAEMON / "lifecycle"


@dataclass(frozen=True)
class Bug:
    """What is replaced by what in one file of the lifecycle."""

    file: str
    right: str
    wrong: str

    def plant(self, text: str) -> str:
        """The file's text with the bug in it. Raises :class:`ValueError` where there is no place for it."""
        if self.right not in text:
            raise ValueError(f"{self.file} does not say {self.right!r} any more")
        return text.replace(self.right, self.wrong)


BUGS = {
    "one-try-too-many": Bug(
        "steps.py",
        "0 < moment.policy.retry.limit <= action.attempts",
        "0 < moment.policy.retry.limit < action.attempts",
    ),
    "manual-retry-not-counted": Bug(
        "steps.py",
        "number = action.attempts + 1\n",
        "number = action.attempts + (0 if action.manual and action.attempts else 1)\n",
    ),
    "manual-retry-moves-the-schedule": Bug(
        "steps.py", "if action.manual and action.scheduled_at is not None:", "if False:"
    ),
    "retry-after-ignored": Bug(
        "steps.py",
        "due_at = respect_retry_after(due_at, moment.now, event.retry_after_ms)\n    return replace(failed",
        "return replace(failed",
    ),
    "jitter-takes-away": Bug("retry.py", "policy.jitter * draw", "-policy.jitter * draw"),
    "backoff-starts-too-late": Bug("steps.py", "step = action.backoff_step + 1", "step = action.backoff_step + 2"),
    "owner-not-told-of-rule-9": Bug("steps.py", "(NotifyOwner(Notice.ATTEMPTS_EXHAUSTED),)", "()"),
    "owner-told-of-rule-20": Bug(
        "steps.py", "reason=Reason.TIMEOUT), ()", "reason=Reason.TIMEOUT), (NotifyOwner(Notice.ATTEMPTS_EXHAUSTED),)"
    ),
    "response-not-merged": Bug("steps.py", "return todo, (*_merge(event.data), *effects)", "return todo, effects"),
    "heartbeat-extends-nothing": Bug(
        "steps.py", "replace(shown, deadline=moment.now + moment.policy.timeout_ms)", "shown"
    ),
    "limit-of-the-failure-forgotten": Bug(
        "steps.py", "limit_at_failure=moment.policy.retry.limit", "limit_at_failure=1"
    ),
    "interrupted-waits": Bug(
        "steps.py",
        "due_at=moment.now, scheduled_at=moment.now), ()",
        "due_at=moment.now + 1000, scheduled_at=moment.now), ()",
    ),
    "released-keeps-its-user": Bug("steps.py", "state=TODO, user=None, queue", "state=TODO, queue"),
    "waiting-can-be-retried": Bug(
        "transitions.py",
        "    Row(W, on.Cancelled, ",
        '    Row(W, on.RetryRequested, P, "8", "retry now", do.make_due_now),\n    Row(W, on.Cancelled, ',
    ),
    "lowered-limit-closes-nothing": Bug(
        "transitions.py",
        'do.close_exhausted, do.limit_reached),\n    Row(P, on.LimitChanged,       P, "10b"',
        'do.stay, do.limit_reached),\n    Row(P, on.LimitChanged,       P, "10b"',
    ),
}


def catch(bug: Bug) -> str | None:
    """In which difference the comparison sees the bug; None where it does not.

    Raises :class:`ValueError` where there is no place for it, :class:`RuntimeError` where the tests could not run.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "connectord"
        shutil.copytree(DAEMON, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / "lifecycle" / bug.file
        file.write_text(bug.plant(file.read_text(encoding="utf-8")), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            f"{TESTS / 'model' / 'test_model.py'}::test_rules_01_to_21_the_daemon_does_what_the_second_model_says",
        ]
        ours = {"PYTHONPATH": directory, "MODEL_EXAMPLES": EXAMPLES, "MODEL_SAME_EXAMPLES": "1", "MODEL_SHRINK": "0"}
        # what a copy with a bug does is no part of the figures of a run that measures the coverage
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | ours
        done = subprocess.run(command, cwd=TESTS.parent, env=environ, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None
        # what came to an end in another way was not caught: it says nothing about the bug
        said = [line[1:].strip() for line in done.stdout.splitlines() if SAID.match(line)]
        if done.returncode != 1 or not said:
            raise RuntimeError(f"the comparison did not come to its end:\n{done.stdout}{done.stderr}")
        return said[0]


def main(names: list[str]) -> int:
    """Plant the named bugs, or all; 1 if one was missed."""
    missed = []
    for name in names or BUGS:
        began = time.monotonic()
        difference = catch(BUGS[name])
        print(f"{name}: {'MISSED' if difference is None else 'caught'} in {time.monotonic() - began:.0f} s", flush=True)
        if difference is None:
            missed.append(name)
        else:
            print(f"    {difference[:160]}")
    print(f"{len(missed)} missed{': ' if missed else ''}{', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
