"""Logs: structlog events with fields, as JSON or for a console, on standard error; no secret in any line."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import msgspec
import structlog

MASK = "********"


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

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        masked: str = self._redactor.mask(super().format(record))
        return masked


def configure_logging(*, log_format: str, log_level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Set structlog up for the process. ``log_format`` is "json" or "console"."""
    stream = sys.stderr if stream is None else stream
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)]
    else:
        processors += [
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ]
    structlog.configure(
        processors=[*processors, redactor.render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # libraries log requests with their addresses at INFO; only their troubles are wanted
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_MaskingFormatter(redactor))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)

    def tell_last_words(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        stream.write(redactor.mask("".join(traceback.format_exception(kind, error, where))))

    sys.excepthook = tell_last_words


def _dumps(event: Any, default: Any = None, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
