"""What people do to a simulated daemon over its control socket, at any moment, whether it fits or not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from connectord.testing.simulation.client import ControlClient, ControlLost, ControlRefused
from connectord.testing.simulation.plan import Step
from connectord.testing.simulation.shapes import CONFIG_FILE, POOL, QUEUES, SYSTEMS, Shape, shape

if TYPE_CHECKING:
    from connectord.testing.simulation.world import World

BROKEN = b"[daemon]\nstate_directory = 7\n[systems.alpha]\nretry.limit = 0\n"
CONFIGURATION_REFUSED = -32004
OVERLOADED = -32005
PATIENCE_MS = 600_000
KEY_CONFLICT = -32006

_EVENTS = {
    "retry": "RetryRequested",
    "take": "Took",
    "release": "Released",
    "assign": "Assigned",
    "complete": "Completed",
    "cancel": "Cancelled",
}
_FITTING = {
    "retry": ("pending",),
    "take": ("todo",),
    "release": ("in_progress",),
    "assign": ("todo", "in_progress"),
    "complete": ("todo", "in_progress"),
    "cancel": ("pending", "waiting"),
    "rerun": ("closed",),
}


class Acts:
    """Does one step of a plan after the other, several at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._used: list[dict[str, Any]] = []
        self._idle: list[ControlClient] = []

    async def do(self, step: Step) -> None:
        """Do what the step says."""
        rng = random.Random(step.number)  # noqa: S311 - to be repeatable
        match step.what:
            case "submit":
                await self._submit(rng)
            case "reload":
                await self._reload(shape(rng.randrange(POOL)))
            case "break":
                await self._reload_broken()
            case "pause":
                await self._pause(rng)
            case "flood":
                await self._flood(rng)
            case "watch":
                await self._watch(rng)
            case "stop":
                await self._try("shutdown", {"now": rng.random() < 0.5})
            case "look":
                await self._look(rng)
            case "rerun":
                await self._rerun(rng)
            case _:
                await self._act(step.what, rng)

    async def _ask(self, method: str, params: dict[str, Any], check: Any = None) -> Any:
        """One request, mostly on a connection that was used before. Raises what :meth:`ControlClient.call` does."""
        world = self._world
        client = self._idle.pop() if self._idle and world.rng.random() < 0.9 else None
        if client is None or client.machine is not world.machine:
            client = ControlClient(world)
        try:
            result = await client.call(method, params, check)
        except ControlRefused as refusal:
            self._idle.append(client)
            world.trace.note(method, "refused", refusal.code)
            if refusal.code in (-32603, -32700, -32600, -32601, -32602):
                self._check_fault(method, params, refusal)
            raise
        except BaseException:
            await client.aclose()
            raise
        self._idle.append(client)
        world.trace.note(method, "done")
        return result

    def _check_fault(self, method: str, params: dict[str, Any], refusal: ControlRefused) -> None:
        if refusal.code == -32603 and self._world.disk.faults.failed_at is not None:
            return
        self._world.observer.violated("the control socket", f"{method} {params} is answered with {refusal}")

    async def _try(self, method: str, params: dict[str, Any], check: Any = None) -> Any:
        """As :meth:`_ask`; None where it is refused or lost."""
        try:
            return await self._ask(method, params, check)
        except (ControlLost, ControlRefused):
            return None

    # -- submitting

    async def _submit(self, rng: random.Random) -> None:
        """Submit, and where no answer came, submit the same again: what has a key is there once (rule 17)."""
        if self._used and rng.random() < 0.25:
            items = [dict(rng.choice(self._used))]
            if rng.random() < 0.4:
                items[0]["data"] = {"n": rng.randrange(1000), "other": True}
        else:
            items = [self._submission(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
            self._used += [item for item in items if "key" in item]
        await self._submit_items(items, many=len(items) > 1 or rng.random() < 0.1)

    async def _flood(self, rng: random.Random) -> None:
        """Submit more than a system may have at once, and let the daemon come back to it from a stop or a pause."""
        world = self._world
        systems = world.shape.systems
        system = max(systems, key=lambda name: (systems[name].rate is None, systems[name].concurrency))
        items = [{**self._submission(rng), "system": system} for _ in range(rng.randint(9, 12))]
        how = rng.choice(("pause", "pause", "cut", "stop", "go on"))
        if how == "pause":
            await self._try("pause", {"system": system})
        await self._submit_items(items, many=True)
        match how:
            case "pause":
                await trio.sleep(rng.choice((0.0, 0.5)))
                await self._try("resume", {"system": system})
            case "cut":
                world.cut()
            case "stop":
                await self._try("shutdown", {"now": rng.random() < 0.5})

    async def _submit_items(self, items: Sequence[dict[str, Any]], *, many: bool) -> None:
        """Until they are there, or may not be asked for again."""
        world = self._world

        def check(result: dict[str, Any]) -> None:
            actions = result["actions"] if many else [result]
            for item, action in zip(items, actions, strict=True):
                payload = msgspec.json.encode([item.get("case"), item.get("owner"), item["data"]]).decode()
                world.observer.submission_acknowledged(item["system"], item.get("key"), payload, action)
                world.trace.note("submitted", action["id"], item["system"])

        for _ in range(4):
            await self._until_up()
            try:
                method, params = ("submit_many", {"actions": items}) if many else ("submit", items[0])
                await self._ask(method, params, check)
            except ControlLost:
                if not all("key" in item for item in items):
                    return
            except ControlRefused as refusal:
                if refusal.code != OVERLOADED:
                    return
                await trio.sleep(2)
            else:
                return

    def _submission(self, rng: random.Random) -> dict[str, Any]:
        item: dict[str, Any] = {"system": rng.choice(SYSTEMS), "data": {"n": rng.randrange(1000)}}
        if rng.random() < 0.6:
            item["case"] = f"C-{rng.randrange(3)}"
        if rng.random() < 0.7:
            item["owner"] = rng.choice(("ida@example.org", "jon@example.org"))
        if rng.random() < 0.6:
            item["key"] = f"key-{rng.randrange(1_000_000)}"
        return item

    # -- people

    async def _act(self, what: str, rng: random.Random) -> None:
        world = self._world
        for _ in range(rng.choice((1, 1, 2))):
            action_id = self._choose(what, rng)
            if action_id is None:
                return
            params = self._params(what, action_id, rng)
            since = len(world.observer.mirror.history)

            def check(result: dict[str, Any], action_id: str = action_id, since: int = since) -> None:
                world.observer.act_acknowledged(action_id, _EVENTS[what], since, result)

            await self._try(what, params, check)
            await trio.sleep(rng.choice((0.0, 0.0, 0.5)))

    def _params(self, what: str, action_id: str, rng: random.Random) -> dict[str, Any]:
        params: dict[str, Any] = {"id": action_id}
        match what:
            case "take":
                params["user"] = rng.choice(("ann", "ben"))
            case "assign":
                params |= {"queue": rng.choice(QUEUES)} if rng.random() < 0.5 else {"user": "cleo"}
            case "complete":
                params["resolution"] = rng.choice(("done_successfully", "not_done_successfully"))
                if rng.random() < 0.5:
                    params["data"] = {"by_hand": rng.randrange(100)}
            case "cancel":
                params["note"] = "not needed any more"
        return params

    def _choose(self, what: str, rng: random.Random) -> str | None:
        actions = self._world.observer.mirror.actions
        fitting = [action.id for action in actions.values() if action.state in _FITTING[what]]
        if fitting and rng.random() < 0.85:
            return rng.choice(fitting)
        return rng.choice(list(actions)) if actions else None

    async def _rerun(self, rng: random.Random) -> None:
        action_id = self._choose("rerun", rng)
        if action_id is None:
            return
        params: dict[str, Any] = {"ids": [action_id]}
        if rng.random() < 0.3:
            params = {"filters": {"system": rng.choice(SYSTEMS), "resolution": "not_done_successfully"}}

        def check(result: dict[str, Any]) -> None:
            observer = self._world.observer
            for action in result["actions"]:
                observer.submission_acknowledged(action["system"], None, "", action)

        await self._try("rerun", params, check)

    async def _look(self, rng: random.Random) -> None:
        action_id = self._choose("retry", rng)
        if action_id is not None:
            await self._try("show", {"id": action_id}, self._world.observer.shown)
            for method in ("why", "history", "attempts"):
                await self._try(method, {"id": action_id})
        await self._try("status", {})
        await self._try("systems", {})

    # -- the operator

    async def _reload(self, new: Shape) -> bool:
        world = self._world
        world.write_configuration(new)
        world.trace.note("reload", new.number)
        return await self._try("reload", {}, lambda result: self._reloaded(new, result)) is not None

    def _reloaded(self, new: Shape, result: dict[str, Any]) -> None:
        # somebody may have written another file meanwhile
        if self._world.shape is new:
            self._world.observer.reload_acknowledged(new, result)

    async def _reload_broken(self) -> None:
        world = self._world
        good = world.disk.files[CONFIG_FILE.name]
        world.disk.files[CONFIG_FILE.name] = BROKEN
        try:
            await self._ask("reload", {})
        except ControlRefused as refusal:
            if refusal.code != CONFIGURATION_REFUSED:
                self._check_fault("reload", {}, refusal)
        except ControlLost:
            pass
        finally:
            if world.disk.files[CONFIG_FILE.name] == BROKEN:
                world.disk.files[CONFIG_FILE.name] = good

    async def _pause(self, rng: random.Random) -> None:
        system = rng.choice(SYSTEMS)
        paused = self._world.observer.paused

        def check(result: dict[str, Any]) -> None:
            paused[system] = trio.current_time()

        await self._try("pause", {"system": system}, check)
        if rng.random() < 0.5:
            await trio.sleep(rng.choice((0.0, 0.3)))
            self._world.cut()  # a pause is kept over a restart
        await trio.sleep(rng.choice((0.5, 5.0, 15.0)))
        paused.pop(system, None)
        await self._try("resume", {"system": system})

    async def _watch(self, rng: random.Random) -> None:
        """Hear of every change, in its order, none left out, however slowly it is read."""
        world = self._world
        last: list[int] = []

        def told(event: dict[str, Any]) -> None:
            seq = event["seq"]
            if last and seq != last[-1] + 1:
                world.observer.violated("watchers hear of every change", f"{seq} comes after {last[-1]}")
            last[:] = [seq]
            world.observer.change_told(seq, event["action"], event["to"])

        slow = rng.choice((0.0, 0.1, 2.0))
        while True:
            await self._until_up()
            params = {"after": last[-1]} if last else {}
            try:
                async with aclosing(_Watching(ControlClient(world, told), slow)) as watching:
                    await watching.run(params)
            except (ControlLost, trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.sleep(0.5)

    async def _until_up(self) -> None:
        # between the end of a daemon and the word that it is down, others have to have their turn
        await trio.lowlevel.checkpoint()
        while not self._world.up.is_set():
            await self._world.up.wait()

    # -- the end

    async def put_in_order(self, last: Shape) -> None:
        """Every system is configured and goes on, and notifications are tried now."""
        while not await self._reload(last):
            await trio.sleep(1)
            await self._until_up()
        self._world.observer.paused.clear()
        while (systems := await self._try("systems", {})) is None:
            await self._until_up()
        for system in systems["systems"]:
            # a lane that goes on by itself is left alone: one that sleeps for ever would be woken by a resume
            if system["paused"]:
                await self._try("resume", {"system": system["name"]})
        await self._try("notifications_retry", {})

    async def hurry(self) -> None:
        """A system may have asked for a pause of a day (rule 12): a person does not wait for that."""
        actions = self._world.observer.mirror.actions.values()
        latest = self._world.clock.now_ms() + PATIENCE_MS
        for action_id in [each.id for each in actions if each.due_at is not None and each.due_at > latest]:
            await self._try("retry", {"id": action_id})

    async def finish_by_hand(self) -> None:
        """People close what waits for them."""
        while ids := self._of_people():
            await self._until_up()
            for action_id in ids:
                await self._try("complete", {"id": action_id, "resolution": "done_successfully"})
            await trio.sleep(0.5)

    def _of_people(self) -> Sequence[str]:
        actions = self._world.observer.mirror.actions.values()
        return [action.id for action in actions if action.state in ("todo", "in_progress")]

    async def look_at_everything(self) -> None:
        """What is shown is what is on disk, and counted as it is."""
        observer = self._world.observer
        await trio.sleep(1)  # the last commit may still be on its way to those who count
        for action_id in observer.mirror.actions:
            await self._try("show", {"id": action_id}, observer.shown)
        while (status := await self._try("status", {})) is None:
            await trio.sleep(0.5)
        live = {state: count for state, count in status["counts"].items() if count and state != "closed"}
        if live:
            observer.violated("status counts what is there", f"{live}, although everything is closed")


class _Watching:
    """One connection that reads what it is told, at its own pace."""

    def __init__(self, client: ControlClient, seconds_between_reads: float) -> None:
        self._client = client
        self._seconds = seconds_between_reads

    async def run(self, params: dict[str, Any]) -> None:
        stream = self._client.stream
        line = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "watch", "params": params}) + b"\n"
        await stream.send_all(line)
        while await stream.receive_some(4096):
            await trio.sleep(self._seconds)

    async def aclose(self) -> None:
        await self._client.aclose()
