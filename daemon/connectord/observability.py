"""Logs: structlog events with fields, as JSON or for a console, on standard error; no secret in any line."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import msgspec
import structlog

from connectord.repetition import Collapser

MASK = "********"

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""How the journal calls the levels (sd-daemon(3))."""


_SHORTEST_SECRET = 4
_SHORTEST_LINE = 16


class Redactor:
    """Masks known secrets wherever they show, in whichever spelling."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._spellings: tuple[str, ...] = ()
        self.set(secrets)

    def set(self, secrets: Sequence[str]) -> None:
        """The secrets from now on. Very short ones are left out: they would mask ordinary words."""
        found = {spelling for secret in secrets if len(secret) >= _SHORTEST_SECRET for spelling in spellings(secret)}
        # the longest first, for one may be part of another
        self._spellings = tuple(sorted(found, key=len, reverse=True))

    def render(self, logger: Any, name: str, line: Any) -> str:
        """A structlog processor, the last one: masks the finished line, so that nothing in an event slips through."""
        masked: str = self.mask(line)
        return masked

    def mask(self, value: Any) -> Any:
        """``value`` with every secret in it masked, if it is a string."""
        if isinstance(value, str):
            for spelling in self._spellings:
                if spelling in value:
                    value = value.replace(spelling, MASK)
        return value


def spellings(secret: str) -> set[str]:
    """How ``secret`` may stand in a text: as it is, quoted by Python, by JSON or for a URL; long lines alone, too."""
    texts = {secret}
    if "\n" in secret:
        texts |= {line for line in secret.splitlines() if len(line) >= _SHORTEST_LINE and not line.startswith("-----")}
    return {
        spelling
        for text in texts
        for spelling in (
            text,
            repr(text)[1:-1],
            *(json.dumps(text, ensure_ascii=way)[1:-1] for way in (True, False)),
            quote(text, safe=""),
            quote(text),
            quote_plus(text),
        )
    }


class _MaskingFormatter(logging.Formatter):
    """What libraries log, tracebacks included, without secrets."""

    def __init__(self, redactor: Redactor, prefix: str) -> None:
        super().__init__(f"{prefix}%(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        masked: str = self._redactor.mask(super().format(record))
        return masked


def configure_logging(
    *,
    log_format: str,
    log_level: str,
    redactor: Redactor,
    stream: TextIO | None = None,
    collapser: Collapser | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Set structlog up for the process. ``log_format`` is "json" or "console".

    Where ``stream`` is the journal's, lines begin with their priority and have no time of their own, for the journal
    notes it. With a ``collapser`` faults that repeat are counted; at the level "debug" every one is told.
    """
    stream = sys.stderr if stream is None else stream
    journal = is_journal(stream, environ)
    processors: list[Any] = []
    if collapser is not None and log_level != "debug":
        processors.append(collapser)
    processors += [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if not journal:
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    processors += [structlog.processors.format_exc_info]
    if log_format == "json":
        render: Any = structlog.processors.JSONRenderer(_dumps)
    else:
        render = structlog.dev.ConsoleRenderer(colors=_wants_colours(stream) and not journal)
    processors.append(_with_priority(render) if journal else render)
    structlog.configure(
        processors=[*processors, redactor.render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # libraries log requests with their addresses at INFO; only their troubles are wanted
    prefix = f"<{_PRIORITIES['warning']}>" if journal else ""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_MaskingFormatter(redactor, prefix))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)

    def tell_last_words(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        stream.write(redactor.mask("".join(traceback.format_exception(kind, error, where))))

    sys.excepthook = tell_last_words


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the journal reads ``stream``: ``$JOURNAL_STREAM`` names its device and inode (systemd.exec(5))."""
    named = environ.get("JOURNAL_STREAM")
    if not named:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _with_priority(render: Any) -> Any:
    def prefixed(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
        prefix = f"<{_PRIORITIES.get(str(event.get('level')), 6)}>"
        # every line is an entry of its own in the journal
        return "\n".join(f"{prefix}{line}" for line in render(logger, name, event).splitlines())

    return prefixed


def _wants_colours(stream: TextIO) -> bool:
    """On a terminal, unless https://no-color.org or its contrary says otherwise."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def _dumps(event: Any, default: Any = None, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
