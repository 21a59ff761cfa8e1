"""What a system gets to know connectord by, and what of it must never show."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pydantic
from connectord.config import hide_secrets

from connectord_http.request_settings import RequestSettings
from connectord_http.settings import HttpSettings
from connectord_http.templates import Template, secrets_in

_SHORTEST_HIDDEN = 6
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})


def basic(username: str, password: str) -> str:
    """The value of ``Authorization`` for a user name and a password."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode('ascii')}"


def credential_headers(settings: HttpSettings) -> dict[str, str]:
    """The headers of ``auth`` that are the same for every request."""
    auth = settings.auth
    if auth is None:
        return {}
    if auth.bearer is not None:
        return {"Authorization": f"Bearer {auth.bearer.get_secret_value()}"}
    if auth.basic is not None:
        return {"Authorization": basic(auth.basic.username, auth.basic.password.get_secret_value())}
    if auth.api_key is not None and auth.api_key.header is not None:
        return {auth.api_key.header: auth.api_key.key.get_secret_value()}
    return {}


def credential_query(settings: HttpSettings) -> dict[str, str]:
    """The query parameters of ``auth``."""
    key = None if settings.auth is None else settings.auth.api_key
    return {} if key is None or key.query is None else {key.query: key.key.get_secret_value()}


def literal_headers(settings: RequestSettings) -> dict[str, str]:
    """The headers that are the same for every request."""
    return {
        name: value.get_secret_value()
        for name, value in settings.headers.items()
        if isinstance(value, pydantic.SecretStr)
    }


def secret_headers(settings: HttpSettings) -> set[str]:
    """The headers, in lower case, that another origin than the system's must not see."""
    named = [
        *settings.headers,
        *([] if settings.poll is None else settings.poll.headers),
        *credential_headers(settings),
    ]
    return {"authorization", "cookie", *(name.lower() for name in named)} - _HARMLESS


class Concealer:
    """Takes secrets out of texts that are kept and shown: systems like to quote what they were sent."""

    def __init__(self, settings: HttpSettings) -> None:
        found = set(_secrets_in({name: getattr(settings, name) for name in type(settings).model_fields}))
        found |= {value.partition(" ")[2] for value in credential_headers(settings).values()}
        if settings.proxy is not None:
            password = urlsplit(settings.proxy.get_secret_value()).password
            found |= {password or "", unquote(password or "")}
        found |= {quote(secret, safe="") for secret in found}
        # what is shorter would tear holes into ordinary words
        self._secrets = {secret for secret in found if len(secret) >= _SHORTEST_HIDDEN}

    def hide(self, text: str, *more: str) -> str:
        """``text`` with stars in the place of every secret, and of those in ``more``."""
        return hide_secrets(text, {*self._secrets, *more})


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, pydantic.SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Template):
        yield from secrets_in(value)
    elif isinstance(value, pydantic.BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets_in(item)
