"""Keys that say what a request looks like: the one for an action, and the one that asks for its response."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from connectord.adapters import AdapterSettings

from connectord_http.templates import REQUEST_ROOTS, Expression, RequestExpression, RequestTemplate, as_text, is_literal
from connectord_http.urls import check_url_template

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
BodyFormat: TypeAlias = Literal["json", "form", "text"]

_RESERVED = {
    "idempotency-key": "it is the action's id (every attempt carries the same one)",
    "content-length": "it follows from the body",
    "transfer-encoding": "it follows from the body",
    "host": "it follows from the url",
    "webhook-id": "it follows from webhooks.sign_with",
    "webhook-timestamp": "it follows from webhooks.sign_with",
    "webhook-signature": "it follows from webhooks.sign_with",
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)


def header_name(name: str) -> str:
    """``name`` itself, if it is a header's name and free to be set. Raises :class:`ValueError`."""
    if _TOKEN.fullmatch(name) is None:
        raise ValueError("is not a header name: letters, digits and - only")
    if name.lower() in _RESERVED:
        raise ValueError(f"the header {name} cannot be set here: {_RESERVED[name.lower()]}")
    return name


def is_header_value(text: str) -> bool:
    """Whether ``text`` is printable ASCII without line breaks, as a header's value must be."""
    return _VALUE.fullmatch(text) is not None


def _header_value(value: pydantic.SecretStr) -> pydantic.SecretStr:
    # the message never repeats the value, which may be a secret
    if not is_header_value(value.get_secret_value()):
        raise ValueError("a header's value must be printable ASCII, without line breaks")
    return value


def _no_header_twice(headers: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for name in headers:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            raise ValueError(f"{first} and {name} are the same header")
    return headers


def _url(text: str) -> str:
    return check_url_template(text, REQUEST_ROOTS)


def _kind(value: object) -> str:
    return "expression" if isinstance(value, dict | Expression) else "literal"


HeaderName: TypeAlias = Annotated[str, pydantic.AfterValidator(header_name)]
HeaderText: TypeAlias = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_header_value)]
HeaderValue: TypeAlias = Annotated[
    Annotated[HeaderText, pydantic.Tag("literal")] | Annotated[RequestExpression, pydantic.Tag("expression")],
    pydantic.Discriminator(_kind),
]
Url: TypeAlias = Annotated[
    Annotated[str, pydantic.AfterValidator(_url), pydantic.Tag("literal")]
    | Annotated[RequestExpression, pydantic.Tag("expression")],
    pydantic.Discriminator(_kind),
]
Headers: TypeAlias = Annotated[dict[HeaderName, HeaderValue], pydantic.AfterValidator(_no_header_twice)]


class RequestSettings(AdapterSettings):
    """What a request looks like. A string is a literal everywhere; ``{ expr = "..." }`` is JMESPath over the action."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)
    url: Url
    """Where requests go. ``{...}`` in it is JMESPath, percent-encoded; ``{ expr = "..." }`` gives the whole URL."""

    method: Method = "POST"

    query: dict[str, RequestTemplate] = pydantic.Field(default_factory=dict)
    """Added to the URL's query; null leaves a parameter out, an array repeats it."""

    headers: Headers = pydantic.Field(default_factory=dict)
    """More headers; null leaves one out. The system's literal ones go with its polls too. ``Idempotency-Key``,
    ``Content-Length``, ``Transfer-Encoding``, ``Host`` and ``Webhook-...`` cannot be among them."""

    body: RequestTemplate | None = None
    """What is sent instead of the dialect's own format. GET and DELETE send nothing unless it is set."""

    body_format: BodyFormat = "json"
    """How a ``body`` is written: ``json``, ``form`` (``application/x-www-form-urlencoded``) or ``text``."""

    @pydantic.field_validator("query")
    @classmethod
    def _fits_a_url(cls, query: dict[str, RequestTemplate]) -> dict[str, RequestTemplate]:
        for name, template in query.items():
            if is_literal(template):
                for each in template.tree if isinstance(template.tree, list) else [template.tree]:
                    try:
                        as_text(each)
                    except ValueError as error:
                        raise ValueError(f"the parameter {name!r} {error}") from None
        return query

    @pydantic.field_validator("body_format")
    @classmethod
    def _fits_the_body(cls, body_format: BodyFormat, info: pydantic.ValidationInfo) -> BodyFormat:
        if "body" in info.data:
            tree = None if info.data["body"] is None else info.data["body"].tree
            if body_format == "form" and not isinstance(tree, dict | Expression):
                raise ValueError('"form" needs a table of fields as body')
            if body_format == "text" and not isinstance(tree, str | Expression):
                raise ValueError('"text" needs a string or { expr = "..." } as body')
        return body_format
