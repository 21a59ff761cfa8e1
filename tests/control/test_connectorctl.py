import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
from connectord.cli import rendering
from connectord.cli.queues import queues_text
from connectord.cli.times import parse_when
from connectord.control.server import open_control_listener, serve_control
from connectord.errors import ConfigurationRefused, Overloaded, Problem, Refused, WatcherTooSlow

ACTION = {
    "id": "01A", "system": "billing", "case": "C-1", "key": None, "state": "pending", "label": "Retrying",
    "reason": None, "resolution": None, "rejected_reason": None, "attempts": 4, "retry_limit": 5,
    "submitted_at": "2026-11-24T12:00:00.000Z", "due_at": "2026-11-24T12:08:11.120Z", "deadline": None,
    "assigned_to": {"queue": "back"}, "data": {"amount": 12}, "response_data": {}, "rerun_of": None,
    "connection_error": {"text": "Connection failed at 12:03.\nTry 4 of 5."}, "late_responses": [{"n": 1}],
}  # fmt: skip
CLOSED = ACTION | {
    "id": "01B", "state": "closed", "label": "Closed", "resolution": "not_done_successfully", "highlighted": True,
}  # fmt: skip

ANSWERS = {
    "why": {"id": "01A", "text": "01A in billing: Retrying\n\nNow  It waits for \x1b[2J."},
    "submit": ACTION, "show": ACTION, "retry": ACTION, "take": ACTION, "release": ACTION, "assign": ACTION,
    "complete": CLOSED, "cancel": CLOSED,
    "list": {"actions": [ACTION, CLOSED], "next": None},
    "case": {"id": "C-1", "owner": "alice", "data": {}, "actions": [ACTION, CLOSED]},
    "history": {"history": [{"at": "12:00", "from": None, "to": "pending"}]},
    "attempts": [{"number": 1, "outcome": "not connected"}],
    "systems": {"systems": [{"name": "billing", "adapter": "http", "state": "running", "health": "ok", "pending": 1,
                             "waiting": 2, "todo": 3, "in_flight": 4, "concurrency": 8, "retry_limit": 5,
                             "paused": False}]},
    "queues": {"queues": [{"name": "default", "known": True, "description": "the rest", "todo": 2, "in_progress": 1,
                           "oldest_at": "2026-11-24T12:00:00.000Z", "oldest_seconds": 3700.5},
                          {"name": "gone", "known": False, "description": None, "todo": 0, "in_progress": 1,
                           "oldest_at": None, "oldest_seconds": None}],
               "people": [{"user": "anna", "todo": 1, "in_progress": 2, "oldest_at": "2026-11-24T12:59:00.000Z",
                           "oldest_seconds": 100}]},
    "pause": {}, "resume": {}, "shutdown": {},
    "reload": {"applied": False, "version": 2,
               "plan": {"added": ["a"], "removed": ["b"], "restart_required": [], "held": ["b"], "back": [],
                        "changed": {"c": [{"key": "k", "old": 1, "new": 2}]}, "other": [], "actions": {"close": 2}}},
    "reload_effects": {"effects": [{"id": "01A", "system": "c", "effect": "close", "before": "4 of 10",
                                    "after": "4 of 10"}], "next": None},
    "config_history": {"running": 2, "versions": [{"version": 2, "at": "12:00", "who": "user:ann", "digest": "ab" * 32,
                                                   "back_to": 1, "kept": True}]},
    "config_show": {"version": 2, "text": "[daemon]\n"},
    "config_diff": {"a": 1, "b": 2, "changed": {"c": [{"key": "k", "old": "1", "new": "2"}]}, "added": [],
                    "removed": [], "other": [], "problems": [], "text": "-k = 1\n+k = 2"},
    "status": {"version": "1", "pid": 5, "started_at": "now", "uptime_seconds": 3700, "state_directory": "/s",
               "counts": {"pending": 2}, "systems": 1, "callbacks": "127.0.0.1:80", "last_seq": 7},
}  # fmt: skip


class Ctl:
    def __init__(self, path):
        self.path = path
        self.calls = []

    async def dispatch(self, caller, method, params, notify):
        self.calls.append((method, params))
        if params.get("id") == "bad":
            raise Refused("closed", "the action is closed; rerun it instead")
        if params.get("to") == 99:
            raise ConfigurationRefused([Problem("c.toml", 3, "a.b", "must be 1"), Problem("c.toml", 4, "x", "no")])
        if method == "watch":
            if params.get("filters", {}).get("case") == "none":
                raise Overloaded("later")
            await notify("event", {"seq": 8, "at": "12:00", "id": "01A", "state": "pending"})
            if params.get("after") == 5:
                raise WatcherTooSlow(9)
            return None
        if method == "rerun":
            count = 0 if "case" in params.get("filters", {}) else 2
            return {"count": count, "left_out": 3, "actions": [] if params.get("dry_run") else [ACTION]}
        return ANSWERS[method]

    async def __call__(self, *args, stdin=b""):
        with trio.fail_after(20):
            done = await trio.run_process(
                [sys.executable, "-m", "connectord.cli.control", "--socket", str(self.path), *args],
                stdin=stdin, capture_stdout=True, capture_stderr=True, check=False,
            )  # fmt: skip
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@asynccontextmanager
async def serving(path):
    ctl = Ctl(path)
    listener = await open_control_listener(path)
    async with trio.open_nursery() as nursery:

        async def run(task_status):
            await serve_control(listener, ctl.dispatch, lambda peer: peer, task_status=task_status)

        await nursery.start(run)
        yield ctl
        nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


@pytest.mark.parametrize(
    ("args", "call", "printed"),
    [
        (["submit", "billing"], ("submit", {"system": "billing"}), "01A\n"),
        (
            ["submit", "billing", "--case", "C", "--owner", "o", "--key", "k", "--data", '{"a": "ä"}',
             "--due", "2026-11-24T13:00:00+01:00"],
            ("submit", {"system": "billing", "case": "C", "owner": "o", "key": "k", "data": {"a": "ä"},
                        "due_at": "2026-11-24T12:00:00.000Z"}),
            "01A\n",
        ),
        (["list", "--state", "pending", "--limit", "5"], ("list", {"state": "pending", "limit": 5}), "ID   SYSTEM"),
        (["show", "01A"], ("show", {"id": "01A"}), "Retrying"),
        (["why", "01A"], ("why", {"id": "01A"}), "01A in billing: Retrying\n\nNow  It waits for \\x1b[2J.\n"),
        (["case", "C-1"], ("case", {"id": "C-1"}), "!  01B  billing  Closed - Not Done Successfully"),
        (["retry", "01A"], ("retry", {"id": "01A"}), "01A  Retrying"),
        (["take", "01A", "--as", "alice"], ("take", {"id": "01A", "user": "alice"}), "01A"),
        (["release", "01A"], ("release", {"id": "01A"}), "01A"),
        (["assign", "01A", "--to", "queue:q:1"], ("assign", {"id": "01A", "queue": "q:1"}), "queue back"),
        (["assign", "01A", "--to", "user:bob"], ("assign", {"id": "01A", "user": "bob"}), "01A"),
        (["complete", "01A"], ("complete", {"id": "01A", "resolution": "done_successfully"}), "01B"),
        (
            ["complete", "01A", "--unsuccessful", "--data", "{}", "--note", "n"],
            ("complete", {"id": "01A", "resolution": "not_done_successfully", "data": {}, "note": "n"}),
            "Closed - Not Done Successfully",
        ),
        (["cancel", "01A", "--note", "n"], ("cancel", {"id": "01A", "note": "n"}), "01B"),
        (["queues"], ("queues", {}), "gone (not configured)"),
        (["list", "--queue", "q", "--user", "u"], ("list", {"queue": "q", "user": "u"}), "queue back   "),
        (["rerun", "01A", "01B"], ("rerun", {"ids": ["01A", "01B"]}), "01A"),
        (["systems"], ("systems", {}), "4/8"),
        (["pause", "billing"], ("pause", {"system": "billing"}), "billing is paused"),
        (["resume", "billing"], ("resume", {"system": "billing"}), "billing goes on"),
        (["config", "history"], ("config_history", {}), "*  2        12:00  user:ann  back to 1  abababababab"),
        (["config", "show", "2"], ("config_show", {"version": 2}), "[daemon]\n"),
        (["config", "diff", "1", "2"], ("config_diff", {"a": 1, "b": 2}), "    k: 1 -> 2\n\n-k = 1\n+k = 2"),
        (["status"], ("status", {}), "1h 1m 40s"),
        (["watch", "--after", "0"], ("watch", {"after": 0}), "12:00 seq=8 id=01A state=pending\n"),
        (
            ["watch", "--system", "s", "--after", "6"], ("watch", {"filters": {"system": "s"}, "after": 6}), "12:00",
        ),
        (["shutdown"], ("shutdown", {}), "draining"),
        (["shutdown", "--now"], ("shutdown", {"now": True}), "stopping"),
    ],
)  # fmt: skip
async def test_a_command_calls_its_method_and_prints(path, args, call, printed):
    async with serving(path) as ctl:
        code, out, err = await ctl(*args)
        assert (code, err) == (0, "")
        assert ctl.calls == [call]
        assert printed in out


async def test_json_is_the_result_unchanged(path):
    async with serving(path) as ctl:
        _, out, _ = await ctl("show", "01A", "--json", "--history")
        assert out.splitlines() == [
            json.dumps(ANSWERS[method], separators=(",", ":")) for method in ("show", "history")
        ]
        _, out, _ = await ctl("watch", "--json")
        assert json.loads(out) == {"seq": 8, "at": "12:00", "id": "01A", "state": "pending"}
        assert ctl.calls[-2:] == [("status", {}), ("watch", {"after": 7})]


async def test_watch_that_is_cut_off_says_how_to_go_on(path):
    async with serving(path) as ctl:
        code, out, err = await ctl("watch", "--after", "5", "--case", "C 1")
        assert (code, out) == (1, "12:00 seq=8 id=01A state=pending\n")
        assert err.splitlines()[-1] == "connectorctl: to go on: connectorctl watch --after 9 --case 'C 1'"
        code, out, err = await ctl("watch", "--case", "none")
        assert (code, out) == (1, "")
        assert err.splitlines() == [
            "connectorctl: later",
            "connectorctl: to go on: connectorctl watch --after 7 --case none",
        ]


async def test_show_prints_history_and_attempts(path):
    async with serving(path) as ctl:
        _, out, _ = await ctl("show", "01A", "--history", "--attempts")
        assert "\nHistory\nAT     FROM  TO\n12:00  -     pending\n" in out
        assert "\nAttempts\nNUMBER  OUTCOME\n1       not connected\n" in out


async def test_data_from_a_file_and_from_stdin(path, tmp_path):
    (tmp_path / "data.json").write_text('{"b": 2}')
    async with serving(path) as ctl:
        assert (await ctl("submit", "s", "--data", f"@{tmp_path}/data.json"))[0] == 0
        assert (await ctl("submit", "s", "--data", "-", stdin=b'{"c": 3}'))[0] == 0
        assert [params["data"] for _, params in ctl.calls] == [{"b": 2}, {"c": 3}]


async def test_a_refusal_is_exit_1_with_the_reason(path):
    async with serving(path) as ctl:
        refusal = "the action is closed; rerun it instead\n"
        assert await ctl("release", "bad") == (1, "", f"connectorctl: {refusal}")
        code, out, err = await ctl("retry", "bad", "01A")
        assert (code, err) == (1, f"connectorctl: bad: {refusal}")
        assert "01A" in out
        code, _, err = await ctl("reload", "--to", "99")
        assert code == 1
        assert err.splitlines()[1:] == ["c.toml:3: a.b: must be 1", "c.toml:4: x: no"]


async def test_a_reload_says_what_it_means_for_which_actions(path):
    async with serving(path) as ctl:
        code, out, err = await ctl("reload", "--plan")
        assert (code, err) == (0, "")
        assert ctl.calls == [("reload", {"plan": True}), ("reload_effects", {"plan": True})]
        assert "+ a\n- b  (its actions are held)\n~ c\n    k: 1 -> 2\nnot applied: would be version 2\n" in out
        assert "2 actions: closed: tried as often as the limit allows\n" in out
        assert "01A  c       4 of 10  Closed - Not Done Successfully\n... and 1 more (--all lists them)\n" in out
        ctl.calls.clear()
        code, out, err = await ctl("reload", "--to", "2")
        assert ctl.calls == [("reload", {"to": 2}), ("reload_effects", {})]
        assert "the file was not touched" in err
        assert len((await ctl("reload", "--json", "--all"))[1].splitlines()) == 2


async def test_rerun_by_filters_asks_first(path):
    filters = {"system": "s", "resolution": "not_done_successfully"}
    args = ("rerun", "--system", "s", "--resolution", "not_done_successfully")
    ask, do = ("rerun", {"filters": filters, "dry_run": True}), ("rerun", {"filters": filters, "expect": 2})
    async with serving(path) as ctl:
        code, out, _ = await ctl(*args, stdin=b"n\n")
        assert (code, out, ctl.calls) == (1, "2 actions to run again (left out: 3 run again before)\n", [ask])
        assert (await ctl(*args, stdin=b"y\n"))[0] == 0
        code, out, _ = await ctl(*args, "--yes", "--json")
        assert (code, json.loads(out)) == (0, {"count": 2, "left_out": 3, "actions": [ACTION]})
        assert ctl.calls == [ask, ask, do, ask, do]


async def test_rerun_of_nothing_asks_nothing(path):
    async with serving(path) as ctl:
        code, out, _ = await ctl("rerun", "--case", "C-9")
        assert (code, out) == (0, "0 actions to run again (left out: 3 run again before)\n")
        code, out, _ = await ctl("rerun", "--case", "C-9", "--json")
        assert json.loads(out) == {"count": 0, "left_out": 3, "actions": []}
        assert all(params["dry_run"] for _, params in ctl.calls)


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["submit"],
        ["submit", "s", "--data", "{"],
        ["submit", "s", "--data", "NaN"],
        ["submit", "s", "--data", "@/nonexistent"],
        ["submit", "s", "--due", "tomorrow"],
        ["assign", "1", "--to", "bob"],
        ["assign", "1", "--to", "queue:"],
        ["take", "1"],
        ["cancel", "1"],
        ["list", "--limit", "0"],
        ["rerun"],
        ["rerun", "1", "--system", "s"],
    ],
)
async def test_wrong_usage_is_exit_2(path, args):
    async with serving(path) as ctl:
        code, out, err = await ctl(*args)
        assert (code, out, ctl.calls) == (2, "", [])
        assert "Error: " in err


async def test_no_daemon_is_exit_3(path):
    code, out, err = await Ctl(path)("status")
    assert (code, out) == (3, "")
    assert err.startswith("connectorctl: no daemon answers at ")


def test_every_command_has_an_example_and_json():
    from connectord.cli.control import cli

    assert set(cli.commands) == {
        "submit", "list", "show", "why", "case", "retry", "take", "release", "assign", "complete", "cancel", "rerun",
        "systems", "pause", "resume", "reload", "status", "watch", "top", "shutdown",
        "queues", "config", "notifications", "call", "doctor", "completion", "submit-many", "retention",
    }  # fmt: skip
    config = cli.commands["config"].commands
    assert set(config) == {"history", "show", "diff"}
    for name, command in cli.commands.items():
        assert command.epilog.startswith(f"Example: connectorctl {name}")
    plain = [command for name, command in cli.commands.items() if name not in ("config", "completion")]
    for command in (*plain, *config.values()):
        assert any("--json" in parameter.opts for parameter in command.params)


def test_the_import_is_light():
    # each costs 5 ms or more; the whole command has 150
    heavy = {
        "trio", "pydantic", "msgspec", "structlog", "rich", "sqlite3", "asyncio", "ssl", "http", "email", "difflib",
        "importlib.metadata", "unittest", "tomllib", "httpx", "anyio", "connectord.doctor", "connectord.config",
        "connectord.cli.completion", "click.shell_completion", "tempfile", "pathlib", "urllib.parse", "unicodedata",
    }  # fmt: skip
    code = "import sys, connectord.cli.control; print(*sys.modules)"
    # coverage, which imports some of it, is kept out of that process
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True, env=environ).stdout.split()
    assert heavy & set(loaded) == set()
    assert len([name for name in loaded if name.startswith("connectord")]) < 40


async def test_a_status_imports_nothing_more(path):
    code = (
        "import sys; from connectord.cli.control import cli; import connectord.cli.control as c\n"
        f"before = set(sys.modules)\ntry: cli(['--socket', {str(path)!r}, 'status'], prog_name='connectorctl')\n"
        "except SystemExit: print(len({n for n in set(sys.modules) - before if not n.startswith('encodings')}))"
    )
    async with serving(path):
        done = await trio.run_process([sys.executable, "-c", code], capture_stdout=True)
    assert int(done.stdout.split()[-1]) <= 5


def test_the_card():
    lines = rendering.card(CLOSED).splitlines()
    assert "State        Closed - Not Done Successfully" in lines
    assert "Attempts     4 of 5" in lines
    assert "Assigned to  queue back" in lines
    assert lines[lines.index("Connection error") + 1 :][:2] == ["    Connection failed at 12:03.", "    Try 4 of 5."]
    assert '      "amount": 12' in lines


def test_the_queues():
    assert queues_text(ANSWERS["queues"]).splitlines() == [
        "QUEUE                  TO DO  IN PROGRESS  LONGEST    SINCE                     WHAT FOR",
        "default                2      1            1h 1m 40s  2026-11-24T12:00:00.000Z  the rest",
        "gone (not configured)  0      1            -          -                         -",
        "",
        "USER  TO DO  IN PROGRESS  LONGEST  SINCE",
        "anna  1      2            1m 40s   2026-11-24T12:59:00.000Z",
    ]
    assert queues_text({"queues": [], "people": []}).splitlines() == [
        "QUEUE  TO DO  IN PROGRESS  LONGEST  SINCE  WHAT FOR"
    ]


def test_a_terminal_is_not_steered():
    action = ACTION | {"system": "\x1b[2Jx\ny", "connection_error": {"text": "a\x1b]0;b\x07"}}
    queues = {"queues": [{"name": "\x1b[2Jx\ny", "known": False, "description": "\x1b"}], "people": [{"user": "\x1b"}]}
    for text in (rendering.card(action), rendering.action_table([action]), queues_text(queues)):
        assert "\x1b" not in text
        assert "\\x1b[2Jx\\ny" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+30s", "2026-11-24T12:00:30.000Z"),
        ("+5m", "2026-11-24T12:05:00.000Z"),
        ("+1h30m", "2026-11-24T13:30:00.000Z"),
        ("-1d", "2026-11-23T12:00:00.000Z"),
        ("2026-11-24T12:00:00.1239Z", "2026-11-24T12:00:00.123Z"),
        ("2026-11-24t12:00:00+02:00", "2026-11-24T10:00:00.000Z"),
    ],
)
def test_when(text, expected):
    assert parse_when(text, datetime(2026, 11, 24, 12, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    "text", ["", "5m", "+5", "+5w", "tomorrow", "2026-11-24", "2026-11-24T12:00:00", "2026-13-01T00:00:00Z",
             "+99999999999d", "0001-01-01T00:00:00+23:00", "+٣s"]
)  # fmt: skip
def test_not_when(text):
    with pytest.raises(ValueError, match=r"time|neither"):
        parse_when(text)
