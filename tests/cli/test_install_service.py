"""install-service and uninstall-service, as their users run them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from helpers.service_manager import SCRIPTS


class Home:
    """A user's home without a service manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.units = directory / ".config/systemd/user"
        self.config = directory / ".config/connectord/connectord.toml"

    def run(self, *arguments: str, code: int = 0) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        done = subprocess.run(
            [str(SCRIPTS / "connectord"), *arguments],
            env={**kept, "HOME": str(self.directory)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def files(self) -> set[str]:
        return {str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file()}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_users_service_comes_and_goes(home: Home) -> None:
    said = home.run("install-service", "--user", "--socket-activation")
    written = {line.removeprefix("write ") for line in said.splitlines() if line.startswith("write ")}
    assert written == {str(home.directory / name) for name in home.files()}
    assert "systemctl --user enable --now connectord.service connectord.socket" in said
    assert (
        f"ExecStart={SCRIPTS / 'connectord'} run --config {home.config}"
        in (home.units / "connectord.service").read_text()
    )
    # again, with other options: what is not wanted any more goes
    assert f"remove {home.units / 'connectord.socket'}" in home.run("install-service", "--user")
    assert not (home.units / "connectord.socket").exists()
    assert f"the configuration is kept: {home.config}" in home.run("uninstall-service", "--user")
    assert home.files() == {".config/connectord/connectord.toml"}
    assert "there is no service" in home.run("uninstall-service", "--user", code=1)


def test_the_first_configuration_is_a_good_one(home: Home) -> None:
    home.run("install-service", "--user")
    assert "ok, 0 systems" in home.run("check", "--config", str(home.config))


def test_a_dry_run_writes_nothing(home: Home) -> None:
    assert "write " in home.run("install-service", "--user", "--dry-run")
    assert home.files() == set()
    home.run("install-service", "--user")
    before = home.files()
    assert "remove " in home.run("uninstall-service", "--user", "--purge", "--dry-run")
    assert home.files() == before


@pytest.mark.parametrize("change", ["foreign", "edited", "link"])
def test_what_somebody_else_wrote_is_left_alone(home: Home, change: str) -> None:
    unit = home.units / "connectord.service"
    if change == "edited":
        home.run("install-service", "--user")
        unit.write_text(unit.read_text() + "# mine\n")
    else:
        unit.parent.mkdir(parents=True)
        unit.write_text("[Service]\n") if change == "foreign" else unit.symlink_to("/dev/null")
    before = unit.read_text()
    assert "not as connectord install-service wrote it" in home.run("install-service", "--user", code=1)
    assert "remove it by hand" in home.run("uninstall-service", "--user", code=1)
    assert unit.read_text() == before


def test_the_socket_listens_where_the_configuration_says(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text('[callbacks]\nbind = "[::1]:9470"\n')
    home.run("install-service", "--user", "--socket-activation")
    assert "ListenStream=[::1]:9470\n" in (home.units / "connectord.socket").read_text()
    home.config.write_text('[callbacks]\nbind = "127.0.0.1:0"\n')
    assert "a port of its own" in home.run("install-service", "--user", "--socket-activation", code=1)


def test_purge_removes_the_state(home: Home) -> None:
    home.run("install-service", "--user")
    state = home.directory / ".local/state/connectord"
    state.mkdir(parents=True)
    (state / "connectord.db").touch()
    assert "the state is kept" in home.run("uninstall-service", "--user")
    assert state.exists()
    home.run("uninstall-service", "--user", "--purge", "--yes")
    assert not state.exists()


def test_a_systems_service_must_not_lie_where_its_sandbox_cannot_look(home: Home) -> None:
    said = home.run("install-service", "--config", "/home/anna/connectord.toml", "--dry-run", code=1)
    assert "does not see /" in said
