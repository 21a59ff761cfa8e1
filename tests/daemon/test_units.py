"""The units as systemd sees them, and what takes in what it hands over."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest
import trio
from connectord.errors import AddressUnusable
from connectord.lanes.pulse import OVERDUE_SECONDS, Pulse
from connectord.service.units import SERVICE, UnitOptions, render_units, write_tree
from connectord.systemd import Inherited, take_inherited
from helpers.programs import require_program

HIGHEST_EXPOSURE = 1.5
OPTIONS = UnitOptions("/bin/true", "/bin/true", "/etc/connectord/connectord.toml")
EVERY_KIND = [
    pytest.param(UnitOptions(**values), id=name)
    for name, values in {
        "plain": {},
        "sockets": {"sockets": True},
        "user": {"user": True},
        "user with sockets": {"user": True, "sockets": True},
    }.items()
    for values in [{"connectord": "/bin/true", "connectorctl": "/bin/true", "config": "/etc/c.toml", **values}]
]


def written(directory: Path, options: UnitOptions) -> list[str]:
    files = render_units(options)
    write_tree(directory, files, PurePosixPath("/"))
    return [str(directory / name) for name in files if name.suffix in (".service", ".socket")]


@pytest.mark.parametrize("sockets", [False, True])
def test_the_unit_is_hardened(tmp_path: Path, sockets: bool) -> None:
    analyze = require_program("systemd-analyze")
    unit, *_ = written(tmp_path, UnitOptions("/bin/true", "/bin/true", "/etc/c.toml", sockets=sockets))
    threshold = str(int(HIGHEST_EXPOSURE * 10))
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", f"--threshold={threshold}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for connectord.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= HIGHEST_EXPOSURE
    assert done.returncode == 0


@pytest.mark.parametrize("options", EVERY_KIND)
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, options: UnitOptions) -> None:
    analyze = require_program("systemd-analyze")
    mode = ["--user"] if options.user else []
    done = subprocess.run(
        [analyze, *mode, "verify", "--man=no", *written(tmp_path, options)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"},
    )
    told = [line for line in done.stderr.splitlines() if "connectord" in line]
    assert (done.returncode, told) == (0, [])


def test_paths_with_spaces_and_signs_are_quoted() -> None:
    unit = render_units(UnitOptions("/opt/my tools/100%/connectord", "/bin/true", "/etc/$x.toml"))
    assert 'ExecStart="/opt/my tools/100%%/connectord" run --config /etc/$$x.toml' in unit[PurePosixPath(SERVICE)]


def test_private_users_would_hide_who_calls() -> None:
    assert not re.search("^PrivateUsers=", render_units(OPTIONS)[PurePosixPath(SERVICE)], re.M)


def test_what_is_meant_for_another_process_is_not_taken() -> None:
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "1", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1", "HOME": "/"}
    assert take_inherited(environ, os.getpid()) == Inherited()
    # no child is meant either
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(("given", "seconds"), [("5000000", 5.0), ("0", None), ("soon", None), ("", None)])
def test_how_often_the_watchdog_wants_a_sign(given: str, seconds: float | None) -> None:
    assert take_inherited({"WATCHDOG_USEC": given}, os.getpid()).watchdog_seconds == seconds


def test_a_descriptor_that_is_no_socket_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr("connectord.systemd.FIRST_DESCRIPTOR", descriptor)
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "callbacks"}
    with pytest.raises(AddressUnusable, match="it is no socket"):
        take_inherited(environ, os.getpid())
    os.close(descriptor)


async def test_a_loop_that_said_for_how_long_it_is_away_is_not_owed(autojump_clock: trio.testing.MockClock) -> None:
    pulse = Pulse()
    pulse.leave(30)
    pulse.ask()
    assert not pulse.is_owed
    await trio.sleep(30 + OVERDUE_SECONDS)
    assert pulse.is_owed
    pulse.beat()
    assert not pulse.is_owed
    pulse.ask()
    assert pulse.is_owed
