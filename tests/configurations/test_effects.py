"""The list of the actions that a reload concerns: its pages hold what the counts say, and what then happens."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from connectord.configurations.effects import Limits, count_effects, plan_page
from connectord.errors import InvalidRequest
from connectord.lifecycle.action import Action, Reason, Resolution, State, replace
from connectord.store.base import NewAction, ReadStore, WriteSet
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

T = TypeVar("T")

SYSTEMS = ("a", "b", "c")
LIMITS = st.dictionaries(st.sampled_from(SYSTEMS), st.integers(1, 6))


@st.composite
def actions(draw: st.DrawFn) -> Action:
    state = draw(st.sampled_from(State))
    return Action(
        id="",
        system=draw(st.sampled_from(SYSTEMS)),
        submitted_at=0,
        state=state,
        reason=Reason.TIMEOUT if state in (State.TODO, State.IN_PROGRESS) else None,
        resolution=Resolution.NOT_DONE_SUCCESSFULLY if state is State.CLOSED else None,
        attempts=draw(st.integers(0, 6)),
        due_at=0 if state is State.PENDING else None,
        deadline=0 if state is State.WAITING else None,
        limit_at_failure=draw(st.none() | st.integers(1, 6)),
    )


def read_from(reader: SqliteReader) -> Any:
    async def read(question: Callable[[ReadStore], T]) -> T:
        await trio.lowlevel.checkpoint()
        return question(reader)

    return read


def fill(path: Path, given_actions: list[Action]) -> SqliteReader:
    writer = SqliteWriter(path)
    writer.begin()
    numbered = [replace(action, id=f"{number:026}") for number, action in enumerate(given_actions)]
    writer.write(WriteSet(inserted=[NewAction(action, "{}") for action in numbered]))
    writer.commit()
    writer.close()
    return SqliteReader(path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(actions(), max_size=30), LIMITS, LIMITS, st.integers(1, 40))
def test_the_pages_hold_what_the_counts_say(
    given_actions: list[Action], before: Limits, after: Limits, limit: int
) -> None:
    async def compare() -> None:
        with tempfile.TemporaryDirectory() as directory:
            reader = fill(Path(directory) / "connectord.db", given_actions)
            read = read_from(reader)
            counts = await count_effects(read, before, after)
            found: Counter[str] = Counter()
            ids: list[str] = []
            cursor: str | None = None
            while True:
                page = await plan_page(read, "digest", before, after, cursor, limit)
                assert len(page.effects) <= limit
                found.update(effect.effect for effect in page.effects)
                ids += [effect.id for effect in page.effects]
                cursor = page.next
                if cursor is None:
                    break
            reader.close()
            assert len(ids) == len(set(ids))
            assert {name: getattr(counts, name) for name in counts.__struct_fields__} == {
                name: found[name] for name in counts.__struct_fields__
            }

    trio.run(compare)


async def test_a_list_that_was_begun_for_another_file_is_refused(tmp_path: Path) -> None:
    reader = fill(tmp_path / "connectord.db", [])
    page = await plan_page(read_from(reader), "one", {"a": 1}, {"a": 2}, None, 10)
    with pytest.raises(InvalidRequest, match="begin again"):
        await plan_page(read_from(reader), "two", {"a": 1}, {"a": 2}, page.next, 10)
    for cursor in ("nonsense", "one:closed?:", "a:b:c:d"):
        with pytest.raises(InvalidRequest, match="not the 'next' of a page"):
            await plan_page(read_from(reader), "one", {"a": 1}, {"a": 2}, cursor, 10)
    reader.close()
