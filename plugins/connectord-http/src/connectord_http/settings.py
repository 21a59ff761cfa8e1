"""The table ``[systems.NAME.http]``."""

from __future__ import annotations

import ssl
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import pydantic
from connectord.address_guard import parse_network
from connectord.config import DurationMs

from connectord_http.auth_settings import AuthSettings
from connectord_http.reading_settings import CallbackSettings, PollSettings, ResponseSettings
from connectord_http.request_settings import RequestSettings
from connectord_http.tables import SettingsTable
from connectord_http.templates import Expression
from connectord_http.tls import PemFile, PemPath, load_certificate, load_roots
from connectord_http.urls import takes_target
from connectord_http.webhooks import decode_secret

MEBIBYTE = 1_048_576
LARGEST_RESPONSE = 64 * MEBIBYTE
MOST_REDIRECTS = 10


def _network(text: str) -> str:
    return str(parse_network(text))


def _webhook_secret(secret: pydantic.SecretStr) -> pydantic.SecretStr:
    decode_secret(secret.get_secret_value())
    return secret


def _proxy(secret: pydantic.SecretStr) -> pydantic.SecretStr:
    # the message never repeats the URL, which may hold a password
    try:
        parts = urlsplit(secret.get_secret_value())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError('must be the URL of an HTTP proxy, such as "http://proxy.internal:3128"')
    return secret


WebhookSecret: TypeAlias = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_webhook_secret)]


class WebhookSettings(SettingsTable):
    """``webhooks``: Standard Webhooks. While a secret is replaced, the old and the new one stand here together."""

    sign_with: list[WebhookSecret] = pydantic.Field(default_factory=list)
    """Requests for actions are signed with each of these."""

    verify_with: list[WebhookSecret] = pydantic.Field(default_factory=list)
    """Callbacks must be signed with one of these; empty if they need no signature."""

    tolerance: DurationMs = 300_000
    """How far a callback's timestamp may be from this machine's time, either way."""


class HttpSettings(RequestSettings):
    """Settings of the ``http`` adapter. Times are milliseconds here, durations such as ``"10s"`` in the file."""

    dialect: Literal["connectord", "enate"] = "connectord"
    """The format of what is sent, and of answers and callbacks, where no mapping says otherwise."""

    response: ResponseSettings | None = None
    callback: CallbackSettings | None = None
    poll: PollSettings | None = None
    auth: AuthSettings | None = None
    webhooks: WebhookSettings = WebhookSettings()

    connect_timeout: DurationMs = 10_000
    """How long connecting may take: name lookup and TCP together, then TLS."""

    read_timeout: DurationMs = 30_000
    """How long the system may be silent before its answer begins, and how long its body may take in all."""

    max_response_bytes: int = pydantic.Field(default=MEBIBYTE, ge=1, le=LARGEST_RESPONSE)
    """An answer with a longer body is read no further, and judged by its status alone."""

    follow_redirects: int = pydantic.Field(default=0, ge=0, le=MOST_REDIRECTS)
    """How many redirects in a row are followed."""

    allow: list[Annotated[str, pydantic.AfterValidator(_network)]] = pydantic.Field(default_factory=list)
    """Networks that a target from an action or a redirect may lie in, besides the public internet."""

    verify_tls: bool = True
    """Whether the system's certificate must be valid."""

    ca_file: PemPath | None = None
    """The authorities to trust, instead of the machine's own."""

    client_key_password: pydantic.SecretStr | None = None
    client_certificate: PemPath | None = None
    """The certificate that connectord shows, with the ones between it and its root."""

    client_key: PemPath | None = pydantic.Field(default=None, validate_default=True)
    """Its key, unless it stands in the same file."""

    proxy: Annotated[pydantic.SecretStr, pydantic.AfterValidator(_proxy)] | None = None
    """An HTTP proxy for everything that goes to the system; a user and a password stand in its URL."""

    @pydantic.field_validator("auth")
    @classmethod
    def _sets_no_header_twice(cls, auth: AuthSettings | None, info: pydantic.ValidationInfo) -> AuthSettings | None:
        header = None if auth is None else auth.header
        for name in info.data.get("headers", {}):
            if header is not None and name.lower() == header.lower():
                raise ValueError(f"sets the header {header}, which stands in headers too: take one of them out")
        return auth

    @pydantic.field_validator("ca_file")
    @classmethod
    def _holds_roots(cls, file: PemFile | None) -> PemFile | None:
        if file is not None:
            load_roots(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), file)
        return file

    @pydantic.field_validator("client_key")
    @classmethod
    def _fits_the_certificate(cls, key: PemFile | None, info: pydantic.ValidationInfo) -> PemFile | None:
        certificate = info.data.get("client_certificate")
        if certificate is not None:
            password = info.data.get("client_key_password")
            load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key, password)
        elif key is not None and "client_certificate" in info.data:
            raise ValueError("is of no use without client_certificate")
        return key

    @pydantic.field_validator("proxy")
    @classmethod
    def _guards_nothing(cls, proxy: pydantic.SecretStr | None, info: pydantic.ValidationInfo) -> object:
        requests = [info.data, *([] if info.data.get("poll") is None else [dict(info.data["poll"])])]
        urls = [request["url"] for request in requests if "url" in request]
        from_action = any(isinstance(url, Expression) or takes_target(url) for url in urls)
        if proxy is not None and (from_action or info.data.get("follow_redirects")):
            raise ValueError(
                "cannot be combined with follow_redirects, or with a host that comes from an action: the proxy would "
                "look the name up by itself, and connect to addresses that were not checked"
            )
        return proxy
