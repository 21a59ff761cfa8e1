"""The table ``[systems.NAME.http]``."""

from __future__ import annotations

from typing import Annotated, Literal

import httpx
import pydantic
from connectord.adapters import AdapterSettings
from connectord.config.durations import parse_duration

OWN_HEADERS = {"content-length", "content-type", "host", "idempotency-key", "transfer-encoding"}


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  - pydantic reports a ValueError
            'a duration is a number and ms, s, m, h or d, such as "10s"'
        )
    return parse_duration(value)


DurationMs = Annotated[int, pydantic.BeforeValidator(_duration), pydantic.Field(gt=0)]


class HttpSettings(AdapterSettings):
    """Where to send an action, and how. Durations are held in milliseconds."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, validate_default=True)

    url: str
    dialect: Literal["connectord", "enate"] = "connectord"
    connect_timeout: DurationMs = "10s"  # type: ignore[assignment]  # the validator turns it into milliseconds
    read_timeout: DurationMs = "30s"  # type: ignore[assignment]  # as above
    headers: dict[str, pydantic.SecretStr] = pydantic.Field(default_factory=dict)
    verify_tls: bool = True
    max_response_bytes: int = pydantic.Field(default=1024 * 1024, ge=1, le=64 * 1024 * 1024)

    @pydantic.field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"not a URL: {error}") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError("must be an http:// or https:// address")
        if parsed.userinfo:
            raise ValueError("must not carry a user or password; set an authorization header from a credential")
        return url

    @pydantic.field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, pydantic.SecretStr]) -> dict[str, pydantic.SecretStr]:
        for name, value in headers.items():
            if name.lower() in OWN_HEADERS:
                raise ValueError(f"{name} is set by connectord itself")
            text = name + value.get_secret_value()
            if not name or any(character in text for character in "\r\n\0"):
                raise ValueError(f"{name!r} is not a header: no empty name, no line breaks")
        return headers
