"""The table ``[systems.NAME.http]``."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

import httpx
import pydantic
from connectord.adapters import AdapterSettings
from connectord.config import DurationMs

MEBIBYTE = 1_048_576
LARGEST_RESPONSE = 64 * MEBIBYTE

_RESERVED = {
    "idempotency-key": "it is the action's id (every attempt carries the same one)",
    "content-length": "it follows from the body",
    "transfer-encoding": "it follows from the body",
    "host": "it follows from the url",
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
        # as the resolver will do it, where an error would come too late
        labels = url.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"is not a URL: {error}") from None
    if url.scheme not in ("http", "https"):
        raise ValueError('must begin with "http://" or "https://"')
    if not labels or "%" in url.host:
        raise ValueError("has no valid host, as in https://billing.internal/api/jobs")
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise ValueError("has no valid port: it must be from 1 to 65535")
    if "@" in re.split(r"[/?#]", text.split("://", 1)[1], maxsplit=1)[0]:
        raise ValueError(
            "must not hold a user name or a password: put them into headers, "
            'as in headers.Authorization = { credential = "NAME" }'
        )
    return text


def _header_name(name: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise ValueError("is not a header name: letters, digits and - only")
    if name.lower() in _RESERVED:
        raise ValueError(f"the header {name} cannot be set here: {_RESERVED[name.lower()]}")
    return name


def _header_value(value: pydantic.SecretStr) -> pydantic.SecretStr:
    # the message never repeats the value, which may be a secret
    if _VALUE.fullmatch(value.get_secret_value()) is None:
        raise ValueError("a header's value must be printable ASCII, without line breaks")
    return value


def _no_header_twice(headers: dict[str, pydantic.SecretStr]) -> dict[str, pydantic.SecretStr]:
    seen: dict[str, str] = {}
    for name in headers:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            raise ValueError(f"{first} and {name} are the same header")
    return headers


Headers: TypeAlias = Annotated[
    dict[
        Annotated[str, pydantic.AfterValidator(_header_name)],
        Annotated[pydantic.SecretStr, pydantic.AfterValidator(_header_value)],
    ],
    pydantic.AfterValidator(_no_header_twice),
]


class HttpSettings(AdapterSettings):
    """Settings of the ``http`` adapter. Times are milliseconds here, durations such as ``"10s"`` in the file."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    url: Annotated[str, pydantic.AfterValidator(_url)]
    """Where actions are posted to. Redirects are not followed."""

    dialect: Literal["connectord", "enate"] = "connectord"
    """The format of what is sent, and of answers and callbacks."""

    connect_timeout: DurationMs = 10_000
    """How long connecting may take: name lookup and TCP together, then TLS."""

    read_timeout: DurationMs = 30_000
    """How long the system may be silent before its answer begins, and how long its body may take in all."""

    headers: Headers = pydantic.Field(default_factory=dict)
    """More headers for every request. ``Idempotency-Key``, ``Content-Length``, ``Transfer-Encoding`` and ``Host``
    cannot be among them."""

    verify_tls: bool = True
    """Whether the system's certificate must be valid. The machine's own authorities are trusted."""

    max_response_bytes: int = pydantic.Field(default=MEBIBYTE, ge=1, le=LARGEST_RESPONSE)
    """An answer with a longer body is read no further, and judged by its status alone."""
