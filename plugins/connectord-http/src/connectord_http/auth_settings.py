"""The key ``auth``: how connectord proves to a system who it is."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import pydantic

from connectord_http.request_settings import HeaderName, HeaderText
from connectord_http.tables import SettingsTable
from connectord_http.urls import check_url

LiteralUrl: TypeAlias = Annotated[str, pydantic.AfterValidator(check_url)]


def _no_colon(name: str) -> str:
    if ":" in name:
        raise ValueError("a user name may not have a colon: HTTP ends it there")
    return name


class BasicSettings(SettingsTable):
    """HTTP's own user name and password (RFC 7617), sent as UTF-8."""

    username: Annotated[str, pydantic.AfterValidator(_no_colon)]
    password: pydantic.SecretStr


class ApiKeySettings(SettingsTable):
    """A key in a header or in the query; the name of the one that is set says where."""

    header: HeaderName | None = None
    query: str | None = pydantic.Field(default=None, min_length=1)
    key: HeaderText

    @pydantic.model_validator(mode="after")
    def _one_place(self) -> ApiKeySettings:
        if (self.header is None) == (self.query is None):
            raise ValueError('name the place of the key: either header = "X-API-Key" or query = "api_key"')
        return self


class OAuth2Settings(SettingsTable):
    """OAuth2 client credentials (RFC 6749, section 4.4)."""

    token_url: LiteralUrl
    client_id: str = pydantic.Field(min_length=1)
    client_secret: pydantic.SecretStr
    scope: str | None = None
    client_authentication: Literal["basic", "body"] = "basic"
    """Where the token endpoint wants the client's id and secret: in the header ``Authorization``, or in the body."""

    parameters: dict[str, pydantic.SecretStr] = pydantic.Field(default_factory=dict)
    """More parameters of the token request, such as ``audience`` or ``resource``."""


class AuthSettings(SettingsTable):
    """One way of authentication."""

    bearer: HeaderText | None = None
    basic: BasicSettings | None = None
    api_key: ApiKeySettings | None = None
    oauth2: OAuth2Settings | None = None

    @pydantic.model_validator(mode="after")
    def _exactly_one(self) -> AuthSettings:
        given = [name for name in ("bearer", "basic", "api_key", "oauth2") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"takes exactly one of bearer, basic, api_key and oauth2, not {' and '.join(given) or 'none'}"
            )
        return self

    @property
    def header(self) -> str | None:
        """The name of the header that it sets, if it sets one."""
        if self.api_key is not None:
            return self.api_key.header
        return "Authorization"
