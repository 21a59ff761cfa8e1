"""docs/start.md, followed in one shell from the checkout on: every command, and what it prints."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers.ports import lasting_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
SYSTEM, CALLBACKS = lasting_port(), lasting_port()
"""In the place of the page's own, which somebody else may have here."""
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$",
    PAGE.replace("9000", str(SYSTEM)).replace("8470", str(CALLBACKS)),
    re.DOTALL | re.MULTILINE,
)
MARK = "----- the commands of block"

LIBRARIES = f"""(
cd ~/connectord-first/lib/python3.*/site-packages
echo {sysconfig.get_path("purelib")} > libraries.pth
cat > sitecustomize.py <<'END OF FILE'
import sys, threading, time
from pathlib import Path

def when_told(seconds, call, arguments):
    def wait():
        while not Path("answer-now").exists():
            time.sleep(0.02)
        call(*arguments)
    return threading.Thread(target=wait, daemon=True)

if "system.py" in sys.orig_argv:
    threading.Timer = when_told
END OF FILE
)"""
"""The libraries come from this environment: a test fetches nothing. The system calls back when the test says so, for
nobody knows how long two seconds are on a busy machine."""
READY = "until connectorctl status > status.log 2>&1; do sleep 0.2; done"
STATE = 'until connectorctl show $ID --json | grep -q \'"state": *"{}"\'; do sleep 0.2; done'
AWAY = "until connectorctl show $ID --json | grep -q '\"attempts\": *1,'; do sleep 0.2; done; " + STATE.format(
    "pending"
)
LISTENS = f"until (: > /dev/tcp/127.0.0.1/{SYSTEM}) 2> probe.log; do sleep 0.2; done"


def test_the_page_ends_with_two_closed_actions(tmp_path: Path) -> None:
    done = follow(tmp_path)
    printed = dict(re.findall(rf"^{MARK} (\d+)\n(.*?)(?=^{MARK}|\Z)", done.stdout, re.DOTALL | re.MULTILINE))
    everything = f"{done.stdout}{done.stderr}{log(tmp_path)}"
    assert done.returncode == 0, everything
    compared = 0
    for number, (kind, text) in enumerate(BLOCKS):
        if kind == "text":
            assert without_chance(printed[str(number - 1)]) == without_chance(text), everything
            compared += 1
    assert compared == PAGE.count("```text") == 5
    assert printed[str(len(BLOCKS) - 1)].strip() == "draining, then stopping", everything


def follow(home: Path) -> subprocess.CompletedProcess[str]:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CONNECTORD", "PIP_", "PYTHON"))},
        "HOME": str(home), "COLUMNS": "120", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_QUIET": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    shell = subprocess.Popen(
        ["bash", "-eu", "-c", script()], cwd=ROOT, env=environ, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = shell.communicate(timeout=180)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)  # what the page started and did not stop
    return subprocess.CompletedProcess(shell.args, shell.returncode, output, errors)


def script() -> str:
    """The page as one script; between its commands it waits for what a person would have waited for."""
    lines = []
    for number, (kind, text) in enumerate(BLOCKS):
        if kind in {"python", "toml"}:
            name = text.partition("\n")[0].removeprefix("# ")
            lines.append(f"cat > {name} <<'END OF FILE'\n{text}END OF FILE")
        if kind != "sh":
            continue
        lines.append(f"echo '{MARK} {number}'")
        for line in text.splitlines():
            if line.startswith("connectorctl why"):
                lines.append(AWAY)
            lines.append(line)
            if "-m venv" in line:
                lines.append(LIBRARIES)
            elif "system.py" in line:
                lines.append(LISTENS)
            elif "submit billing --case C-1001" in line:
                lines.append(STATE.format("waiting"))
        if "CONNECTORD_SOCKET" in text:
            lines.append(READY)
        if "C-1001 --owner" in text or "connectorctl retry" in text:
            lines.extend(("touch answer-now", STATE.format("closed")))
    return "\n".join(lines)


def without_chance(text: str) -> str:
    text = re.sub(r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", "TIME", text)
    return re.sub(r"\((in )?\d+ \w+( ago)?\)|\(now\)", "(A WHILE)", text).strip()


def log(home: Path) -> str:
    return "".join(path.read_text() for path in home.glob("connectord-first/work/*.log"))


@pytest.mark.parametrize("number", [number for number, (kind, _) in enumerate(BLOCKS) if kind in {"python", "toml"}])
def test_a_file_names_itself(number: int) -> None:
    assert re.fullmatch(r"# [\w.]+", BLOCKS[number][1].partition("\n")[0])
