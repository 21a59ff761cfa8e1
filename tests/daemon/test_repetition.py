"""Logs: faults that repeat are counted, and the journal is told its own way."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog
import trio
from connectord.clock import watch_clock
from connectord.observability import Redactor, configure_logging, is_journal
from connectord.repetition import Collapser
from connectord.testing.simulated_clock import SimulatedClock

OPEN: list[TextIO] = []


class Log:
    """A log that is read."""

    def __init__(self, path: Path, *, journal: bool = False, log_format: str = "json", log_level: str = "info") -> None:
        self.seconds = 1000.0
        self.collapser = Collapser(lambda: self.seconds)
        self._path = path
        self.stream = path.open("w", encoding="utf-8")
        OPEN.append(self.stream)
        status = os.fstat(self.stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"} if journal else {}
        configure_logging(
            log_format=log_format,
            log_level=log_level,
            redactor=Redactor(["s3cret"]),
            stream=self.stream,
            collapser=self.collapser,
            environ=environ,
        )

    def text(self) -> str:
        self.stream.flush()
        return self._path.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture(autouse=True)
def structlog_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    while OPEN:
        OPEN.pop().close()


def test_a_fault_is_told_at_once_then_counted_and_told_once_a_minute(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    logger = structlog.get_logger()
    for number in range(10_000):
        logger.warning("attempt ended", system="erp", action=f"a{number}", attempt=1, error="connection refused s3cret")
    assert len(log.lines()) == 1
    log.seconds += 59
    log.collapser.tell()
    assert len(log.lines()) == 1
    log.seconds += 1
    log.collapser.tell()
    first, summary = log.lines()
    assert first["action"] == "a0"
    assert (summary["event"], summary["level"], summary["system"]) == ("attempt ended", "warning", "erp")
    assert (summary["repeated"], summary["within_seconds"]) == (9999, 60)
    assert "action" not in summary
    assert "s3cret" not in log.text()

    # it goes on: counted from the last summary on
    logger.warning("attempt ended", system="erp", action="b", attempt=1, error="connection refused s3cret")
    log.seconds += 60
    log.collapser.tell()
    assert log.lines()[-1]["repeated"] == 1
    # a minute without it: the next is news again
    log.seconds += 60
    log.collapser.tell()
    logger.warning("attempt ended", system="erp", action="c", attempt=1, error="connection refused s3cret")
    assert log.lines()[-1]["action"] == "c"


def test_other_faults_are_told_and_too_many_different_ones_count_as_one(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    logger = structlog.get_logger()
    for system in ("erp", "depot"):
        for error in ("refused", "timeout"):
            logger.warning("attempt ended", system=system, error=error)
    assert len(log.lines()) == 4
    for number in range(1000):
        logger.warning("poll failed", system="erp", error=f"error {number}")
    assert len(log.lines()) == 4 + 11
    log.seconds += 60
    log.collapser.tell()
    assert log.lines()[-1]["repeated"] == 1000 - 11
    assert len(log.collapser._faults) < 20


def test_what_is_no_fault_is_always_told_and_so_is_everything_at_debug(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    logger = structlog.get_logger()
    for _ in range(3):
        logger.info("closed", system="erp")
        logger.critical("store failed")
    assert len(log.lines()) == 6
    log = Log(tmp_path / "debug", log_level="debug")
    for _ in range(3):
        logger.warning("attempt ended", system="erp")
    assert len(log.lines()) == 3


def test_a_traceback_is_not_kept(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    logger = structlog.get_logger()
    for _ in range(3):
        logger.error("adapter fault", system="erp", exc_info=ValueError("x"))
    (fault,) = log.collapser._faults.values()
    assert fault.repeated == 2
    assert "exc_info" not in fault.last
    log.collapser.tell(all_of_them=True)
    assert log.lines()[-1]["repeated"] == 2


def test_an_exception_that_cannot_be_put_into_words_harms_nobody(tmp_path: Path) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    log = Log(tmp_path / "log")
    for _ in range(3):
        structlog.get_logger().error("adapter fault", system="erp", exc_info=Unspeakable())
    assert len(log.lines()) == 1


async def test_it_tells_by_itself_and_at_the_end(tmp_path: Path, autojump_clock) -> None:
    log = Log(tmp_path / "log")
    log.collapser = Collapser(trio.current_time)
    configure_logging(
        log_format="json", log_level="info", redactor=Redactor(), stream=log.stream, collapser=log.collapser, environ={}
    )
    logger = structlog.get_logger()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.collapser.run)
        for _ in range(90):
            logger.warning("attempt ended", system="erp")
            await trio.sleep(1)
        assert len(log.lines()) == 2
        nursery.cancel_scope.cancel()
    _, *summaries = log.lines()
    assert len(summaries) == 2
    assert sum(int(str(line["repeated"])) for line in summaries) == 89


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_journal_gets_priorities_and_no_time_of_its_own(tmp_path: Path, log_format: str) -> None:
    log = Log(tmp_path / "log", journal=True, log_format=log_format)
    logger = structlog.get_logger()
    logger.info("ready", version="1")
    logger.warning("system not reached", system="erp")
    try:
        raise ValueError("x")
    except ValueError:
        logger.exception("adapter fault", system="depot")
    logger.critical("store failed")
    lines = log.text().splitlines()
    assert lines[0].startswith("<6>")
    assert lines[1].startswith("<4>")
    assert lines[2].startswith("<3>")
    assert lines[-1].startswith("<2>")
    assert all(line[0] == "<" and line[2] == ">" for line in lines)
    assert "timestamp" not in log.text()
    assert "20" not in lines[0]  # no date
    if log_format == "json":
        assert json.loads(lines[0][3:]) == {"event": "ready", "level": "info", "version": "1"}


def test_only_the_journals_own_stream_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        for named in ("", "nonsense", f"{status.st_dev}:{status.st_ino + 1}"):
            assert not is_journal(stream, {"JOURNAL_STREAM": named})
        assert not is_journal(stream, {})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


async def test_a_clock_that_is_set_is_noticed_and_one_that_runs_is_not(autojump_clock) -> None:
    clock, jumps = SimulatedClock(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_clock, clock, jumps.append)
        await trio.sleep(3600)
        assert jumps == []
        clock.offset_ms += 90_000
        await trio.sleep(60)
        clock.offset_ms -= 7_200_000
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert [round(each) for each in jumps] == [90, -7200]
