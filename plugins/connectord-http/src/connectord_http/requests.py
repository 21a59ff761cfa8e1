"""From an action to a request: the mapping that connectord.toml gives, made ready once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
from connectord.adapters import Call, call_document

from connectord_http.dialects import Dialect
from connectord_http.exchange import PreparedRequest
from connectord_http.expressions import MappingFailed, Search, compile_expression
from connectord_http.headers import wire_headers
from connectord_http.request_settings import BodyFormat, RequestSettings, is_header_value
from connectord_http.templates import Expression, Render, as_text, compile_template, is_literal
from connectord_http.urls import RenderUrl, compile_url, compile_whole_url, has_placeholder, takes_target

_CONTENT_TYPES: Mapping[BodyFormat, str] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}
_WITH_BODY = ("POST", "PUT", "PATCH")


class RequestMapping:
    """Makes requests from calls.

    ``headers`` go with every one of them, and ``extra_query`` is appended to every URL's query; both may hold secrets.
    ``with_key`` adds ``Idempotency-Key``, which a request that changes nothing does not need.
    """

    def __init__(
        self,
        settings: RequestSettings,
        dialect: Dialect,
        *,
        headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, str] | None = None,
        with_key: bool = True,
    ) -> None:
        self._with_key = with_key
        self._method = settings.method
        self._extra_query = urlencode(extra_query or {}, quote_via=quote)
        self._query = {name: compile_template(template) for name, template in settings.query.items()}
        self._target_from_action = False
        self._url: httpx.URL | None = None
        self._render_url: RenderUrl | None = None
        if isinstance(settings.url, Expression):
            self._target_from_action = True
            self._render_url = compile_whole_url(settings.url.expr)
        elif has_placeholder(settings.url):
            self._target_from_action = takes_target(settings.url)
            self._render_url = compile_url(settings.url)
        elif all(is_literal(template) for template in settings.query.values()):
            self._url = self._with_query(httpx.URL(settings.url), {})
        else:
            literal = httpx.URL(settings.url)
            self._render_url = lambda document: literal
        self._headers: dict[str, Search] = {
            name: compile_expression(value.expr)
            for name, value in settings.headers.items()
            if isinstance(value, Expression)
        }
        self._encode = _body_encoder(settings, dialect)
        named = {name.lower() for name in settings.headers}
        self._with_trace = "traceparent" not in named
        fixed = dict(headers or {})
        if self._encode is not None and "content-type" not in named:
            fixed["Content-Type"] = _CONTENT_TYPES[settings.body_format]
        self._fixed_headers = wire_headers(fixed)

    def build(self, call: Call) -> PreparedRequest:
        """The request for ``call``. Raises :class:`MappingFailed` where the action's data do not fit."""
        headers = self._fixed_headers.copy()
        if self._with_key:
            headers["idempotency-key"] = b"Idempotency-Key", call.idempotency_key.encode("ascii")
        if self._with_trace and call.traceparent is not None:
            headers["traceparent"] = b"traceparent", call.traceparent.encode("ascii")
        url = self._url
        if self._render_url is not None or self._headers:
            document = request_document(call)
            if self._render_url is not None:
                url = self._with_query(self._render_url(document), document)
            for name, search in self._headers.items():
                value = _header(name, search(document))
                if value is not None:
                    headers |= wire_headers({name: value})
        if url is None:
            raise RuntimeError("a mapping has a literal URL or one that it renders")
        content = None if self._encode is None else self._encode(call)
        return PreparedRequest(self._method, url, headers, content, self._target_from_action)

    def _with_query(self, url: httpx.URL, document: Any) -> httpx.URL:
        pairs: list[tuple[str, str]] = []
        for name, render in self._query.items():
            value = render(document)
            for each in value if isinstance(value, list) else [value]:
                text = _scalar(f"query {name!r}", each)
                if text is not None:
                    pairs.append((name, text))
        try:
            added = "&".join(filter(None, [urlencode(pairs, quote_via=quote), self._extra_query]))
        except UnicodeEncodeError:
            raise MappingFailed("a query parameter is no valid text") from None
        if not added:
            return url
        own = url.query.decode("ascii")
        return url.copy_with(query=(f"{own}&{added}" if own else added).encode("ascii"))


def request_document(call: Call) -> dict[str, Any]:
    """What the expressions of a request see."""
    return {**call_document(call), "reference": call.reference}


def _body_encoder(settings: RequestSettings, dialect: Dialect) -> Callable[[Call], bytes] | None:
    if settings.body is None:
        if settings.method not in _WITH_BODY:
            return None
        build_payload = dialect.build_payload
        return lambda call: _json(build_payload(call))
    render: Render = compile_template(settings.body)
    encode = {"json": _json, "form": _form, "text": _text}[settings.body_format]
    return lambda call: encode(render(request_document(call)))


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError) as error:
        raise MappingFailed(f"the body cannot be written as JSON: {type(error).__name__}") from None


def _form(value: Any) -> bytes:
    if not isinstance(value, Mapping):
        raise MappingFailed("the body is no table of fields, as a form needs it")
    pairs: list[tuple[str, str]] = []
    for name, item in value.items():
        for each in item if isinstance(item, list) else [item]:
            text = _scalar(f"body {name!r}", each)
            if text is not None:
                pairs.append((str(name), text))
    return urlencode(pairs).encode("ascii")


def _text(value: Any) -> bytes:
    text = _scalar("body", value)
    return (text or "").encode("utf-8", "replace")


def _header(name: str, value: Any) -> str | None:
    text = _scalar(f"header {name}", value)
    if text is not None and not is_header_value(text):
        breaks = "\r" in text or "\n" in text
        raise MappingFailed(
            f"the header {name} would have {'a line break' if breaks else 'a character that is not printable ASCII'}"
        )
    return text


def _scalar(what: str, value: Any) -> str | None:
    try:
        return as_text(value)
    except ValueError as error:
        raise MappingFailed(f"the {what} {error}") from None
