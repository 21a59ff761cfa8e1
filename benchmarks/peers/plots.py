"""Bars as SVG: one for each name, with its value and its spread; readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LEFT, RIGHT, BAR, GAP, TOP = 210, 110, 18, 8, 46
WIDTH = 760


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: ``low`` and ``high`` are the ends of its spread; ``second`` is drawn on its end in another colour."""

    name: str
    value: float
    low: float
    high: float
    second: float = 0.0
    ours: bool = False


def draw_bars(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """An SVG picture of them, in their order."""
    height = TOP + len(bars) * (BAR + GAP) + GAP
    most = max((max(bar.value + bar.second, bar.high) for bar in bars), default=0.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        '<g font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{GAP}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<text x="{GAP}" y="34" fill="#555555">{escape(unit)}</text>',
    ]
    for number, bar in enumerate(bars):
        lines += _draw(bar, TOP + number * (BAR + GAP), scale)
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def _draw(bar: Bar, top: float, scale: float) -> list[str]:
    middle = top + BAR / 2
    end = LEFT + bar.value * scale
    drawn = [
        f'<text x="{LEFT - GAP}" y="{middle + 4:.1f}" text-anchor="end">{escape(bar.name)}</text>',
        _rectangle(LEFT, top, bar.value * scale, "#1f6f4a" if bar.ours else "#7a8fa6"),
    ]
    if bar.second:
        drawn.append(_rectangle(end, top, bar.second * scale, "#c9b27c"))
    if bar.high > bar.low:
        low, high = LEFT + bar.low * scale, LEFT + bar.high * scale
        drawn.append(f'<path d="M{low:.1f} {middle} H{high:.1f}" stroke="#000000" stroke-width="1.5"/>')
    text_at = max(end + bar.second * scale, LEFT + bar.high * scale) + 6
    drawn.append(f'<text x="{text_at:.1f}" y="{middle + 4:.1f}">{bar.value + bar.second:,.0f}</text>')
    return drawn


def _rectangle(left: float, top: float, width: float, fill: str) -> str:
    return f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{fill}"/>'
