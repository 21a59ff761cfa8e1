"""One scrape: from the numbers to the text that Prometheus reads, a family at a time."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from connectord.metrics.process import process_families
from connectord.metrics.sources import Sources
from connectord.metrics.work import work_families

_END = b"# EOF\n"
"""How OpenMetrics ends."""


class _One(Collector):
    """A registry of one family, for encoders want a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


async def render(sources: Sources, accept: str) -> tuple[bytes, str]:
    """Everything that is measured, and its content type: OpenMetrics or Prometheus' text, as ``accept`` has it.

    Others come to run between the families, so that hundreds of systems hold up nobody. Raises
    :class:`connectord.errors.StoreError`.
    """
    encode, content_type = choose_encoder(accept)
    stored = await sources.stored()
    pieces: list[bytes] = []
    ended = False
    for families in (process_families(sources, stored), work_families(sources, stored)):
        for family in families:
            piece = encode(_One(family))
            ended = ended or piece.endswith(_END)
            pieces.append(piece.removesuffix(_END))
            await trio.lowlevel.checkpoint()
    if ended:
        pieces.append(_END)
    return b"".join(pieces), content_type
