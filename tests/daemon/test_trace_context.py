"""Which trace an action belongs to."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from connectord.ledger.ids import IdSource
from connectord.trace_context import (
    attempt_traceparent,
    is_sampled,
    parse_traceparent,
    span_id,
    trace_of,
)
from connectord.ulids import encode
from hypothesis import given
from hypothesis import strategies as st

ULID = "01M8803DAMTG1GR3B97C15XCP1"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_is_written_is_read(trace: int, span: int, flags: int) -> None:
    parent = parse_traceparent(f"00-{trace:032x}-{span:016x}-{flags:02x}")
    assert (int(parent.trace_id, 16), int(parent.span_id, 16), parent.sampled) == (trace, span, bool(flags & 1))


@given(
    st.text(max_size=70) | st.from_regex(r"[0-9a-f]{1,3}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}", fullmatch=True)
)
def test_rubbish_is_refused_in_words_or_read(text: str) -> None:
    with suppress(ValueError):
        assert parse_traceparent(text).trace_id in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRACEPARENT.upper(),
        f"ff{TRACEPARENT[2:]}",
        f"{TRACEPARENT}-more",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        f"{TRACEPARENT}\n",
    ],
)
def test_what_the_standard_forbids_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_traceparent(text)


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"01{TRACEPARENT[2:]}-more").sampled


def test_an_actions_trace_is_made_from_its_id_and_stays() -> None:
    trace_id, parent = trace_of(ULID, None)
    assert (encode(int(trace_id, 16)), len(trace_id), parent) == (ULID, 32, None)
    assert trace_of(ULID, TRACEPARENT) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert len(trace_of("no ulid", None)[0]) == 32
    assert span_id(ULID, "attempt 1") != span_id(ULID, "attempt 2")
    told = parse_traceparent(attempt_traceparent(ULID, None, 2, 1.0))
    assert (told.trace_id, told.span_id, told.sampled) == (trace_of(ULID, None)[0], span_id(ULID, "attempt 2"), True)


def test_a_share_of_all_is_sampled_always_the_same() -> None:
    source = IdSource(random.Random(3))
    ids = [source.make(1_700_000_000_000 + number) for number in range(4000)]
    sampled = [action_id for action_id in ids if is_sampled(action_id, None, 0.25)]
    assert 900 < len(sampled) < 1100
    assert set(sampled) <= {action_id for action_id in ids if is_sampled(action_id, None, 0.5)}
    assert not any(is_sampled(action_id, None, 0.0) for action_id in ids)
    assert all(is_sampled(action_id, None, 1.0) for action_id in ids)
