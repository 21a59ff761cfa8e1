"""Callbacks and settings: what an adapter reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
import pytest

from connectord.adapters import Adapter, CallbackNotAllowed, CallbackRequest, InvalidCallback
from connectord.guards.faults import words_of
from connectord.lanes.faults import place_of
from connectord.ledger.responses import response_event
from connectord.testing.calls import make_context
from connectord.testing.conformance.base import ConformanceBase, Unsound, section
from connectord.testing.fake_system import FakeSystem

_HEADER_CHARACTERS = "".join(map(chr, (*range(32, 127), *range(160, 256))))
_CHARACTERS = 'aZ0 {}[]":,\\\0\n\u00e9\u2028\ud800\U0001f4e6'
_NASTY = (
    b"",
    b"\x00",
    b"\xff\xfe\xfd",
    b"null",
    b"[]",
    b'"text"',
    b"1e999",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"status": "success", "data": []}',
    b'{"status": "failure", "reason": 5}',
    b'{"status": "progress", "percent": -1}',
    b'{"status": "\\ud800"}',
)
_VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    float("nan"),
    "",
    "\0",
    "x" * 10_000,
    [],
    [[]],
    {},
    {"a": {}},
    b"\xff",
)


class CallbacksSection(ConformanceBase):
    """read_callback() gives a response, or says that it is none; never anything else."""

    @section("callbacks")
    def test_callbacks_early_late_and_twice(self) -> None:
        good = self._good_callback()

        async def check(system: FakeSystem) -> None:
            unopened = self._instance(self.settings(system))
            answers = {"before the instance is open": self._read(unopened, good)}
            async with self._opened(system) as instance:
                answers["before the request was answered"] = self._read(instance, good)
                await self._healthy(instance)
                answers["after the request was answered"] = self._read(instance, good)
                answers["a second time"] = self._read(instance, good)
            answers["after the instance was closed"] = self._read(instance, good)
            for when, answer in answers.items():
                if isinstance(answer, Exception) or answer is None:
                    raise Unsound(f"a good callback that comes {when} is refused: {answer}")
            if len({repr(answer) for answer in answers.values()}) > 1:
                raise Unsound(f"the same callback is read in different ways: {answers}")

        self._run(check)

    @section("callbacks")
    def test_callbacks_that_are_forged(self) -> None:
        if not self.signed_callbacks:
            pytest.skip("forged callbacks: the adapter does not check who sent one (signed_callbacks)")
        good = self._good_callback()

        async def check(system: FakeSystem) -> None:
            instance = self._instance(self.settings(system))
            if not self._accepts(instance, good):
                raise Unsound(f"the good callback itself is refused: {self._read(instance, good)}")
            own = {
                f"number {number} of forged_callbacks()": each for number, each in enumerate(self.forged_callbacks())
            }
            for what, forged in {**_forgeries(good), **own}.items():
                if self._accepts(instance, forged):
                    raise Unsound(f"a forged callback is accepted: {what}")

        self._run(check)

    @section("callbacks")
    def test_callbacks_of_any_bytes(self) -> None:
        self._need_callbacks()
        pytest.importorskip("hypothesis", reason="random callbacks need hypothesis")
        import hypothesis
        from hypothesis import strategies

        good = self.good_callback() or CallbackRequest("A-1", {}, b"{}")
        instance = self._unconnected()
        values = strategies.text(_HEADER_CHARACTERS, max_size=40)
        names = strategies.sampled_from([*good.headers, "x-signature"]) | strategies.text("abc-", min_size=1)
        cut = strategies.tuples(strategies.integers(0, len(good.body)), strategies.binary(max_size=8))
        leaves = (
            strategies.none() | strategies.booleans() | strategies.floats() | strategies.text(_CHARACTERS, max_size=9)
        )
        documents = strategies.recursive(
            leaves,
            lambda inner: (
                strategies.lists(inner) | strategies.dictionaries(strategies.text(_CHARACTERS, max_size=9), inner)
            ),
        )
        bodies = (
            strategies.binary(max_size=300)
            | cut.map(lambda place: good.body[: place[0]] + place[1] + good.body[place[0] :])
            | cut.map(lambda place: good.body[: place[0]] + place[1])
            | documents.map(_dump)
        )

        @hypothesis.settings(
            max_examples=self.callback_examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(bodies, strategies.dictionaries(names, values), strategies.booleans())
        def check(body: bytes, headers: Mapping[str, str], with_good_headers: bool) -> None:
            given = {**good.headers, **headers} if with_good_headers else headers
            request = CallbackRequest("A-1", given, body)
            if self._accepts(instance, request) and self.signed_callbacks and body != good.body:
                raise Unsound("a forged callback is accepted: a body that nobody signed")

        async def try_all(system: FakeSystem) -> None:
            for body in _NASTY:
                self._accepts(instance, CallbackRequest("A-1", {}, body))
                self._accepts(instance, CallbackRequest("A-1", good.headers, body))
            check()

        self._run(try_all)

    def _need_callbacks(self) -> None:
        if not self.calls_back:
            pytest.skip("the system does not call back (calls_back)")

    def _good_callback(self) -> CallbackRequest:
        self._need_callbacks()
        good = self.good_callback()
        if good is None:
            pytest.skip("good_callback() is not defined, and the adapter has a format of its own")
        return good

    def _unconnected(self) -> Adapter:
        return self._instance(self.settings(FakeSystem(port=9)))

    def _accepts(self, instance: Adapter, request: CallbackRequest) -> bool:
        return not isinstance(self._read(instance, request), Exception)

    def _read(self, instance: Adapter, request: CallbackRequest) -> object:
        """What it reads, or how it refuses it. Raises :class:`Unsound` for anything else."""
        try:
            response = instance.read_callback(request)
        except (InvalidCallback, CallbackNotAllowed) as error:
            return error if str(error).strip() else Unsound("(without words)")
        except Exception as error:  # noqa: BLE001 - it may raise anything; that is what is judged
            raise Unsound(
                f"read_callback() raised {words_of(error)[:300]} ({place_of(error, self.adapter, 'read_callback')}) on "
                f"{request.body[:60]!r}; it may raise InvalidCallback or CallbackNotAllowed"
            ) from None
        try:
            response_event(response, "read_callback()")
        except (TypeError, ValueError) as error:
            raise Unsound(f"{error} ({response!r:.200} on {request.body[:60]!r})") from None
        return response


class SettingsSection(ConformanceBase):
    """A mistake in the settings is a ValueError with words, and what is accepted can be used."""

    @section("settings")
    def test_settings_with_mistakes(self) -> None:
        good = self.settings(FakeSystem(port=9))
        self._try_settings(good, must="work")
        self._try_settings({**good, "no_such_setting": 1}, must="fail")
        for bad in self.bad_settings(FakeSystem(port=9)):
            self._try_settings(bad, must="fail")
        for name in self.adapter.Settings.model_fields:
            self._try_settings({key: value for key, value in good.items() if key != name})
            for value in _VALUES:
                self._try_settings({**good, name: value})

    def _try_settings(self, settings: Mapping[str, Any], must: str | None = None) -> None:
        shown = f"{dict(settings)!r:.300}"
        model = self.adapter.Settings
        try:
            accepted = model.model_validate(settings)
        except pydantic.ValidationError as error:
            if must == "work":
                pytest.fail(f"settings() are refused: {error}", pytrace=False)
            for each in error.errors():
                if not each["msg"].removeprefix("Value error,").strip():
                    pytest.fail(f"refused without words: {shown}", pytrace=False)
            return
        except Exception as error:  # noqa: BLE001 - a validator may raise anything
            pytest.fail(f"the settings {shown} raise {words_of(error)}, not a ValueError", pytrace=False)
        if must == "fail":
            pytest.fail(f"the settings {shown} should be refused", pytrace=False)
        try:
            self.adapter(accepted, make_context())
        except Exception as error:  # noqa: BLE001 - a constructor may raise anything
            pytest.fail(f"the settings {shown} are accepted, but then {words_of(error)}", pytrace=False)


def _forgeries(good: CallbackRequest) -> dict[str, CallbackRequest]:
    """What somebody without the secret can make of a good callback."""
    found: dict[str, CallbackRequest] = {
        "no headers at all": CallbackRequest(good.action_id, {}, good.body),
        "another body": CallbackRequest(good.action_id, good.headers, good.body + b" "),
        "an empty body": CallbackRequest(good.action_id, good.headers, b""),
    }
    for name, value in _proofs(good.headers):
        without = {key: each for key, each in good.headers.items() if key != name}
        changed = value[:-4] + ("AAAA" if not value.endswith("AAAA") else "BBBB")
        found[f"without the header {name}"] = CallbackRequest(good.action_id, without, good.body)
        for words, text in (("changed", changed), ("cut", value[: len(value) // 2]), ("empty", "")):
            found[f"the header {name} {words}"] = CallbackRequest(good.action_id, {**without, name: text}, good.body)
    return found


def _proofs(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if any(word in name for word in ("sign", "hmac", "mac", "auth", "token", "secret")):
            yield name, value


def _dump(document: object) -> bytes:
    return json.dumps(document).encode()
