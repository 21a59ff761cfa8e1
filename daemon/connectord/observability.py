"""Logs: structlog events with fields, as JSON or for a console, on standard error; no secret in any line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import msgspec
import structlog

from connectord.repetition import Collapser

MASK = "********"

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""How the journal calls the levels (sd-daemon(3))."""


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
    processors += [structlog.processors.format_exc_info, redactor]
    if log_format == "json":
        render: Any = structlog.processors.JSONRenderer(_dumps)
    else:
        render = structlog.dev.ConsoleRenderer(colors=_wants_colours(stream) and not journal)
    processors.append(_with_priority(render) if journal else render)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # libraries log requests with their addresses at INFO; only their troubles are wanted
    prefix = f"<{_PRIORITIES['warning']}>" if journal else ""
    logging.basicConfig(level=logging.WARNING, stream=stream, format=f"{prefix}%(name)s: %(message)s")


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
