"""Supported helpers for tests of adapters and of whole daemons; docs/testing-adapters.md explains them.

Each is imported when it is first asked for, so that who needs a fake system alone does not load pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectord.testing.calls import make_call, make_context, open_adapter, run_trigger
    from connectord.testing.conformance import AdapterConformance
    from connectord.testing.daemon_process import DaemonProcess
    from connectord.testing.fake_system import FakeSystem, SeenRequest
    from connectord.testing.faults import (
        CutBody,
        Drop,
        Exchange,
        Fault,
        Hang,
        HugeBody,
        Malformed,
        Reset,
        Say,
        SlowBody,
        SlowHeaders,
        TlsGarbage,
        TooManyRequests,
        Unavailable,
    )
    from connectord.testing.fixtures import Fixture, read_fixture, replay
    from connectord.testing.messages import Answer, Request
    from connectord.testing.simulated_clock import SimulatedClock
    from connectord.testing.steps import Steps

__all__ = [
    "AdapterConformance",
    "Answer",
    "CutBody",
    "DaemonProcess",
    "Drop",
    "Exchange",
    "FakeSystem",
    "Fault",
    "Fixture",
    "Hang",
    "HugeBody",
    "Malformed",
    "Request",
    "Reset",
    "Say",
    "SeenRequest",
    "SimulatedClock",
    "SlowBody",
    "SlowHeaders",
    "Steps",
    "TlsGarbage",
    "TooManyRequests",
    "Unavailable",
    "make_call",
    "make_context",
    "open_adapter",
    "read_fixture",
    "replay",
    "run_trigger",
]

_MODULES = {
    "calls": ("make_call", "make_context", "open_adapter", "run_trigger"),
    "conformance": ("AdapterConformance",),
    "daemon_process": ("DaemonProcess",),
    "fake_system": ("FakeSystem", "SeenRequest"),
    "faults": ("CutBody", "Drop", "Exchange", "Fault", "Hang", "HugeBody", "Malformed", "Reset", "Say", "SlowBody",
               "SlowHeaders", "TlsGarbage", "TooManyRequests", "Unavailable"),
    "fixtures": ("Fixture", "read_fixture", "replay"),
    "messages": ("Answer", "Request"),
    "simulated_clock": ("SimulatedClock",),
    "steps": ("Steps",),
}  # fmt: skip
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
