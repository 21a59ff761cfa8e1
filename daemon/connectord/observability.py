"""Logs: structlog events with fields, as JSON or for a console, on standard error; no secret in any line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import msgspec
import structlog

MASK = "********"


class Redactor:
    """A structlog processor that masks known secrets wherever they show, also inside of messages."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = ()  # type: tuple[str, ...]
        self.set(secrets)

    def set(self, secrets: Sequence[str]) -> None:
        """The secrets from now on. Very short ones are left out: they would mask ordinary words."""
        self._secrets = tuple(sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True))

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if self._secrets:
            for key, value in event.items():
                event[key] = self.mask(value)
        return event

    def mask(self, value: Any) -> Any:
        """``value`` with every secret in it masked."""
        if isinstance(value, str):
            for secret in self._secrets:
                if secret in value:
                    value = value.replace(secret, MASK)
        return value


def configure_logging(*, log_format: str, log_level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Set structlog up for the process. ``log_format`` is "json" or "console"."""
    stream = sys.stderr if stream is None else stream
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors += [structlog.processors.format_exc_info, redactor, structlog.processors.JSONRenderer(_dumps)]
    else:
        processors += [
            structlog.processors.format_exc_info,
            redactor,
            structlog.dev.ConsoleRenderer(colors=_wants_colours(stream)),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # libraries log requests with their addresses at INFO; only their troubles are wanted
    logging.basicConfig(level=logging.WARNING, stream=stream, format="%(name)s: %(message)s")


def _wants_colours(stream: TextIO) -> bool:
    """On a terminal, unless https://no-color.org or its contrary says otherwise."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def _dumps(event: Any, default: Any = None, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
