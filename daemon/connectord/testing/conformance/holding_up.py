"""What holds up everybody else (a blocked event loop), and what nobody else may see (secrets)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pydantic
import pytest

from connectord.adapters import OptionalMethod, Rejected
from connectord.testing.conformance.base import ConformanceBase, Unsound, section
from connectord.testing.conformance.heartbeat import heartbeat
from connectord.testing.fake_system import FakeSystem
from connectord.testing.faults import Drop, Exchange, Fault, Malformed, Say, Unavailable
from connectord.testing.messages import Answer

LONGEST_GAP_SECONDS = 0.2
_TRIES = 5
_OPTIONAL: tuple[OptionalMethod, ...] = ("poll", "probe", "healthcheck")
_SHORTEST_SECRET = 4


class EventLoopSection(ConformanceBase):
    """While the adapter works, everything else in the daemon goes on."""

    @section("event loop")
    def test_event_loop_goes_on(self) -> None:
        """A machine that is busy holds up the loop now and then; an adapter that blocks does so every time."""

        async def check(system: FakeSystem) -> None:
            await self._warm_up(system)
            pulses = []
            for _ in range(_TRIES):
                async with heartbeat(LONGEST_GAP_SECONDS) as pulse, self._opened(system) as instance:
                    offered = [name for name in _OPTIONAL if self.adapter.offers(name, instance.settings)]
                    for method in ("trigger", *offered):
                        await self._end(method, self._question(instance, method))
                pulses.append(pulse)
                if pulse.longest_seconds <= LONGEST_GAP_SECONDS:
                    return
            best = min(pulses, key=lambda each: each.longest_seconds)
            raise Unsound(f"blocks the event loop for {best.longest_seconds:.2f} s at {best.where}")

        self._run(check)


class SecretsSection(ConformanceBase):
    """No secret of the settings shows in what people see: messages, reasons, and the settings when printed."""

    @section("secrets")
    def test_secrets_are_not_shown(self) -> None:
        async def check(system: FakeSystem) -> None:
            settings = self.adapter.Settings.model_validate(self.settings(system))
            secrets = [secret for secret in _secrets(settings) if len(secret) >= _SHORTEST_SECRET]
            if not secrets:
                pytest.skip("settings() has no secret (a pydantic.SecretStr)")
            async with self._opened(system) as instance:
                for what, shown in (("the settings", repr(settings)), ("the adapter", repr(instance))):
                    _look(shown, secrets, f"{what}, when printed,")
                for fault in (*_quoting(), Unavailable(), Drop(), Malformed()):
                    if self.speaks_http:
                        system.script(fault)
                    ending = await self._end("trigger", self._question(instance, "trigger"))
                    said = ending.value.reason if isinstance(ending.value, Rejected) else str(ending.error)
                    _look(said, secrets, f"the message after {fault}")

        self._run(check)


class _Quoting(Fault):
    """A system that quotes the request in its answer, as some do in their error pages."""

    def __init__(self, status: int) -> None:
        self._status = status

    async def play(self, exchange: Exchange) -> None:
        request = exchange.request
        quoted = {} if request is None else {"detail": f"{request.target} {dict(request.headers)}"}
        await Say(Answer.of_json(quoted, self._status)).play(exchange)

    def __str__(self) -> str:
        return f"status {self._status} that quotes the request"


def _quoting() -> Iterator[Fault]:
    for status in (400, 422, 503):
        yield _Quoting(status)


def _look(shown: str, secrets: list[str], where: str) -> None:
    if any(secret in shown for secret in secrets):
        raise Unsound(f"{where} shows a secret of the settings")


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, pydantic.SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, pydantic.SecretBytes):
        yield value.get_secret_value().decode("latin-1")
    elif isinstance(value, pydantic.BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _secrets(each)
