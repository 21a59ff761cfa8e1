"""The adapter with real programs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from connectord.adapters import AdapterContext, NotConnected, Outcome, Rejected, Succeeded, Taken, call_document
from connectord.network import SystemNetwork
from connectord.plugins import load_plugins
from connectord_exec.adapter import ExecAdapter
from connectord_exec.settings import ExecSettings
from helpers.calls import make_call
from helpers.cancellation import cancel_after_steps

CONTEXT = AdapterContext(system="billing", concurrency=16, network=SystemNetwork())


def adapter(program: str, *, environ: dict[str, str] | None = None, **settings: Any) -> ExecAdapter:
    """An adapter whose command is a piece of Python."""
    values = {"command": [sys.executable, "-I", "-c", program], "kill_after": "1s", **settings}
    given = dict(os.environ) if environ is None else environ
    return ExecAdapter(ExecSettings.model_validate(values), CONTEXT, environ=given)


async def outcome(program: str, **settings: Any) -> Outcome:
    with trio.fail_after(30):
        return await adapter(program, **settings).trigger(make_call())


async def failure(program: str, **settings: Any) -> str:
    with pytest.raises(NotConnected) as caught:
        await outcome(program, **settings)
    return str(caught.value)


def prints(document: object, code: int = 0) -> str:
    return f"import sys; print({json.dumps(document)!r}); sys.exit({code})"


async def test_the_action_comes_on_standard_input_and_in_the_environment() -> None:
    program = """
import json, os, sys
seen = {name: value for name, value in os.environ.items() if name.startswith("CONNECTORD_")}
print(json.dumps({"given": json.load(sys.stdin), "seen": seen}))
"""
    done = await outcome(program)
    assert isinstance(done, Succeeded)
    assert done.data["given"] == call_document(make_call())
    assert done.data["seen"] == {
        "CONNECTORD_ACTION_ID": "A-1",
        "CONNECTORD_ATTEMPT": "1",
        "CONNECTORD_CALLBACK_URL": "https://connectord.example/callback/token",
        "CONNECTORD_CASE": "C-1001",
        "CONNECTORD_IDEMPOTENCY_KEY": "A-1",
        "CONNECTORD_SYSTEM": "billing",
    }


@pytest.mark.parametrize(
    ("program", "settings", "expected"),
    [
        ("pass", {}, Succeeded()),
        (prints({"invoice": 17}), {}, Succeeded({"invoice": 17})),
        (prints({"status": "success", "data": {"n": 1}}), {}, Succeeded({"n": 1})),
        (prints({"status": "failure", "reason": "no vendor", "data": {"n": 1}}), {}, Rejected("no vendor", {"n": 1})),
        (prints({"status": "taken", "reference": "job 7"}), {}, Taken("job 7")),
        (prints({"status": "progress", "percent": 10}), {}, Taken()),
        (prints({"reference": "job 8"}, 3), {"taken_codes": [3]}, Taken("job 8")),
        ("raise SystemExit(3)", {"taken_codes": [3]}, Taken()),
        (prints({"reason": "wrong amount", "data": {"n": 1}}, 1), {}, Rejected("wrong amount", {"n": 1})),
        ("import sys; sys.exit('vendor unknown')", {}, Rejected("the command exited with 1: vendor unknown")),
        ("raise SystemExit(9)", {}, Rejected("the command exited with 9")),
        ("print('hello')", {"output": "text"}, Succeeded({"output": "hello\n"})),
        ("print('hello')", {"output": "ignore"}, Succeeded()),
    ],
)  # fmt: skip
async def test_what_it_prints_and_how_it_exits_decides(
    program: str, settings: dict[str, Any], expected: Outcome
) -> None:
    assert await outcome(program, **settings) == expected


@pytest.mark.parametrize("printed", ["hello", "[1]", '{"status": "won"}', '{"status": "failure", "data": 7}', "\\xff"])
async def test_output_that_is_no_response_is_a_rejection_with_words(printed: str) -> None:
    done = await outcome(f"import sys; sys.stdout.buffer.write(b'{printed}')")
    assert isinstance(done, Rejected)
    assert "printed" in done.reason


@pytest.mark.parametrize(
    ("program", "settings", "words"),
    [
        ("import sys; sys.exit(75)", {}, "exited with 75"),
        ("import sys; sys.stderr.write('it\\x1b is busy'); sys.exit(69)", {}, "exited with 69: it  is busy"),
        ("import sys; sys.exit(4)", {"retry_codes": [4]}, "exited with 4"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, "ended by SIGKILL"),
        ("import time; time.sleep(60)", {"timeout": "300ms"}, "did not end within 0.3 s"),
        ("print('x' * 100_000)", {"max_output_bytes": 1000}, "more than 1000 bytes"),
    ],
)  # fmt: skip
async def test_rule_12_what_did_not_end_by_itself_is_tried_again(
    program: str, settings: dict[str, Any], words: str
) -> None:
    assert words in await failure(program, **settings)


async def test_rule_12_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "no-program"
    assert "cannot be started: No such file" in await failure("", command=[str(file)])
    file.write_text("")
    assert "cannot be started: Permission denied" in await failure("", command=[str(file)])


async def test_a_command_that_ignores_its_input_and_closes_it_is_all_right() -> None:
    with trio.fail_after(30):
        big = make_call(data={"text": "x" * 1_000_000})
        done = await adapter("import os; os.close(0)").trigger(big)
    assert done == Succeeded()


async def test_what_it_leaves_running_in_its_group_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"""
import os, pathlib, time
file = pathlib.Path({str(tmp_path / "writing")!r})
file.write_text(str(os.getpid()))
file.rename({str(pid_file)!r})
time.sleep(600)
"""
    program = f"""
import pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-I", "-c", {child!r}])
while not pathlib.Path({str(pid_file)!r}).exists():
    time.sleep(0.01)
"""
    # the child holds standard output open, which must not hold the attempt for ever
    assert await outcome(program, kill_after="200ms") == Succeeded()
    assert await ended(int(pid_file.read_text()))


@pytest.mark.parametrize("stubborn", [False, True], ids=["ends when asked", "ignores SIGTERM"])
async def test_cancellation_ends_the_whole_group(tmp_path: Path, stubborn: bool) -> None:
    pid_file = tmp_path / "pid"
    program = f"""
import os, pathlib, signal, time
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    file = pathlib.Path({str(tmp_path / "writing")!r})
    file.write_text(f"{{os.getpid()}} {{child}}")
    file.rename({str(pid_file)!r})
time.sleep(600)
"""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adapter(program, kill_after="300ms").trigger, make_call())
        with trio.fail_after(20):
            while not pid_file.exists():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    for pid in pid_file.read_text().split():
        assert await ended(int(pid))


async def ended(pid: int) -> bool:
    with trio.move_on_after(5):
        while True:
            try:
                # a zombie that its new parent has not reaped yet has ended too
                status = Path(f"/proc/{pid}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                return True
            if status.rpartition(")")[2].split()[0] in "ZX":
                return True
            await trio.sleep(0.02)
    return False


async def test_cancelled_at_any_await_nothing_is_left_behind() -> None:
    before = open_files()
    # the session's own services, such as a broker, are children too
    children_before = children()
    steps = 0
    while True:
        steps += 1
        with cancel_after_steps(steps) as scope:
            await adapter("import sys; sys.stdin.read(); print('{}')").trigger(make_call())
        if not scope.cancelled_caught:
            break
    assert steps > 3
    await trio.lowlevel.checkpoint()
    assert open_files() == before
    assert children() == children_before


def open_files() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir()}


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


async def test_the_environment_has_nothing_but_what_is_asked_for() -> None:
    environ = {"PATH": "/usr/bin:/bin", "SECRET_OF_THE_DAEMON": "x", "PROXY": "p", "LANG": "C.UTF-8"}
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    done = await outcome(program, environ=environ, env={"TOKEN": "t"}, pass_env=["PROXY", "MISSING"])
    assert isinstance(done, Succeeded)
    own = {
        name: value for name, value in done.data.items() if not name.startswith("CONNECTORD_") and name != "LC_CTYPE"
    }
    assert own == {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TOKEN": "t", "PROXY": "p"}


@pytest.mark.parametrize(
    ("limits", "program", "check"),
    [
        ({"open_files": 16}, "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE))", "(16, 16)"),
        ({"memory_bytes": 2**31}, "import resource as r; print(r.getrlimit(r.RLIMIT_AS))", f"({2**31}, {2**31})"),
        ({"file_bytes": 4096}, "import resource as r; print(r.getrlimit(r.RLIMIT_FSIZE))", "(4096, 4096)"),
        ({"cpu_seconds": 9}, "import resource as r; print(r.getrlimit(r.RLIMIT_CPU))", "(9, 9)"),
        ({"cpu_seconds": 9}, "import resource as r; print(r.getrlimit(r.RLIMIT_CORE))", "(0, 0)"),
    ],
)
async def test_limits_hold_in_the_command(limits: dict[str, int], program: str, check: str) -> None:
    assert await outcome(program, limits=limits, output="text") == Succeeded({"output": f"{check}\n"})


async def test_a_command_that_uses_up_its_processor_time_is_ended() -> None:
    words = await failure("while True: pass", limits={"cpu_seconds": 1}, timeout="30s")
    assert signal.SIGXCPU.name in words or signal.SIGKILL.name in words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"command": []}, "at least 1"),
        ({"command": ["post"]}, "whole path"),
        ({"command": ["/bin/a\0b"]}, "NUL"),
        ({"command": ["/bin/a"], "directory": "here"}, "absolute"),
        ({"command": ["/bin/a"], "env": {"A-B": "x"}}, "environment variable"),
        ({"command": ["/bin/a"], "env": {"CONNECTORD_X": "x"}}, "set by the adapter"),
        ({"command": ["/bin/a"], "taken_codes": [75]}, "stands in taken_codes and in retry_codes"),
        ({"command": ["/bin/a"], "taken_codes": [256]}, "less than or equal to 255"),
        ({"command": ["/bin/a"], "limits": {"memory": 1}}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ExecSettings.model_validate(settings)


def test_a_secret_shows_in_no_message() -> None:
    with pytest.raises(ValueError, match="NUL") as caught:
        ExecSettings.model_validate({"command": ["/bin/a"], "env": {"TOKEN": "canary\0-4711"}})
    assert "canary" not in str(caught.value)


def test_the_entry_point_registers_the_adapter() -> None:
    assert [point.value for point in entry_points(group="connectord", name="exec")] == ["connectord_exec"]
    assert load_plugins().adapters["exec"] is ExecAdapter


def test_the_readme_configuration_is_good(check_configuration: Callable[[str], None]) -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    blocks = text.split("```toml\n")[1:]
    assert blocks
    for block in blocks:
        check_configuration(block.partition("```")[0])
