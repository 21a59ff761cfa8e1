"""Spans are made from what was committed: the same history gives the same spans, whatever happened."""

from __future__ import annotations

import random
from pathlib import Path

import trio
from connectord.adapters import Call, NotConnected, Outcome, Succeeded, Taken
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import RetryPolicy
from connectord.tracing.spans import TracedAction, spans_of
from connectord.tracing.tracer import load_position, save_position
from helpers.world import World, world


def traced(world: World, action_id: str) -> TracedAction:
    return TracedAction(world.show(action_id).action, world.reader.history(action_id), world.reader.attempts(action_id))


async def until_closed(world: World, *ids: str) -> None:
    while any(world.show(action_id).action.closed_at is None for action_id in ids):
        await trio.sleep(0.05)


async def test_a_life_with_retries_a_wait_and_a_person(tmp_path: Path, autojump_clock) -> None:
    tries = 0

    async def trigger(call: Call) -> Outcome:
        nonlocal tries
        tries += 1
        await trio.sleep(2)
        if tries == 1:
            raise NotConnected("connection refused")
        return Taken()

    async with world(tmp_path, trigger, retry=RetryPolicy(limit=5, delay_ms=10_000, jitter=0.0)) as this:
        (action_id,) = await this.submit()
        await trio.sleep(30)
        await this.ledger.apply(action_id, on.FailureReceived("d", "no such vendor"), "callback")
        await trio.sleep(60)
        await this.ledger.apply(action_id, on.Completed(successful=True), "user:anna")
        spans = spans_of(traced(this, action_id))
        assert [(span.name, (span.end - span.start) / 1000) for span in spans] == [
            ("submit", 0.0),
            ("attempt 1", 2.0),
            ("attempt 2", 2.0),
            ("callback", 0.0),
            ("wait", 16.0),
            ("close", 0.0),
            ("to do", 60.0),
            ("action sys", 90.0),
        ]
        assert [span.error for span in spans if span.name.startswith("attempt")] == ["connection refused", None]
        (root,) = [span for span in spans if span.parent_id is None]
        assert {span.parent_id for span in spans if span is not root} == {root.span_id}
        assert len({span.span_id for span in spans}) == len(spans)
        assert spans == spans_of(traced(this, action_id))


async def test_15_a_response_that_outran_the_answer_ends_the_attempt(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        await trio.sleep(5)
        return Taken()

    async with world(tmp_path, trigger) as this:
        (action_id,) = await this.submit()
        await trio.sleep(1)
        await this.ledger.apply(action_id, on.SuccessReceived("d"), "callback")
        before = {span.name: span for span in spans_of(traced(this, action_id))}
        assert before["attempt 1"].attributes["connectord.outcome"] == "superseded"
        assert before["attempt 1"].end - before["attempt 1"].start == 1000
        await trio.sleep(10)
        after = {span.name: span for span in spans_of(traced(this, action_id))}
        # the same span, whoever reads it later
        assert after["attempt 1"].seq == before["attempt 1"].seq
        assert after["attempt 1"].span_id == before["attempt 1"].span_id


async def test_every_closed_action_has_a_whole_trace_whatever_happened(tmp_path: Path, autojump_clock) -> None:
    rng = random.Random(5)

    async def trigger(call: Call) -> Outcome:
        await trio.sleep(rng.random())
        match rng.randrange(4):
            case 0:
                raise NotConnected("down")
            case 1:
                return Succeeded()
            case _:
                return Taken()

    async with world(tmp_path, trigger, retry=RetryPolicy(limit=3, delay_ms=500, jitter=0.0)) as this:
        ids = await this.submit(60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_closed, this, *ids)
            for action_id in ids:
                await trio.sleep(0.2)
                await this.ledger.apply(action_id, on.SuccessReceived("d"), "callback")
        for action_id in ids:
            story = traced(this, action_id)
            spans = spans_of(story)
            names = [span.name for span in spans]
            assert names.count("action sys") == names.count("submit") == names.count("close") == 1
            assert [n for n in names if n.startswith("attempt")] == [f"attempt {a.number}" for a in story.attempts]
            assert len({span.span_id for span in spans}) == len(spans)
            assert all(span.start <= span.end for span in spans)
            # cut anywhere, nothing is sent twice and nothing is left out
            seqs = [row.seq for row in story.history]
            assert {span.seq for span in spans} <= set(seqs)


def test_the_position_is_kept_and_nonsense_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "position"
    assert load_position(file, 7) == 7
    save_position(file, 5)
    assert load_position(file, 7) == 5
    assert load_position(file, 3) == 3
    file.write_text("nonsense")
    assert load_position(file, 7) == 7
    save_position(tmp_path / "missing" / "position", 5)
