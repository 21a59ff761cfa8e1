"""The shipped units under a service manager: reload, watchdog, restarts, socket activation, stop."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from connectord.client import AsyncClient
from connectord.errors import DaemonUnreachable
from helpers import restarting
from helpers.installed import SitePackages
from helpers.ports import lasting_port
from helpers.service_manager import ServiceManager, manage

GOOD = '[systems.erp]\nadapter = "exec"\n[systems.erp.exec]\ncommand = ["/bin/true"]\n'
PATIENCE = 120.0


class Stage:
    """A directory with a configuration, and a service manager for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = lasting_port()
        self.socket = directory / "control.sock"

    def configure(self, text: str = GOOD, daemon: str = "") -> None:
        head = f'[daemon]\n{daemon}\n[callbacks]\nbind = "127.0.0.1:{self.port}"\n'
        (self.directory / "connectord.toml").write_text(head + text)

    def manager(
        self, drop_in: str = "", *, sockets: bool = True, environ: dict[str, str] | None = None
    ) -> ServiceManager:
        return manage(self.directory, self.port, sockets=sockets, drop_in=drop_in, environ=environ)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    made.configure()
    with trio.fail_after(PATIENCE):
        yield made


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "own sockets"])
async def test_a_reload_fails_where_it_is_refused_and_the_service_goes_on(stage: Stage, sockets: bool) -> None:
    manager = stage.manager(sockets=sockets)
    async with manager.running():
        await manager.start()
        assert manager.status == "serving 1 system, configuration 1"
        pid = manager.pid
        stage.configure(GOOD + GOOD.replace("erp", "depot"))
        assert (await manager.reload()).returncode == 0
        assert manager.status == "serving 2 systems, configuration 2"
        stage.configure(GOOD.replace("command", "comand"))
        refused = await manager.reload()
        assert refused.returncode != 0
        assert b"comand" in refused.stderr  # type: ignore[operator]
        assert manager.status.startswith("reload refused, ")
        assert manager.status.endswith("; serving 2 systems, configuration 2")
        reloads = [line.partition("=")[0] for line in manager.messages if not line.startswith(("STATUS", "WATCHDOG"))]
        # READY=1 also after a refused one, and each RELOADING=1 with its time
        assert reloads == ["READY", *["RELOADING", "MONOTONIC_USEC", "READY"] * 2]
        assert await manager.stop() < manager.unit.seconds("TimeoutStopSec")
        assert (manager.pid, manager.exits) == (pid, [0])
        assert {"STOPPING=1", "EXTEND_TIMEOUT_USEC=35000000"} <= set(manager.messages)


@pytest.mark.parametrize("part", ["loop", "writer", "lane", "disk"])
async def test_who_hangs_or_breaks_is_started_again_and_nothing_is_lost(stage: Stage, part: str) -> None:
    site = SitePackages(stage.directory / "site")
    site.install("hangs_daemon")
    marks = stage.directory / "marks"
    marks.mkdir()
    stage.configure('[systems.bad]\nadapter = "hangs_daemon"\nretry.limit = 3\n')
    manager = stage.manager("WatchdogSec=4s", environ={**site.environ, "HANG_MARKS": str(marks)})
    async with manager.running():
        await manager.start()
        pid = manager.pid
        # the attempt may begin, and hang all, before the answer has left
        with suppress(DaemonUnreachable):
            async with AsyncClient(stage.socket) as client:
                await client.submit("bad", key="K-1", data={"hang": part})
        await manager.active_again(pid)
        assert manager.exits == [74 if part == "disk" else -signal.SIGABRT]
        async with AsyncClient(stage.socket) as client:
            # rule 17: the same key gives the action that was taken before
            action = await client.submit("bad", key="K-1", data={"hang": part})
            while (await client.show(action.id)).state != "closed":
                await trio.sleep(0.05)
            assert (await client.show(action.id)).resolution == "done_successfully"
        said = {"writer": "the ledger's writer", "lane": "the lane bad", "disk": "disk I/O error"}.get(part, "")
        assert said in manager.log()
        # faulthandler: the log shows what every thread was at
        assert ("Fatal Python error: Aborted" in manager.log()) == (part != "disk")


async def test_a_refused_configuration_is_not_started_again(stage: Stage) -> None:
    stage.configure("[systems]\nerp = 1\n")
    manager = stage.manager()
    async with manager.running():
        await manager.start()
        assert manager.settled.is_set()
        assert manager.exits == [78]
        assert manager.status.startswith("configuration refused: ")


async def test_restarts_under_callbacks_refuse_and_lose_nothing(tmp_path: Path) -> None:
    tally = await restarting.run(tmp_path, restarts=3, rate=50)
    assert (tally.refused, tally.wrong, tally.not_closed) == ([], [], 0)
    assert tally.taken == tally.sent > 0


async def test_a_stop_lets_attempts_end_within_the_drain(stage: Stage) -> None:
    stage.configure(GOOD.replace('"/bin/true"', '"/bin/sleep", "1"'))
    manager = stage.manager()
    async with manager.running():
        await manager.start()
        async with AsyncClient(stage.socket) as client:
            action = await client.submit("erp")
            while (await client.show(action.id)).state != "attempting":
                await trio.sleep(0.02)
        await manager.restart()
        async with AsyncClient(stage.socket) as client:
            shown = await client.show(action.id)
        # neither interrupted nor tried again
        assert (shown.state, shown.attempts) == ("closed", 1)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"LISTEN_FDNAMES": "web:control"}, "named 'web': set FileDescriptorName=callbacks or control"),
        ({"LISTEN_FDNAMES": "control:callbacks"}, "must be a unix socket that listens"),
    ],
    ids=["name", "kind"],
)
async def test_a_socket_that_is_not_what_its_name_says_is_refused(
    stage: Stage, environ: dict[str, str], says: str
) -> None:
    manager = stage.manager("Restart=no")
    names = environ["LISTEN_FDNAMES"].split(":")
    manager.sockets = dict(zip(names, manager.sockets.values(), strict=True))
    async with manager.running():
        await manager.start()
        assert manager.exits == [1]
        assert says in manager.log()
