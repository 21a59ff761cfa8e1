"""Is it well? The first word of status, from plain values; and the screen that says it."""

from __future__ import annotations

from typing import Any

import click
import msgspec
import pytest
from connectord.cli.status_rendering import status_screen
from connectord.control import results as r
from connectord.control.verdict import LEAST_FREE_BYTES, LONG_DUE_MS, with_verdict
from connectord.store.base import Glance

NOW = 1_800_000_000_000
ROOM = Glance({}, {}, 4096, 0, LEAST_FREE_BYTES)


def system(name: str = "erp", **members: Any) -> r.System:
    given = {
        "adapter": "http", "state": "running", "health": "ok", "last_error": None, "pending": 0, "waiting": 0,
        "todo": 0, "in_progress": 0, "in_flight": 0, "concurrency": 16, "retry_limit": 5, "paused": False, **members,
    }  # fmt: skip
    return r.System(name=name, **given)


def status(*, stopping: bool = False, down: str | None = None) -> r.Status:
    channel = r.Channel(via="smtp", state="down" if down else "up", last_error=down, since=None, next_try_at=None)
    return r.Status(
        version="1", pid=1, started_at="2027-01-15T08:00:00.000Z", uptime_seconds=60.0, state_directory="/s",
        callbacks="c", config_version=1, config_file="f", systems=1, counts={"pending": 2}, in_flight=0, commits=0,
        last_seq=0, notifications=r.NotificationBacklog(undelivered=0, since=None, channel=channel), stopping=stopping,
    )  # fmt: skip


def judged(*systems: r.System, glance: Glance = ROOM, **members: Any) -> r.Status:
    return with_verdict(status(**members), systems, glance, NOW)


OPEN = r.Circuit(state="open", next_trial_at="2026-11-24T12:00:05.000Z")


def test_all_is_well() -> None:
    well = judged(system())
    assert (well.verdict, well.troubles) == ("well", [])
    assert well.by_system == [system()]
    assert first_line(well) == "well: up 1m 0s, 1 system"


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (judged(system(), system("b", health="failing", last_error="no")), "degraded", "b: cannot be reached: no"),
        (judged(system(health="failing", last_error="refused")), "not_well", "erp: cannot be reached: refused"),
        (judged(system(), system("b", health="fault", last_error="f")), "degraded", "b: its adapter is at fault: f"),
        (judged(system(), system("b", state="held", pending=2)), "degraded", "b: 2 actions held: the system"),
        (
            judged(system(), system("b", health="failing", last_error="no", circuit=OPEN)),
            "degraded",
            "b: cannot be reached: no; its circuit is open, next trial at 2026-11-24T12:00:05.000Z",
        ),
        (
            judged(system(last_error="no", circuit=r.Circuit(state="half_open", next_trial_at=None))),
            "degraded",
            "erp: its circuit is half-open: no",
        ),
        (judged(system(state="paused", pending=1)), "degraded", "erp: paused by a person, with 1 action before it"),
        (judged(system(health="not listening", last_error="x")), "degraded", "erp: its adapter does not hear"),
        (judged(system(), down="refused"), "degraded", "owners: case owners cannot be reached by smtp: refused"),
        (judged(system(), stopping=True), "degraded", "daemon: it is stopping"),
        (judged(system(), glance=Glance({}, {}, 1, 1, LEAST_FREE_BYTES - 1)), "not_well", "store: only 255 MiB"),
        (
            judged(system(pending=4), glance=Glance({}, {"erp": NOW - LONG_DUE_MS - 60_000}, 1, 1, LEAST_FREE_BYTES)),
            "degraded",
            "erp: 4 actions pending, one of them due for 6 min",
        ),
    ],
)  # fmt: skip
def test_what_is_not_well_is_said_first(found: r.Status, verdict: str, words: str) -> None:
    assert found.verdict == verdict
    assert first_line(found).startswith(f"{verdict.replace('_', ' ')}: {words}")


def test_the_serious_trouble_comes_first_and_the_rest_is_listed() -> None:
    many = [system(f"s{number}", state="paused") for number in range(20)]
    found = judged(*many, glance=Glance({}, {}, 1, 1, 0))
    lines = screen(found).splitlines()
    assert lines[0] == "not well: store: only 0 MiB are free on the disk of /s"
    assert lines[1] == "    connectorctl doctor"
    assert "  ... and 13 more (connectorctl status --json has all)" in lines


def test_an_action_that_is_due_later_is_no_trouble_and_ages_are_shown() -> None:
    found = judged(
        system(pending=2), glance=Glance({"pending": NOW - 90_000}, {"erp": NOW + 5}, 1, 1, LEAST_FREE_BYTES)
    )
    assert found.verdict == "well"
    assert found.oldest is not None
    assert found.oldest.due_since is None
    assert found.oldest.pending == "2027-01-15T07:58:30.000Z"
    assert "pending  2  (the oldest submitted 2027-01-15T07:58:30.000Z, 2m 30s ago)" in screen(found)


def test_the_screen_of_an_older_daemon() -> None:
    text = click.unstyle(
        status_screen({"version": "0", "uptime_seconds": 3700, "systems": 1, "counts": {"pending": 2}})
    )
    assert text.splitlines()[0] == "well: up 1h 1m 40s, 1 system"
    assert "    pending  2" in text


def screen(found: r.Status) -> str:
    return click.unstyle(status_screen(msgspec.to_builtins(found)))


def first_line(found: r.Status) -> str:
    return screen(found).splitlines()[0]
