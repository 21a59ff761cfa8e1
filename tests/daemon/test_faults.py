"""Where an adapter is at fault: the file and the line in the plugin's own package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import trio
from connectord.adapters import Adapter, AdapterSettings, Call, NotConnected
from connectord.guards.faults import message_of, words_of
from connectord.lanes.calls import Trouble, call_adapter, retry_after_ms
from connectord.lanes.faults import place_of
from helpers.calls import make_call

PACKAGE = "acme_for_faults"
ADAPTER = """
import json
import trio
from connectord.adapters import Adapter, NotConnected
from acme_for_faults.deeper import helper


class AcmeAdapter(Adapter):
    name = "acme"

    async def trigger(self, call):
        return await getattr(self, call.data["do"])()

    async def own(self):
        raise ValueError("own")  # line 15

    async def through_others(self):
        json.loads("{")  # line 18

    async def deeper(self):
        helper()

    async def chained(self):
        try:
            {}["x"]
        except KeyError as error:
            raise RuntimeError("chained") from error  # line 27

    async def in_a_nursery(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.own)

    async def two_in_a_nursery(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.own)
            nursery.start_soon(self.deeper)

    async def not_connected_in_a_nursery(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.not_connected)

    async def not_connected(self):
        raise NotConnected("refused", retry_after_seconds=7)

    async def rubbish(self):
        return 5

    async def exits(self):
        raise SystemExit(3)  # line 49

    async def unspeakable(self):
        class Unspeakable(Exception):
            def __str__(self):
                raise OSError("no words")

        raise Unspeakable  # line 56
"""
DEEPER = """
def helper():
    raise LookupError("deeper")  # line 3
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A plugin's package in a folder of its own."""
    package = tmp_path / PACKAGE
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "adapter.py").write_text(ADAPTER)
    (package / "deeper.py").write_text(DEEPER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(f"{PACKAGE}.adapter")
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


async def trouble(acme: ModuleType, do: str) -> Trouble:
    adapter = acme.AcmeAdapter(AdapterSettings(), None)
    call = make_call(data={"do": do})

    def read(outcome: object) -> object:
        raise TypeError(f"trigger() returned {type(outcome).__name__}")

    found = await call_adapter(
        lambda: adapter.trigger(call),
        read,
        adapter=acme.AcmeAdapter,
        method="trigger",
        system="sys",
        limit_seconds=10,
    )
    assert isinstance(found, Trouble)
    return found


@pytest.mark.parametrize(
    ("do", "words", "place"),
    [
        ("own", "ValueError: own", "adapter.py:15"),
        ("through_others", "JSONDecodeError: ", "adapter.py:18"),
        ("deeper", "LookupError: deeper", "deeper.py:3"),
        ("chained", "RuntimeError: chained", "adapter.py:27"),
        ("in_a_nursery", "ValueError: own", "adapter.py:15"),
        ("rubbish", "TypeError: trigger() returned int", "adapter.py:11"),
        ("exits", "SystemExit: 3", "adapter.py:49"),
        ("unspeakable", "Unspeakable: (its message cannot be told)", "adapter.py:56"),
    ],
)
async def test_the_innermost_line_of_the_plugin_is_named(acme: ModuleType, do: str, words: str, place: str) -> None:
    found = await trouble(acme, do)
    assert found.fault
    assert found.message.startswith(f"adapter fault: {words}")
    assert found.message.endswith(f"(adapter acme, {Path(acme.__file__ or '').parent / place})")


async def test_of_several_errors_one_place_is_named(acme: ModuleType) -> None:
    found = await trouble(acme, "two_in_a_nursery")
    assert found.message.endswith(("adapter.py:15)", "deeper.py:3)"))


@pytest.mark.parametrize("do", ["not_connected", "not_connected_in_a_nursery"])
async def test_not_connected_is_no_fault_also_out_of_a_nursery(acme: ModuleType, do: str) -> None:
    assert await trouble(acme, do) == Trouble("refused", 7000)


async def test_our_own_cancellation_is_no_fault(acme: ModuleType, autojump_clock: object) -> None:
    async def hang() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)

    found = await call_adapter(
        hang, lambda answer: answer, adapter=acme.AcmeAdapter, method="trigger", system="sys", limit_seconds=2
    )
    assert found == Trouble("no answer within 2 s", outcome_unknown=True)
    with trio.move_on_after(1) as scope:
        await call_adapter(
            hang, lambda answer: answer, adapter=acme.AcmeAdapter, method="trigger", system="sys", limit_seconds=2
        )
    assert scope.cancelled_caught


def test_an_adapter_within_connectord_claims_its_own_module_alone() -> None:
    class Inner(Adapter):
        name = "inner"

        async def trigger(self, call: Call) -> None:  # type: ignore[override]
            raise NotConnected("never called")

    Inner.__module__ = "connectord.testing.inner"
    # raised here, which is not its module: then the method's own place
    assert place_of(ValueError(), Inner, "trigger").endswith(f"{Path(__file__).name}:{_line_of(Inner.trigger)}")


def _line_of(function: object) -> int:
    return int(function.__code__.co_firstlineno)  # type: ignore[attr-defined]


def test_words_can_always_be_stored() -> None:
    assert words_of(ValueError("\ud800")) == "ValueError: ?"
    assert words_of(ValueError()) == "ValueError"
    assert words_of(ExceptionGroup("g", [ExceptionGroup("h", [ValueError("x")])])) == "ValueError: x"
    assert message_of(ValueError("x")) == "x"


@pytest.mark.parametrize(
    ("wish", "milliseconds"),
    [(None, None), (1.5, 1500), (-1, 0), (float("nan"), None), (float("inf"), 366 * 86_400_000), ("soon", None)],
)
def test_any_retry_after_is_survived(wish: object, milliseconds: int | None) -> None:
    assert retry_after_ms(wish) == milliseconds
