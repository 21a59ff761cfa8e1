"""Adapters that do all the wrong things, in a real daemon beside a healthy one: it lives, and names them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.installed import SitePackages, line_of

BESIDE = 20


class Stage:
    """One misbehaving adapter, and the system ``good`` beside it, in a daemon of their own."""

    def __init__(self, directory: Path) -> None:
        self.site = SitePackages(directory / "site")
        self.site.install("healthy")
        self.daemon = DaemonProcess(directory, self.site.environ)
        self.file = Path()

    async def play(self, module: str, *systems: str, attempt_timeout: str = "500ms") -> None:
        """Start with the bad adapter in ``systems``, or in the one system ``bad``."""
        self.file = self.site.install(module)
        head = self.daemon.head().replace('drain = "5s"', 'drain = "1s"\nloop_warning = "300ms"')
        self.daemon.configure(
            f'{head}[retry]\nlimit = 1\n[systems.good]\nadapter = "healthy"\n'
            + "".join(
                f'[systems.{system}]\nadapter = "{module}"\nattempt_timeout = "{attempt_timeout}"\n'
                for system in systems or ("bad",)
            )
        )
        await self.daemon.start()

    async def misbehave(self, system: str = "bad", **data: Any) -> dict[str, Any]:
        """Submit to a bad one, and see that the good one goes on; the bad one's action once it was attempted."""
        action = await self.daemon.call("submit", system=system, data=data)
        await self.go_on()
        return await self.daemon.until(action["id"], "closed", "waiting", "todo")

    async def go_on(self) -> None:
        """The healthy lane serves as if nothing had happened."""
        actions = [{"system": "good"} for _ in range(BESIDE)]
        made = await self.daemon.call("submit_many", actions=actions)
        for action in made["actions"]:
            closed = await self.daemon.until(action["id"], "closed")
            assert closed["resolution"] == "done_successfully"

    async def faulted(self, name: str = "bad") -> dict[str, Any]:
        """A bad system, once its fault shows."""
        with trio.fail_after(60):
            while True:
                systems = (await self.daemon.call("systems"))["systems"]
                system: dict[str, Any] = next(system for system in systems if system["name"] == name)
                if system["faults"]:
                    return system
                await trio.sleep(0.05)

    async def attempt_message(self, action: dict[str, Any]) -> str:
        (attempt,) = (await self.daemon.call("attempts", id=action["id"]))["attempts"]
        assert attempt["outcome"] == "not_connected", attempt
        return str(attempt["message"])

    async def fails(self, words: str, mark: str = "at fault", system: str = "bad", **data: Any) -> None:
        """The attempt fails in these words, and every report names the line."""
        action = await self.misbehave(system, **data)
        assert action["resolution"] == "not_done_successfully"
        place = line_of(self.file, mark)
        message = await self.attempt_message(action)
        assert words in message
        assert place in message
        assert place in (await self.faulted(system))["last_error"]
        assert place in self.daemon.log()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.daemon.kill()


async def test_one_that_blocks_the_loop_is_named_while_it_does(stage: Stage) -> None:
    await stage.play("blocks", attempt_timeout="10s")
    action = await stage.misbehave()
    assert action["state"] == "waiting"
    place = line_of(stage.file)
    system = await stage.faulted()
    assert system["last_error"].startswith("adapter fault: blocked the event loop for ")
    assert place in system["last_error"]
    block = (await stage.daemon.call("status"))["longest_block"]
    assert block["seconds"] > 1.0
    assert (block["by"], block["place"], block["system"]) == ("plugin 'blocks' of acme-blocks 1.0", place, "bad")
    lines = [line for line in stage.daemon.log().splitlines() if place in line]
    for event in ("the event loop is blocked", "the event loop goes on"):
        assert len([line for line in lines if event in line]) == 1
    assert await stage.daemon.stop() == 0


async def test_one_that_raises_anything(stage: Stage) -> None:
    errors = ("KeyboardInterrupt", "SystemExit", "GeneratorExit", "BaseException", "MemoryError")
    await stage.play("raises", *errors)
    for error in errors:
        await stage.fails(f"adapter fault: {error}: out of the adapter", system=error, error=error)
    assert await stage.daemon.stop() == 0


async def test_one_that_never_returns(stage: Stage) -> None:
    await stage.play("never_returns")
    action = await stage.misbehave()
    assert "no answer within 0.5 s" in await stage.attempt_message(action)
    assert await stage.daemon.stop() == 0


@pytest.mark.parametrize("module", ["shields", "swallows"])
async def test_one_that_ignores_cancellation_is_given_up_and_holds_up_no_stop(stage: Stage, module: str) -> None:
    await stage.play(module)
    await stage.fails("trigger() ignores cancellation")
    # neither a pause nor a reload waits for it
    with trio.fail_after(60):
        await stage.daemon.call("pause", system="bad")
        assert (await stage.daemon.call("reload"))["applied"]
        await stage.daemon.call("resume", system="bad")
    with trio.fail_after(60):
        assert await stage.daemon.stop() == 1
    last = stage.daemon.log().splitlines()[-1]
    assert "something holds up the stop" in last
    assert line_of(stage.file) in last
    # nothing is lost
    await stage.daemon.start()
    await stage.go_on()


async def test_a_stop_while_an_attempt_ignores_cancellation_settles_it_at_the_next_start_rule_14(stage: Stage) -> None:
    await stage.play("shields", attempt_timeout="60s")
    action = await stage.daemon.call("submit", system="bad")
    await stage.daemon.until(action["id"], "attempting")
    stage.daemon.signal(signal.SIGTERM)
    assert await stage.daemon.wait() == 1
    assert line_of(stage.file) in stage.daemon.log().splitlines()[-1]
    await stage.daemon.start()
    closed = await stage.daemon.until(action["id"], "closed")
    (attempt,) = (await stage.daemon.call("attempts", id=closed["id"]))["attempts"]
    assert attempt["outcome"] == "interrupted"


async def test_a_stop_while_the_loop_is_blocked_for_ever(stage: Stage) -> None:
    source = "import time\nfrom connectord.adapters import Adapter\nfrom connectord.hookspecs import hookimpl\n"
    source += 'class B(Adapter):\n    name = "blocks"\n    async def trigger(self, call):\n        time.sleep(600)\n'
    source += "@hookimpl\ndef connectord_register_adapters(register):\n    register(B)\n"
    await stage.play("blocks")
    await stage.daemon.stop()
    file = stage.site.install("blocks", source)
    await stage.daemon.start()
    # nobody answers: the answer would come from the loop
    stream = await trio.open_unix_socket(str(stage.daemon.socket))
    async with stream:
        await stream.send_all(b'{"jsonrpc":"2.0","id":1,"method":"submit","params":{"system":"bad"}}\n')
        with trio.fail_after(60):
            while "the event loop is blocked" not in stage.daemon.log():
                await trio.sleep(0.05)
    assert await stage.daemon.stop() == 1
    last = stage.daemon.log().splitlines()[-1]
    assert f"{file}:7 blocks the event loop" in last


async def test_one_that_raises_a_cancellation_that_is_not_ours(stage: Stage) -> None:
    await stage.play("stale_cancel")
    await stage.fails("adapter fault: Cancelled")
    assert await stage.daemon.stop() == 0


async def test_one_that_floods(stage: Stage) -> None:
    await stage.play("floods", attempt_timeout="30s")
    await stage.fails("adapter fault: OSError: drowned")
    assert await stage.daemon.stop() == 0


async def test_one_that_returns_bad_types(stage: Stage) -> None:
    answers = ("none", "class", "reason", "data", "object", "surrogate", "reference")
    await stage.play("bad_types", *answers)
    for answer in answers:
        await stage.fails("adapter fault: ", system=answer, answer=answer)
    assert await stage.daemon.stop() == 0


async def test_one_that_leaves_a_thread_behind(stage: Stage) -> None:
    await stage.play("threads")
    assert (await stage.misbehave())["state"] == "waiting"
    with trio.fail_after(60):
        assert await stage.daemon.stop() == 0
    last = stage.daemon.log().splitlines()[-1]
    assert "left behind" in last
    assert line_of(stage.file) in last


async def test_one_that_forks(stage: Stage) -> None:
    await stage.play("forks")
    assert (await stage.misbehave())["state"] == "waiting"
    place = line_of(stage.file)
    assert place in (await stage.faulted())["last_error"]
    assert place in next(line for line in stage.daemon.log().splitlines() if "the daemon was forked" in line)
    await trio.sleep(0.3)
    assert "the child goes on" not in stage.daemon.log()
    assert await stage.daemon.stop() == 0
    # no child holds the state directory or an address
    await stage.daemon.start()
    await stage.go_on()


async def test_one_that_closes_its_client(stage: Stage) -> None:
    await stage.play("closes_client")
    await stage.fails("adapter fault: RuntimeError: Cannot send a request, as the client has been closed.")
    assert await stage.daemon.stop() == 0


async def test_one_with_a_huge_response(stage: Stage) -> None:
    answers = ("reason", "text", "list")
    await stage.play("huge_response", *answers, "error", attempt_timeout="30s")
    for answer in answers:
        await stage.fails("a response carries at most 1048576", system=answer, where=answer)
    message = await stage.attempt_message(await stage.misbehave("error", where="error"))
    assert "adapter fault: OSError: xxx" in message
    assert len(message) < 10_000
    assert await stage.daemon.stop() == 0


async def test_one_with_endless_recursion(stage: Stage) -> None:
    await stage.play("recursion", "code", "cycle", "deep", attempt_timeout="30s")
    await stage.fails("RecursionError", "# at fault", system="code", where="code")
    for where in ("cycle", "deep"):
        await stage.fails("nested deeper than 200 levels", "data is at fault here", system=where, where=where)
    assert await stage.daemon.stop() == 0


async def test_one_that_leaks_a_nursery(stage: Stage) -> None:
    await stage.play("leaks_nursery")
    action = await stage.misbehave()
    assert action["resolution"] == "not_done_successfully"
    assert stage.file.name in await stage.attempt_message(action)
    await stage.go_on()
    assert await stage.daemon.stop() == 0


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import_error", "cannot be imported from 'import_error': ModuleNotFoundError"),
        ("import_exits", "cannot be imported from 'import_exits': SystemExit: 3"),
        ("import_hangs", "a plugin is still being imported"),
    ],
)
async def test_one_that_cannot_be_imported(stage: Stage, module: str, words: str) -> None:
    stage.file = stage.site.install(module)
    stage.daemon.configure(stage.daemon.head() + '[systems.good]\nadapter = "healthy"\n')
    await stage.daemon.start()
    await stage.go_on()
    line = next(line for line in stage.daemon.log().splitlines() if words in line)
    assert f"plugin '{module}' of acme-{module} 1.0" in line
    assert line_of(stage.file) in line
    assert await stage.daemon.stop() == 0
