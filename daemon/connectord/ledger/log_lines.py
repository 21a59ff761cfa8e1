"""What committed changes say in the daemon's log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import structlog
from structlog.typing import FilteringBoundLogger

from connectord.lifecycle.action import State
from connectord.lifecycle.events import LimitChanged
from connectord.store.base import HistoryRow

_WORTH_TELLING = {State.TODO.value, State.IN_PROGRESS.value, State.CLOSED.value}

log = structlog.get_logger()


def log_history(history: Sequence[HistoryRow]) -> None:
    """Tell of every change, and of what one changed limit did in one commit in one line.

    What people may be asked about is told at INFO; the steps on the way there only to who wants them.
    """
    logger = log.bind()  # once: a lazy one binds for every line, whether it is wanted or not
    if not history or not logger.is_enabled_for(logging.INFO):
        return
    for is_alike, rows in groupby(history, _is_alike):
        if is_alike:
            _log_alike(logger, list(rows))
        else:
            for row in rows:
                _log_change(logger, row)


def _is_alike(row: HistoryRow) -> bool:
    return row.event == LimitChanged.__name__


def _log_alike(logger: FilteringBoundLogger, rows: Sequence[HistoryRow]) -> None:
    # a line for each of a million would take longer than closing them
    if len(rows) == 1:
        _log_change(logger, rows[0])
        return
    told = Counter((row.to_state, row.system, row.why, row.rules, row.who) for row in rows)
    first, last = rows[0].action_id, rows[-1].action_id
    for (to_state, system, why, rules, who), count in told.items():
        _say(logger, to_state, actions=count, first=first, last=last, system=system, why=why, rules=rules, who=who)


def _log_change(logger: FilteringBoundLogger, row: HistoryRow) -> None:
    _say(
        logger,
        row.to_state,
        action=row.action_id,
        system=row.system,
        attempt=row.attempt,
        case=row.case_id,
        why=row.why,
        rules=row.rules,
        who=row.who,
    )


def _say(logger: FilteringBoundLogger, to_state: str, **about: object) -> None:
    (logger.info if to_state in _WORTH_TELLING else logger.debug)(to_state, **about)
