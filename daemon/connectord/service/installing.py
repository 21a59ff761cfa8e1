"""Installing the units and removing them: first a plan, which says all of it, then its steps one by one.

What was not written here is never overwritten or removed: every file begins with a line that has a checksum of the
rest, so that a file which somebody changed is known, too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from connectord.errors import ServiceRefused
from connectord.service.units import (
    SERVICE,
    SOCKETS,
    SYSTEM_CONFIG,
    SYSTEM_UNITS,
    UnitOptions,
    every_unit,
    render_configuration,
    render_units,
)

MARK = "# Written by connectord install-service; connectord uninstall-service removes it. Checksum: "

_OUT_OF_REACH = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - what the sandbox hides

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the units lie and who runs them: the system's service manager, or a user's own.

    ``root`` is put before every path, for the image of another system; then no service manager is spoken to.
    """

    user: bool
    root: Path = Path("/")
    home: Path = field(default_factory=Path.home)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def units(self) -> Path:
        """The directory of unit files."""
        return self._xdg_config / "systemd" / "user" if self.user else self._in_root(SYSTEM_UNITS)

    @property
    def config(self) -> Path:
        """Where the configuration lies if nobody says otherwise."""
        return self._xdg_config / "connectord" / "connectord.toml" if self.user else self._in_root(SYSTEM_CONFIG)

    @property
    def state(self) -> tuple[Path, ...]:
        """The state directory; with DynamicUser= it is a link into a directory that only root may enter."""
        if self.user:
            return (self.home / ".local" / "state" / "connectord",)
        var = self._in_root(PurePosixPath("/var/lib"))
        return var / "connectord", var / "private" / "connectord"

    @property
    def has_manager(self) -> bool:
        """Whether a service manager runs that can be told."""
        if self.root != Path("/") or shutil.which("systemctl") is None:
            return False
        if self.user:
            runtime = self.environ.get("XDG_RUNTIME_DIR", "")
            return bool(runtime) and (Path(runtime) / "systemd").is_dir()
        return Path("/run/systemd/system").is_dir()

    def systemctl(self, *arguments: str) -> tuple[str, ...]:
        """The command that tells the service manager."""
        return ("systemctl", *(("--user",) if self.user else ()), *arguments)

    @property
    def _xdg_config(self) -> Path:
        given = self.environ.get("XDG_CONFIG_HOME", "")
        return Path(given) if given else self.home / ".config"

    def _in_root(self, path: PurePosixPath) -> Path:
        return self.root / str(path).lstrip("/")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order: commands before, files, directories and links to remove, commands after."""

    before: Sequence[tuple[str, ...]] = ()
    write: Mapping[Path, str] = field(default_factory=dict)
    remove: Sequence[Path] = ()
    after: Sequence[tuple[str, ...]] = ()
    hints: Sequence[str] = ()

    def carry_out(self, say: Say, *, dry_run: bool) -> None:
        """Do it, and say each step as it is done; with ``dry_run`` only say it. Raises :class:`ServiceRefused`."""
        for command in self.before:
            _run(command, say, dry_run=dry_run)
        for path, text in self.write.items():
            say(f"write {path}")
            if not dry_run:
                _write(path, text)
        for path in self.remove:
            say(f"remove {path}")
            if not dry_run:
                _remove(path)
        for command in self.after:
            _run(command, say, dry_run=dry_run)
        for hint in self.hints:
            say(hint)


def plan_installation(options: UnitOptions, place: Place, *, start: bool) -> Plan:
    """What installs the units. Raises :class:`ServiceRefused` where that cannot or must not be done."""
    _check_reach(options, place)
    write = {place.units / name: _marked(text) for name, text in render_units(options).items()}
    # what an earlier installation with other options left
    stale = [path for path in map(place.units.joinpath, every_unit()) if path not in write and path.exists()]
    refused = [path for path in (*write, *stale) if not _is_ours(path)]
    if refused:
        raise ServiceRefused(
            f"{_names(refused)}: there already, and not as connectord install-service wrote it. Move it away; changes "
            "of your own belong into a drop-in (systemctl edit connectord)"
        )
    config = place.root / options.config.lstrip("/") if place.root != Path("/") else Path(options.config)
    if not config.exists():
        write = {config: render_configuration(options), **write}
    enabled = (SERVICE, *(SOCKETS if options.sockets else ()))
    if not place.has_manager:
        hints = [f"no service manager to tell; it takes: {' '.join(place.systemctl('enable', '--now', *enabled))}"]
        return Plan(write=write, remove=stale, hints=hints)
    after = [place.systemctl("daemon-reload"), place.systemctl("enable", *enabled)]
    if start:
        # sockets first: the service does not give up addresses that it has bound itself
        if options.sockets:
            after += [place.systemctl("stop", SERVICE), place.systemctl("start", *SOCKETS)]
        after.append(place.systemctl("restart", SERVICE))
    return Plan(write=write, remove=stale, after=after, hints=_hints(options, place))


def plan_removal(place: Place, *, purge: bool) -> Plan:
    """What removes the units, and with ``purge`` the state, too. Raises :class:`ServiceRefused`."""
    there = [path for path in map(place.units.joinpath, every_unit()) if path.exists()]
    ours = [path for path in there if _is_ours(path)]
    foreign = [path for path in there if not _is_ours(path)]
    if not ours and foreign:
        raise ServiceRefused(f"{_names(foreign)}: not as connectord install-service wrote it; remove it by hand")
    if not ours and not purge:
        raise ServiceRefused(f"there is no service of connectord in {place.units}")
    directory = place.units / f"{SERVICE}.d"
    if directory.is_dir() and set(directory.iterdir()) <= set(ours):
        ours.append(directory)
    before, after = [], []
    if place.has_manager and ours:
        units = [path.name for path in ours if path.name in (SERVICE, *SOCKETS)]
        # the sockets go first: a callback would start the service again
        before = [place.systemctl("disable", "--now", *sorted(units, key=lambda name: name == SERVICE))]
        after = [place.systemctl("daemon-reload")]
    state = [path for path in place.state if path.is_symlink() or path.exists()]
    hints = [f"left as it is, for it was changed: {path}" for path in foreign]
    if not purge:
        hints += [f"the state is kept: {path} (--purge removes it)" for path in state[:1]]
    if place.config.exists():
        hints.append(f"the configuration is kept: {place.config}")
    return Plan(before=before, remove=[*ours, *(state if purge else ())], after=after, hints=hints)


def _check_reach(options: UnitOptions, place: Place) -> None:
    """The system's service runs as a user of its own, in a sandbox that hides homes and temporary files."""
    if place.user:
        return
    for what, path in (("the command", options.connectord), ("the configuration", options.config)):
        for each in {path, os.path.realpath(path)}:
            hidden = next((place for place in _OUT_OF_REACH if PurePosixPath(each).is_relative_to(place)), None)
            if hidden is not None:
                raise ServiceRefused(
                    f"{what} is {each}, and a service of the system does not see {hidden}: put it elsewhere (such as "
                    "an environment in /opt/connectord, and /etc/connectord/connectord.toml), or take --user"
                )


def _hints(options: UnitOptions, place: Place) -> list[str]:
    if not place.user:
        return ["look at it: systemctl status connectord; connectorctl status"]
    return [
        "look at it: systemctl --user status connectord",
        "ask it: CONNECTORD_SOCKET=$XDG_RUNTIME_DIR/connectord/control.sock connectorctl status",
        "so that it runs while nobody is logged in: loginctl enable-linger",
    ]


def _marked(text: str) -> str:
    return f"{MARK}{_checksum(text)}\n{text}"


def _is_ours(path: Path) -> bool:
    """Whether the file may be overwritten: it is not there, or is as it was written."""
    try:
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError):
        return False
    return not path.is_symlink() and first == f"{MARK}{_checksum(rest)}"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        advice = "; run it as root, or take --user" if isinstance(error, PermissionError) else ""
        raise ServiceRefused(f"{path} cannot be written: {error.strerror}{advice}") from error


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceRefused(f"{path} cannot be removed: {error.strerror}") from error


def _run(command: tuple[str, ...], say: Say, *, dry_run: bool) -> None:
    say(f"run {' '.join(command)}")
    if dry_run:
        return
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ServiceRefused(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
