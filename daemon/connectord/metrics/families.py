"""Families of metrics, made at a scrape from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from connectord.measures import Histogram

Values = Iterable[tuple[Sequence[str], float]]
"""Label values, in the order of the labels' names, and a number."""


def gauge(name: str, text: str, value: float) -> Metric:
    """One number that goes up and down."""
    return GaugeMetricFamily(name, text, value=value)


def gauges(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """Numbers that go up and down, one for each combination of labels."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """One number that only goes up."""
    return CounterMetricFamily(name, text, value=value)


def counters(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """Numbers that only go up; those with the same labels are added."""
    sums: dict[tuple[str, ...], float] = {}
    for label_values, value in values:
        key = tuple(label_values)
        sums[key] = sums.get(key, 0.0) + value
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in sums.items():
        family.add_metric(key, value)
    return family


def histogram(name: str, text: str, value: Histogram) -> Metric:
    """One histogram."""
    return histograms(name, text, (), [((), value)])


def histograms(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], Histogram]]
) -> Metric:
    """Histograms, one for each combination of labels; those with the same labels are added."""
    merged: dict[tuple[str, ...], tuple[Histogram, list[int], float]] = {}
    for label_values, value in values:
        key = tuple(label_values)
        _, counts, total = merged.get(key, (value, [0] * (len(value.bounds) + 1), 0.0))
        added = [a + b for a, b in zip(counts, value.cumulated(), strict=True)]
        merged[key] = (value, added, total + value.total)
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, (value, counts, total) in merged.items():
        bounds = [*map(floatToGoString, value.bounds), "+Inf"]
        family.add_metric(key, list(zip(bounds, map(float, counts), strict=True)), total)
    return family


def info(name: str, text: str, values: Mapping[str, str]) -> Metric:
    """What does not change, as labels of a constant."""
    return InfoMetricFamily(name, text, value=dict(values))
