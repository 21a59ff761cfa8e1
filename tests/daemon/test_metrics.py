"""What a scrape says, under simulated time: ages, backlogs, labels that only the configuration makes."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, Outcome, Taken
from connectord.errors import StoreFull
from connectord.measures import Histogram
from connectord.metrics.exposition import render
from connectord.metrics.sources import hindrances, troubles
from connectord.store.sqlite_reader import _WAITING_SINCE, SqliteReader
from helpers.simulated_daemon import SimulatedDaemon, simulated_daemon
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

TWO_SYSTEMS = '[systems.erp]\nadapter = "simulated"\ntimeout = "10h"\n[systems.depot]\nadapter = "simulated"\n'


def play(call: Call) -> Outcome:
    return Taken()


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples[f"connectord_{name}", frozenset(labels.items())]

    def labels(self, label: str) -> set[str]:
        return {value for _, labels in self.samples for name, value in labels if name == label}


async def scrape(simulated: SimulatedDaemon) -> Scrape:
    body, _ = await render(simulated.daemon.measured, "")
    return Scrape(body.decode())


async def test_ages_grow_and_end(tmp_path: Path, autojump_clock) -> None:
    async with simulated_daemon(tmp_path, TWO_SYSTEMS, play) as simulated:
        await simulated.call("pause", system="depot")
        await simulated.call("submit", system="depot")
        await simulated.call("submit", system="depot", due_at="2027-01-01T00:00:00Z")
        waiting = await simulated.call("submit", system="erp")
        await trio.sleep(3600)
        seen = await scrape(simulated)
        assert seen("actions", system="depot", state="pending") == 2
        assert seen("oldest_due_age_seconds", system="depot") == pytest.approx(3600, abs=1)
        assert seen("oldest_due_age_seconds", system="erp") == 0
        assert seen("oldest_waiting_age_seconds", system="erp") == pytest.approx(3600, abs=1)
        assert seen("oldest_waiting_age_seconds", system="depot") == 0
        assert seen("lane_state", system="depot", state="paused") == 1
        await simulated.respond(waiting["id"], {"status": "failure", "reason": "no"})
        await simulated.call("resume", system="depot")
        await trio.sleep(60)
        seen = await scrape(simulated)
        assert seen("oldest_due_age_seconds", system="depot") == 0
        assert seen("oldest_waiting_age_seconds", system="erp") == 0
        assert seen("queue_actions", queue="default", state="todo") == 1
        assert seen("queue_oldest_age_seconds", queue="default") == pytest.approx(60, abs=1)
        assert seen("response_wait_seconds_sum", system="erp") == pytest.approx(3600, abs=1)
        assert seen("attempt_seconds_sum", system="erp") == pytest.approx(0.2)
        assert seen("attempt_delay_seconds_sum", system="depot") == pytest.approx(3600, abs=1)


async def test_labels_come_from_the_configuration_alone(tmp_path: Path, autojump_clock) -> None:
    async with simulated_daemon(tmp_path, TWO_SYSTEMS, play) as simulated:
        await simulated.call("pause", system="depot")
        for system in ("depot", "erp"):
            await simulated.call("submit", system=system)
        await trio.sleep(1)
        text = simulated.config_file.read_text(encoding="utf-8")
        simulated.config_file.write_text(text.replace('[systems.depot]\nadapter = "simulated"\n', ""), encoding="utf-8")
        await simulated.call("reload")
        seen = await scrape(simulated)
        assert seen.labels("system") == {"erp", "(removed)"}
        assert seen("actions", system="(removed)", state="pending") == 1
        assert seen("held_actions") == 1
        assert seen("changes_total", system="(removed)", event="Submitted", state="pending") == 1
        assert seen("config_version") == 2
        assert seen("config_reloads_total", result="applied") == 1


async def test_not_ready_and_not_alive_say_why(tmp_path: Path, autojump_clock) -> None:
    async with simulated_daemon(tmp_path, TWO_SYSTEMS, play) as simulated:
        sources, ledger = simulated.daemon.measured, simulated.daemon.ledger
        assert (troubles(sources, trio.current_time()), hindrances(sources, trio.current_time())) == ([], [])
        begin = ledger._store.begin

        def full() -> None:
            raise StoreFull("no room")

        ledger._store.begin = full
        with pytest.raises(StoreFull):
            await simulated.daemon.ledger.submit([], "test")
        assert hindrances(sources, trio.current_time()) == ["the store is full"]
        assert (await scrape(simulated))("store_full") == 1
        ledger._store.begin = begin
        await simulated.call("submit", system="erp")
        assert hindrances(sources, trio.current_time()) == []
        seen = await scrape(simulated)
        assert seen("store_full") == 0
        assert seen("store_refused_batches_total") >= 1
        ledger.commit_began_at = trio.current_time() - 31
        assert troubles(sources, trio.current_time()) == ["a commit has been under way for 31 s"]
        ledger.commit_began_at = None


async def test_ages_come_from_indexes_whatever_waits(tmp_path: Path, autojump_clock) -> None:
    async with simulated_daemon(tmp_path, TWO_SYSTEMS, play) as simulated:
        await simulated.call("submit_many", actions=[{"system": "erp"} for _ in range(50)])
        await trio.sleep(5)
        with sqlite3.connect(tmp_path / "connectord.db") as database:
            plan = " ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {_WAITING_SINCE}"))
        assert "SCAN actions USING INDEX actions_deadline" in plan
        assert "SEARCH a USING INTEGER PRIMARY KEY" in plan
        assert "SEARCH t USING PRIMARY KEY" in plan
        reader = SqliteReader(tmp_path / "connectord.db")
        ages = reader.backlog_ages({"erp", "nobody"})
        reader.close()
        assert set(ages.waiting) == {"erp"}
        assert ages.due == {}


@given(st.lists(st.floats(0, 20)))
def test_a_histogram_counts_every_value_once(values: list[float]) -> None:
    histogram = Histogram((0.5, 1.0, 10.0))
    for value in values:
        histogram.observe(value)
    cumulated = histogram.cumulated()
    assert cumulated == [sum(value <= bound for value in values) for bound in (0.5, 1.0, 10.0)] + [len(values)]
    assert all(a <= b for a, b in pairwise(cumulated))
    assert histogram.total == pytest.approx(sum(values))


async def test_a_scrape_of_many_systems_lets_others_run(tmp_path: Path, autojump_clock) -> None:
    tables = "".join(f'[systems.s{number}]\nadapter = "simulated"\n' for number in range(100))
    async with simulated_daemon(tmp_path, tables, play) as simulated:
        rounds = 0

        async def count() -> None:
            nonlocal rounds
            while True:
                rounds += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await trio.lowlevel.checkpoint()
            before = rounds
            seen = await scrape(simulated)
            assert rounds - before > 40
            nursery.cancel_scope.cancel()
        assert len(seen.labels("system")) == 100
