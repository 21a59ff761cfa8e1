"""Who may not, cannot: every method of the control socket with every role, at its edge and beneath it.

"Beneath" calls what a method does without the check of the dispatcher, as a path that forgets it would.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from connectord.adapters import Call, Outcome, Rejected, Succeeded, Taken
from connectord.callers import Caller, Role
from connectord.control import methods
from connectord.control.signatures import SIGNATURES
from connectord.errors import NotAllowed, NotFound, Refused
from connectord.extensions import CommandCaller, CommandServices, NoParams
from connectord.plugins import Command
from helpers.simulated_daemon import SimulatedDaemon, simulated_daemon

CONFIGURATION = '[systems.erp]\nadapter = "simulated"\n[systems.rejecting]\nadapter = "simulated"\n'
CHANGED = CONFIGURATION + "retry.limit = 2\n"

TODO, WAITING, CLOSED = "{todo}", "{waiting}", "{closed}"  # where an action of that state is put in
PARAMS: dict[str, dict[str, Any]] = {
    "submit": {"system": "erp"},
    "submit_many": {"actions": [{"system": "erp"}, {"system": "erp"}]},
    "list": {},
    "show": {"id": TODO},
    "why": {"id": TODO},
    "history": {"id": TODO},
    "attempts": {"id": TODO},
    "case": {"id": "C-1"},
    "case_merges": {"id": "C-1"},
    "retry": {"id": WAITING},
    "take": {"id": TODO, "user": "anna"},
    "release": {"id": TODO},
    "assign": {"id": TODO, "user": "anna"},
    "complete": {"id": TODO, "resolution": "done_successfully"},
    "cancel": {"id": WAITING, "note": "no"},
    "queues": {},
    "rerun": {"ids": [CLOSED]},
    "notifications": {},
    "notifications_retry": {},
    "systems": {},
    "pause": {"system": "erp"},
    "resume": {"system": "erp"},
    "reload": {},
    "reload_effects": {"plan": True},
    "config_history": {},
    "config_show": {},
    "config_diff": {"a": 1, "b": 1},
    "status": {},
    "retention": {},
    "doctor": {"timeout_seconds": 1},
    "watch": {},
    "shutdown": {},
}
"""What each method is called with: something that would be done if the caller were allowed to."""

EXTRA: dict[str, list[dict[str, Any]]] = {
    "rerun": [{"filters": {"system": "erp"}}],
    "reload": [{"plan": True}, {"to": 1}],
    "shutdown": [{"now": True}],
}
"""Other ways into the same work."""

REFUSED = [(name, role) for name, signature in SIGNATURES.items() for role in Role if role < signature.role]
PERMITTED = [(name, role) for name, signature in SIGNATURES.items() for role in Role if role >= signature.role]


def play(call: Call) -> Outcome:
    if call.system == "rejecting":
        return Rejected("Vendor unknown")
    return Succeeded() if call.data.get("answer") else Taken()


@dataclass
class Here:
    """A daemon with an action of each kind."""

    simulated: SimulatedDaemon
    ids: dict[str, str]

    def params(self, given: dict[str, Any]) -> dict[str, Any]:
        text = msgspec.json.encode(given).decode()
        for place, action_id in self.ids.items():
            text = text.replace(place, action_id)
        read: dict[str, Any] = msgspec.json.decode(text)
        return read

    async def snapshot(self) -> Any:
        """All that work could have changed."""
        daemon = self.simulated.daemon
        actions = await self.simulated.call("list", limit=100)
        paused = [system["paused"] for system in (await self.simulated.call("systems"))["systems"]]
        return daemon.ledger.last_seq, actions, paused, daemon.configurations.version, daemon._stop.is_set()


async def nobody(method: str, *params: Any) -> None:
    raise AssertionError("nobody listens here")


@asynccontextmanager
async def populated(directory: Path) -> AsyncIterator[Here]:
    async with simulated_daemon(directory, CONFIGURATION, play) as simulated:
        todo = await simulated.call("submit", system="rejecting", case="C-1")
        waiting = await simulated.call("submit", system="erp")
        closed = await simulated.call("submit", system="erp", data={"answer": True})
        await trio.sleep(5)
        here = Here(simulated, {TODO: todo["id"], WAITING: waiting["id"], CLOSED: closed["id"]})
        states = [(await simulated.call("show", id=one))["state"] for one in here.ids.values()]
        assert states == ["todo", "waiting", "closed"]
        # a reload would change something
        simulated.config_file.write_text(simulated.config_file.read_text() + "retry.limit = 2\n")
        yield here


def test_every_method_is_walked() -> None:
    assert set(PARAMS) == set(SIGNATURES)


async def test_no_lower_role_gets_anything_done_at_the_edge_or_beneath_it(autojump_clock, tmp_path: Path) -> None:
    async with populated(tmp_path) as here:
        table = here.simulated.daemon._methods
        before = await here.snapshot()
        for name, role in REFUSED:
            caller = Caller("user:eva", role)
            for given in (PARAMS[name], *EXTRA.get(name, ())):
                params = here.params(given)
                with pytest.raises(NotAllowed, match="needs the role"):
                    await table.dispatch(caller, name, params, nobody)
                checked = msgspec.convert(params, SIGNATURES[name].params)
                with pytest.raises(NotAllowed, match="needs the role"):
                    await table.table[name](checked, caller, nobody)
                assert await here.snapshot() == before, (name, role)


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_do_what_it_may(role: Role, autojump_clock, tmp_path: Path) -> None:
    names = [name for name, permitted in PERMITTED if permitted is role and name != "shutdown"]
    names.sort(key=lambda name: name in ("take", "release", "assign", "complete", "cancel", "retry"))
    async with populated(tmp_path) as here:
        for name in names:
            with trio.move_on_after(1):
                # after the methods before it one may be refused in this state; nothing else may go wrong
                with suppress(Refused, NotFound):
                    await here.simulated.daemon._methods.dispatch(
                        Caller("user:eva", role), name, here.params(PARAMS[name]), nobody_cares
                    )


async def nobody_cares(method: str, *params: Any) -> None:
    return None


async def test_a_plugins_method_does_nothing_that_its_caller_may_not(autojump_clock, tmp_path: Path) -> None:
    done: list[str] = []

    async def submit(params: Any, caller: CommandCaller, services: CommandServices) -> Any:
        done.append(caller.role)
        return await services.submit("erp")

    async def look(params: Any, caller: CommandCaller, services: CommandServices) -> Any:
        return await services.ask("config_show")

    commands = {
        "open-to-all": Command("open-to-all", submit, "viewer", NoParams, "a plugin"),
        "for-admins": Command("for-admins", submit, "admin", NoParams, "a plugin"),
        "looks": Command("looks", look, "viewer", NoParams, "a plugin"),
    }
    async with populated(tmp_path) as here:
        table = methods.Methods(here.simulated.daemon, lambda: commands)
        before = await here.snapshot()
        with pytest.raises(NotAllowed, match="submit needs the role operator"):
            await table.dispatch(Caller("user:eva", Role.VIEWER), "open-to-all", {}, nobody)
        assert done == ["viewer"]
        for role in (Role.VIEWER, Role.OPERATOR):
            with pytest.raises(NotAllowed, match="for-admins needs the role admin"):
                await table.dispatch(Caller("user:eva", role), "for-admins", {}, nobody)
        with pytest.raises(NotAllowed, match="only what a viewer may"):
            await table.dispatch(Caller("user:eva", Role.ADMIN), "looks", {}, nobody)
        assert done == ["viewer"]
        assert await here.snapshot() == before


def test_no_method_reaches_work_that_takes_no_caller() -> None:
    """The methods change things only by calls that are handed the caller, whose role these check themselves."""
    unguarded = {"submit", "apply", "perform", "perform_at_once", "insist", "report", "deliver", "hasten_notifications"}
    unguarded |= {"request_stop", "enforce_limit", "claim", "expire"}
    found = [
        f"{path.name}:{node.lineno} {node.func.attr}"
        for path in sorted(Path(methods.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in unguarded
    ]
    assert found == []
