"""The external systems of a simulated world: what they do with an attempt, and how and when they answer."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from connectord.adapters import (
    Call,
    Deliver,
    NotConnected,
    NotFound,
    NotThere,
    Outcome,
    PollAnswer,
    ProbeAnswer,
    Progress,
    Rejected,
    Response,
    Succeeded,
    Taken,
    Unclear,
)
from connectord.testing.simulation.callbacks import post_callback

if TYPE_CHECKING:
    from connectord.testing.simulation.machine import Machine
    from connectord.testing.simulation.world import World

_SCRIPTS: tuple[tuple[str, int], ...] = (
    ("success", 9),
    ("failure", 4),
    ("progress success", 3),
    ("success success", 2),
    ("same same", 2),
    ("success failure", 2),
    ("failure success", 1),
    ("progress progress failure", 1),
    ("nothing", 2),
)
"""What a system says of what it has taken, in this order or another."""


@dataclass(slots=True)
class Work:
    """What a system has: one piece for one idempotency key, however often it was handed over."""

    key: str
    callback_url: str | None
    answers: list[Response] = field(default_factory=list)
    ready_at: float = 0.0
    """When a poll brings the answer."""
    told: int = 0


class ExternalSystem:
    """One of them. It lives on when the daemon dies."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._works: dict[str, Work] = {}
        self._messages: deque[tuple[str, Response]] = deque()
        self._message_came = trio.Event()

    # -- what its adapter asks of it

    async def trigger(self, machine: Machine, call: Call) -> Outcome:
        """An attempt at one action."""
        world, rng = self._world, self._world.rng
        world.observer.attempt_seen(call)
        behaviour = "take" if world.quiet else world.plan.draw_behaviour(rng, trio.current_time())
        world.trace.note(self._name, "attempt", call.attempt, "of", call.action_id, behaviour)
        await self._take_time(0.0, 0.001, 0.05, 0.5)
        match behaviour:
            case "refuse":
                raise NotConnected("connection refused")
            case "busy":
                seconds = rng.choice((0.2, 3.0, 9.0, 1e9 if rng.random() < 0.02 else 1.0))
                world.observer.wished(call.action_id, call.attempt, seconds)
                raise NotConnected("not now", retry_after_seconds=seconds)
            case "hang":
                await trio.sleep_forever()
            case "fault":
                raise RuntimeError("a fault of the adapter")
            case "rubbish":
                return self._world  # type: ignore[return-value]
        work = self._receive(call)
        match behaviour:
            case "lost":
                raise NotConnected("the connection broke", outcome_unknown=rng.random() < 0.7)
            case "hang after":
                await trio.sleep_forever()
            case "stubborn":
                with trio.CancelScope(shield=True):
                    await trio.sleep(rng.choice((3.0, 9.5, 12.0)))
        answer = self._final(work)
        if answer is not None and (behaviour in ("answer", "stubborn") or (work.told and rng.random() < 0.4)):
            return answer
        if world.plan.swift is None:
            await self._take_time(0.0, 0.0, 0.2, 1.0)
        return Taken(None if rng.random() < 0.5 else f"ref-{call.action_id}")

    async def _take_time(self, *choices_seconds: float) -> None:
        swift = self._world.plan.swift
        if swift is None:
            await trio.sleep(self._world.rng.choice(choices_seconds))
        else:
            for _ in range(swift):
                await trio.lowlevel.checkpoint()

    async def poll(self, call: Call) -> PollAnswer:
        """A question for the response."""
        rng = self._world.rng
        self._world.trace.note(self._name, "poll", call.action_id)
        await trio.sleep(rng.choice((0.0, 0.01, 0.3)))
        if not self._world.quiet and rng.random() < self._world.plan.trouble:
            if rng.random() < 0.3:
                await trio.sleep_forever()
            raise NotConnected("not now", retry_after_seconds=rng.choice((None, 0.5, 3.0)))
        work = self._works.get(call.idempotency_key)
        if work is None or (trio.current_time() < work.ready_at and not self._world.quiet):
            return Progress("at work", 10.0) if work is not None and rng.random() < 0.2 else None
        if not work.answers:
            return None
        answer = work.answers[min(work.told, len(work.answers) - 1)]
        work.told += 1
        return answer if isinstance(answer, Succeeded | Rejected | Progress) else None

    async def probe(self, call: Call) -> ProbeAnswer:
        """A question for what became of an attempt."""
        rng = self._world.rng
        self._world.trace.note(self._name, "probe", call.action_id, call.attempt)
        await trio.sleep(rng.choice((0.0, 0.01, 0.3)))
        if not self._world.quiet and rng.random() < self._world.plan.trouble:
            if rng.random() < 0.3:
                await trio.sleep_forever()
            raise NotConnected("not now", retry_after_seconds=rng.choice((None, 0.5, 3.0)))
        work = self._works.get(call.idempotency_key)
        if work is None:
            return NotThere() if rng.random() < 0.9 else Unclear("nobody can tell")
        answer = self._final(work)
        if answer is not None and rng.random() < 0.3:
            return answer
        return Taken(f"ref-{call.action_id}")

    async def listen(self, deliver: Deliver) -> None:
        """Responses through a queue: each stays in it until it is acknowledged."""
        world, rng = self._world, self._world.rng
        while True:
            if not self._messages:
                self._message_came = trio.Event()
                await self._message_came.wait()
                continue
            if not world.quiet and rng.random() < world.plan.trouble / 3:
                raise NotConnected("the queue is away")
            action_id, response = self._messages[0]
            try:
                delivery = await deliver(action_id, response)
            except NotFound:
                world.observer.not_delivered(self._name, action_id)
            else:
                world.observer.delivered(self._name, action_id, response, delivery)
            world.trace.note(self._name, "delivered", action_id)
            if not world.quiet and rng.random() < world.plan.trouble / 3:
                continue  # the acknowledgement is lost: it comes again
            self._messages.popleft()

    # -- what it does by itself

    def post_message(self, action_id: str, response: Response) -> None:
        """Put a response into the queue that its adapter listens to."""
        self._messages.append((action_id, response))
        self._message_came.set()

    def _receive(self, call: Call) -> Work:
        """Take the work, or know it again by its key."""
        work = self._works.get(call.idempotency_key)
        if work is not None:
            return work
        world, rng = self._world, self._world.rng
        work = self._works[call.idempotency_key] = Work(call.idempotency_key, call.callback_url)
        script = "success" if world.quiet else rng.choices(*zip(*_SCRIPTS, strict=True))[0]
        mark = ""
        for word in script.split():
            if word == "nothing":
                break
            if word != "same" or not mark:
                mark = world.next_mark()
            work.answers.append(self._response(call.action_id, word, mark))
        latest = 0.0
        answers = list(work.answers)
        if not world.quiet and rng.random() < world.plan.trouble:
            rng.shuffle(answers)
        for answer in answers:
            delay = 0.5 if world.quiet else rng.choice((0.0, 0.05, 0.5, 1.0, 3.0, 8.0, 15.0, 45.0))
            latest = max(latest, delay)
            if call.callback_url is not None and world.rng.random() < 0.9:
                world.nursery.start_soon(self._answer_later, work, call.action_id, answer, delay)
        work.ready_at = trio.current_time() + latest
        return work

    def _response(self, action_id: str, word: str, mark: str) -> Response:
        match word:
            case "failure":
                response: Response = Rejected(f"no: {mark}", {"mark": mark})
            case "progress":
                response = Progress(mark, 50.0)
            case _:
                response = Succeeded({"mark": mark})
        self._world.observer.will_say(action_id, mark, response)
        return response

    async def _answer_later(self, work: Work, action_id: str, response: Response, delay: float) -> None:
        world = self._world
        await trio.sleep(delay)
        work.told += 1
        rng = world.rng
        others = [name for name in sorted(world.systems) if name != self._name and world.adapter_of(name) == "queued"]
        if others and rng.random() < 0.15:
            # to the wrong queue: an adapter may not answer for another system's action
            world.systems[rng.choice(others)].post_message(action_id, response)
            return
        if world.adapter_of(self._name) == "queued" and rng.random() < 0.8:
            self.post_message(action_id, response)
            return
        if work.callback_url is not None:
            await post_callback(world, work.callback_url, action_id, response)

    def _final(self, work: Work) -> Outcome | None:
        for answer in work.answers:
            if isinstance(answer, Succeeded | Rejected):
                return answer
        return None
