from __future__ import annotations

import dataclasses
import hashlib
import os
from ipaddress import ip_network
from pathlib import Path

import pytest
from connectord.config import (
    CallbackSettings,
    Config,
    ControlSettings,
    DaemonSettings,
    NotifySettings,
    Rate,
    RoleRule,
    SmtpSettings,
    find_config,
    load_config,
    loading,
)
from connectord.errors import ConfigurationRefused
from connectord.lifecycle.policy import AllocationRule, Assignee, Policy, RetryPolicy


def test_an_empty_file_is_a_daemon_without_systems(load, tmp_path) -> None:
    assert load("") == Config(
        source=tmp_path / "connectord.toml",
        digest=hashlib.sha256(b"").hexdigest(),
        daemon=DaemonSettings(
            state_directory=Path("/var/lib/connectord"),
            control_socket=Path("/run/connectord/control.sock"),
            log_format="json",
            log_level="info",
            drain_ms=30_000,
        ),
        callbacks=CallbackSettings("127.0.0.1", 8470, "http://127.0.0.1:8470", public_url_given=False),
        systems={},
        notify=NotifySettings(kind="log", command=(), url=None, smtp=None),
        control=ControlSettings(roles=()),
        secrets=(),
    )


def test_a_system_with_nothing_set_has_the_defaults(load) -> None:
    system = load('[systems.p]\nadapter = "post"').systems["p"]
    assert (system.name, system.adapter) == ("p", "post")
    assert system.settings.box == 1
    assert system.concurrency == 16
    assert system.rate is None
    assert system.attempt_timeout_ms == 120_000
    assert system.policy == Policy(
        retry=RetryPolicy(limit=5, delay_ms=30_000, factor=2.0, max_delay_ms=3_600_000, jitter=0.1),
        timeout_ms=14_400_000,
        response_expected=True,
        on_timeout="todo",
        heartbeat_extends=False,
        allocation=(),
    )


def test_a_system_with_everything_set(load) -> None:
    system = load("""\
[systems."A.b_c-9"]
adapter = "fax"
timeout = "1h"
concurrency = 1000
rate = "100/m"
attempt_timeout = "500ms"
response_expected = false
on_timeout = "close"
heartbeat_extends = true
retry = { limit = 1, delay = "0s", factor = 1, max_delay = "3650d", jitter = 1 }
allocation = { user = "maria" }
[systems."A.b_c-9".fax]
number = "0049"
pause = "2s"
limits = { size = 3 }
""").systems["A.b_c-9"]
    assert system.concurrency == 1_000
    assert system.rate == Rate(100, 60_000)
    assert system.attempt_timeout_ms == 500
    assert system.policy == Policy(
        retry=RetryPolicy(limit=1, delay_ms=0, factor=1.0, max_delay_ms=315_360_000_000, jitter=1.0),
        timeout_ms=3_600_000,
        response_expected=False,
        on_timeout="close",
        heartbeat_extends=True,
        allocation=(AllocationRule(Assignee(user="maria"), system="A.b_c-9"),),
    )
    assert isinstance(system.policy.retry.factor, float)
    assert (system.settings.number, system.settings.pause, system.settings.limits.size) == ("0049", 2_000, 3)


def test_retry_falls_back_key_by_key(load) -> None:
    systems = load("""\
[retry]
limit = 9
delay = "1s"
[systems.a]
adapter = "post"
retry.limit = 7
[systems.b]
adapter = "post"
[systems.b.retry]
jitter = 0
""").systems
    assert systems["a"].policy.retry == RetryPolicy(limit=7, delay_ms=1_000)
    assert systems["b"].policy.retry == RetryPolicy(limit=9, delay_ms=1_000, jitter=0.0)


def test_global_rules_come_first_and_the_systems_own_last(load) -> None:
    systems = load("""\
[[allocation]]
reason = "timeout"
system = "b"
user = "maria"
[[allocation]]
queue = "all"
[systems.a]
adapter = "post"
allocation = { queue = "own" }
[systems.b]
adapter = "post"
""").systems
    rules = (
        AllocationRule(Assignee(user="maria"), reason="timeout", system="b"),
        AllocationRule(Assignee(queue="all")),
    )
    assert systems["a"].policy.allocation == (*rules, AllocationRule(Assignee(queue="own"), system="a"))
    assert systems["b"].policy.allocation == rules


def test_systems_keep_the_order_of_the_file_and_cannot_be_changed(load) -> None:
    systems = load("".join(f'[systems.{name}]\nadapter = "post"\n' for name in "zam")).systems
    assert list(systems) == ["z", "a", "m"]
    with pytest.raises(TypeError):
        systems["x"] = systems["a"]


def test_systemd_says_where_things_are(load) -> None:
    config = load("", environ={"STATE_DIRECTORY": "/s/connectord", "RUNTIME_DIRECTORY": "/r/connectord"})
    assert config.daemon.state_directory == Path("/s/connectord")
    assert config.daemon.control_socket == Path("/r/connectord/control.sock")


def test_relative_paths_begin_beside_the_file(load, tmp_path) -> None:
    daemon = load('[daemon]\nstate_directory = "state"\ncontrol_socket = "/run/c.sock"').daemon
    assert daemon.state_directory == tmp_path / "state"
    assert daemon.control_socket == Path("/run/c.sock")


@pytest.mark.parametrize(
    ("text", "callbacks"),
    [
        (
            """
            max_connections = 9
            max_connections_per_address = 3
            guesses_per_minute = 7
            trusted_proxies = ["::1", "fd00::/8"]
            """,
            CallbackSettings(
                "127.0.0.1",
                8470,
                "http://127.0.0.1:8470",
                public_url_given=False,
                max_connections=9,
                max_connections_per_address=3,
                guesses_per_minute=7,
                trusted_proxies=(ip_network("::1"), ip_network("fd00::/8")),
            ),
        ),
        ('bind = "[::1]:0"', CallbackSettings("::1", 0, "http://[::1]:0", public_url_given=False)),
        ('public_url = "https://c.example.org/x/"', CallbackSettings("127.0.0.1", 8470, "https://c.example.org/x")),
        ('bind = "0.0.0.0:1"\npublic_url = "http://a"', CallbackSettings("0.0.0.0", 1, "http://a")),
    ],
)
def test_callbacks(text, callbacks, load) -> None:
    assert load("[callbacks]\n" + text).callbacks == callbacks


def test_notify_by_command_and_by_webhook(load) -> None:
    notify = load('[notify]\nvia = "command"\ncommand = ["mail", "-s", "it failed"]').notify
    assert notify == NotifySettings("command", command=("mail", "-s", "it failed"))
    notify = load('[notify]\nvia = "webhook"\nurl = "https://hooks.example.org/?k=1"').notify
    assert notify == NotifySettings("webhook", url="https://hooks.example.org/?k=1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", SmtpSettings("::1", "a@b")),
        ("port = 587\nstarttls = true", SmtpSettings("::1", "a@b", port=587, starttls=True)),
    ],
)
def test_notify_by_mail(text, expected, load) -> None:
    notify = load(f'[notify]\nvia = "smtp"\nhost = "::1"\nsender = "a@b"\n{text}').notify
    assert notify == NotifySettings("smtp", smtp=expected)


@pytest.mark.parametrize(("text", "starttls"), [("", True), ("starttls = false", False)])
def test_a_password_is_encrypted_unless_the_file_says_otherwise(text, starttls, load) -> None:
    notify = load(
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nusername = "u"\npassword = { env = "P" }\n' + text,
        environ={"P": "hunter2"},
    ).notify
    assert notify.smtp.username == "u"
    assert notify.smtp.password.get_secret_value() == "hunter2"
    assert notify.smtp.starttls is starttls


def test_roles_are_looked_up(load) -> None:
    roles = load("""\
[control.roles]
admin = ["user:root", "uid:1000"]
viewer = ["group:root", "gid:1000"]
""").control.roles
    assert roles == (
        RoleRule("viewer", "gid", 0),
        RoleRule("viewer", "gid", 1000),
        RoleRule("admin", "uid", 0),
        RoleRule("admin", "uid", 1000),
    )


def test_the_digest_is_that_of_the_files_bytes(load) -> None:
    assert load("# ä").digest == hashlib.sha256("# ä".encode()).hexdigest()
    assert load("# a").digest != load("# b").digest


def test_values_are_frozen(load) -> None:
    config = load("")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.daemon.log_level = "debug"


# --- files that are none


def refused(path: Path) -> tuple[int, str, str]:
    with pytest.raises(ConfigurationRefused) as refusal:
        load_config(path, adapters={}, environ={})
    [problem] = refusal.value.problems
    assert problem.file == str(path)
    return problem.line, problem.key, problem.message


def test_a_file_that_is_not_there(tmp_path) -> None:
    assert refused(tmp_path / "none.toml") == (0, "file", "does not exist")


def test_a_directory(tmp_path) -> None:
    line, key, message = refused(tmp_path)
    assert (line, key) == (0, "file")
    assert message == f"is a directory; name the file in it, such as {tmp_path}/connectord.toml"


def test_a_file_that_cannot_be_read(tmp_path) -> None:
    # a loop of links: root may read anything else
    (tmp_path / "loop").symlink_to("loop")
    line, key, message = refused(tmp_path / "loop")
    assert (line, key) == (0, "file")
    assert message == "cannot be read: Too many levels of symbolic links"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("")
    path.chmod(0)
    assert refused(path) == (0, "file", "cannot be read: Permission denied")


def test_a_file_that_is_not_utf8(tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"\n\n# caf\xe9\n")
    assert refused(path) == (3, "syntax", "is not UTF-8: the byte 0xe9 stands here")


def test_a_mark_at_the_beginning_is_ignored(tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b'\xef\xbb\xbf[daemon]\nlog_level = "debug"')
    assert load_config(path, adapters={}, environ={}).daemon.log_level == "debug"
    path.write_bytes(b"\xef\xbb\xbf[daemon]\nlog_level = 1")
    assert refused(path)[:2] == (2, "daemon.log_level")


def test_a_file_of_too_many_bytes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loading, "LARGEST_FILE", 3)
    path = tmp_path / "c.toml"
    path.write_bytes(b"#12")
    load_config(path, adapters={}, environ={})
    path.write_bytes(b"#123")
    assert refused(path) == (0, "file", "has more than 3 bytes")


def test_without_any_adapter_the_message_says_so(tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[systems.a]\nadapter = "http"')
    assert refused(path)[2] == 'unknown adapter "http"; installed adapters: none'


# --- where it is looked for


@pytest.fixture
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Four files, one for each place; a test removes those that shall not be there."""
    places = {name: tmp_path / name / "connectord.toml" for name in ("option", "variable", "cwd", "etc")}
    for path in places.values():
        path.parent.mkdir()
        path.touch()
    monkeypatch.setattr(loading, "SYSTEM_WIDE", places["etc"])
    return places


def test_the_order_of_places(places) -> None:
    cwd, variable = places["cwd"].parent, {"CONNECTORD_CONFIG": str(places["variable"])}
    assert find_config(places["option"], variable, cwd) == places["option"]
    assert find_config(None, variable, cwd) == places["variable"]
    assert find_config(None, {}, cwd) == places["cwd"]
    assert find_config(None, {"CONNECTORD_CONFIG": ""}, cwd) == places["cwd"]
    places["cwd"].unlink()
    assert find_config(None, {}, cwd) == places["etc"]


def test_the_last_place_is_in_etc() -> None:
    assert Path("/etc/connectord/connectord.toml") == loading.SYSTEM_WIDE


def test_relative_paths_begin_in_the_working_directory(places, tmp_path) -> None:
    assert find_config(Path("option/connectord.toml"), {}, tmp_path) == places["option"]
    assert find_config(None, {"CONNECTORD_CONFIG": "variable/connectord.toml"}, tmp_path) == places["variable"]


def test_a_file_that_was_named_has_no_substitute(places) -> None:
    for explicit, environ, whence in (
        (Path("/none.toml"), {}, "/none.toml (--config)"),
        (None, {"CONNECTORD_CONFIG": "/none.toml"}, "/none.toml ($CONNECTORD_CONFIG)"),
    ):
        with pytest.raises(ConfigurationRefused) as refusal:
            find_config(explicit, environ, places["cwd"].parent)
        [problem] = refusal.value.problems
        assert (problem.file, problem.line, problem.key) == ("/none.toml", 0, "file")
        assert problem.message == f"there is no configuration; looked for {whence}"


def test_without_any_file_it_says_where_it_looked(places) -> None:
    places["cwd"].unlink()
    places["etc"].unlink()
    with pytest.raises(ConfigurationRefused) as refusal:
        find_config(None, {}, places["cwd"].parent)
    [problem] = refusal.value.problems
    assert str(places["cwd"]) in problem.message
    assert str(places["etc"]) in problem.message
    assert "--config or $CONNECTORD_CONFIG" in problem.message


def test_a_directory_in_the_place_of_the_file_is_found_and_refused_later(tmp_path) -> None:
    (tmp_path / "connectord.toml").mkdir()
    assert find_config(None, {}, tmp_path) == tmp_path / "connectord.toml"
