"""A conformance kit for adapters, run by plain pytest.

::

    class TestParcels(AdapterConformance):
        adapter = ParcelAdapter

        def settings(self, system):
            return {"url": system.url, "timeout": "500ms"}

        def answer(self, request):
            return Answer.of_json({"id": "P-1"}, 202)

What else can be said of an adapter stands in :class:`connectord.testing.conformance.base.ConformanceBase`. A graded
report is printed at the end.
"""

from __future__ import annotations

from connectord.testing.conformance.cancelling import CancellationSection, KilledSection
from connectord.testing.conformance.holding_up import EventLoopSection, SecretsSection
from connectord.testing.conformance.peers import BrokenPeersSection, ClockSection, ConcurrencySection, KeySection
from connectord.testing.conformance.reading import CallbacksSection, SettingsSection

__all__ = ["AdapterConformance"]


class AdapterConformance(
    CancellationSection,
    KilledSection,
    KeySection,
    BrokenPeersSection,
    CallbacksSection,
    EventLoopSection,
    ConcurrencySection,
    ClockSection,
    SettingsSection,
    SecretsSection,
):
    """Derive a class whose name begins with ``Test`` from this, and say which adapter, settings and answers."""
