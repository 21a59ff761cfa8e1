"""What an adapter hands over as a response is checked field by field before it can reach the store."""

from __future__ import annotations

import random
from typing import Any

import pytest
from connectord.adapters import MAX_RESPONSE_BYTES, Progress, Rejected, Succeeded
from connectord.ledger.responses import MOST_LEVELS, is_too_deep, response_event
from connectord.lifecycle import events as on


def nested(levels: int) -> dict[str, Any]:
    """Data of so many levels, of mappings and lists in turn."""
    data: Any = {}
    for level in range(levels - 1):
        data = [data] if level % 2 == 0 else {"deeper": data}
    return data if isinstance(data, dict) else {"deeper": data}


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (Rejected(b"no"), TypeError, "poll() returned a reason that is no string but bytes"),  # type: ignore[arg-type]
        (Rejected("\ud800"), UnicodeEncodeError, "surrogates"),
        (Rejected("x" * (MAX_RESPONSE_BYTES + 1)), ValueError, "characters; a response carries at most 1048576"),
        (Succeeded([1]), TypeError, "poll() returned data that is no mapping but list"),  # type: ignore[arg-type]
        (Succeeded({"x": "y" * MAX_RESPONSE_BYTES}), ValueError, "bytes; a response carries at most 1048576"),
        (Succeeded({"x": object()}), TypeError, "object"),
        (Succeeded(nested(MOST_LEVELS + 2)), ValueError, "nested deeper than 200 levels"),
        (Succeeded(nested(100_000)), ValueError, "nested deeper than 200 levels"),
        (Progress(text=7), TypeError, "poll() returned a text that is no string but int"),  # type: ignore[arg-type]
        (Progress(percent="7"), TypeError, "a percent that is no number but str"),  # type: ignore[arg-type]
        (Progress(percent=True), TypeError, "a percent that is no number but bool"),
        (Progress(percent=100.5), ValueError, "a percent of 100.5; it must be from 0 to 100"),
        ("done", TypeError, "poll() returned str, which is no response"),
    ],
)
def test_what_is_no_response_is_refused_in_words(response: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refused:
        response_event(response, "poll()")
    assert message in str(refused.value)


def test_what_is_wide_and_flat_is_not_too_deep() -> None:
    wide = {str(number): [{}] for number in range(MOST_LEVELS + 1)}
    assert isinstance(response_event(Succeeded(wide), "poll()"), on.SuccessReceived)
    assert not is_too_deep(wide)
    assert is_too_deep(nested(MOST_LEVELS + 2))


def test_rule_21_a_heartbeat_may_say_nothing_or_anything_from_0_to_100() -> None:
    rng = random.Random(1)
    for percent in (None, 0, 100, rng.uniform(0, 100)):
        event = response_event(Progress(percent=percent), "poll()")
        assert isinstance(event, on.HeartbeatReceived)
        assert (event.text, event.percent) == (None, percent)
