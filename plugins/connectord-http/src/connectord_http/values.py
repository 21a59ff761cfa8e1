"""What a mapping takes out of an answer or a callback once a condition has decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from connectord.adapters import NO_REASON_GIVEN, NotConnected, Progress, Rejected, Succeeded

from connectord_http.answers import Answer, is_reference, status_line, wished_seconds
from connectord_http.documents import plain
from connectord_http.expressions import MappingFailed
from connectord_http.templates import Template, as_text, compile_template


class Values:
    """The values of one mapping, each made by a template; None stands for one that was not set."""

    def __init__(self, **templates: Template | None) -> None:
        self._renders = {
            name: compile_template(template) for name, template in templates.items() if template is not None
        }

    def succeeded(self, document: Any) -> Succeeded:
        """A successful response. Raises :class:`MappingFailed`, as what follows does."""
        return Succeeded(self.data(document))

    def rejected(self, document: Any) -> Rejected:
        """An unsuccessful response."""
        return Rejected(self.text("reason", document) or NO_REASON_GIVEN, self.data(document))

    def progress(self, document: Any) -> Progress:
        """A heartbeat."""
        return Progress(self.text("text", document), self.percent(document))

    def not_now(self, answer: Answer, document: Any, *, now: float) -> NotConnected:
        """What to raise for an answer that says 'not now'. ``now`` is in seconds since the epoch."""
        message = self.text("reason", document) or f"{status_line(answer.status)}, which means 'not now' here"
        return NotConnected(message, retry_after_seconds=wished_seconds(answer, now=now))

    def data(self, document: Any) -> dict[str, Any]:
        """Custom data; empty where there is none. Raises :class:`MappingFailed` if it is no object."""
        value = self._render("data", document)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise MappingFailed(f"data is {_kind(value)}; custom data is an object")
        return dict(value)

    def text(self, name: str, document: Any) -> str | None:
        """A text for people, None where there is none. An array or an object is shown as JSON."""
        value = self._render(name, document)
        try:
            text = as_text(value)
        except ValueError:
            text = msgspec.json.encode(value).decode()
        return None if text is None else plain(text) or None

    def reference(self, document: Any) -> str | None:
        """The system's own name for the work, whole or not at all: a piece of it would be another one's."""
        try:
            text = as_text(self._render("reference", document))
        except ValueError as error:
            raise MappingFailed(f"reference {error}") from None
        if text and not is_reference(text):
            raise MappingFailed("reference is too long, or has control characters")
        return text or None

    def percent(self, document: Any) -> float | None:
        """How far the work has got, from 0 to 100. Raises :class:`MappingFailed` if it is anything else."""
        value = self._render("percent", document)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise MappingFailed("percent is no number from 0 to 100")
        return float(value)

    def _render(self, name: str, document: Any) -> Any:
        render = self._renders.get(name)
        if render is None:
            return None
        try:
            return render(document)
        except MappingFailed as failed:
            raise MappingFailed(f"{name}: {failed}") from failed


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "an array"
    return "a string" if isinstance(value, str) else "a number" if not isinstance(value, bool) else "true or false"
