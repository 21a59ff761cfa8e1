"""A real OAuth2 token endpoint: Authlib's authorization server behind an HTTP handler."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request, scope_to_list
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator

from helpers.http_server import Request, Response

CLIENT_ID = "connectord billing"
CLIENT_SECRET = "hunter2:+&% secret"
SCOPE = "jobs.write"


class TokenServer(AuthorizationServer):
    """Issues tokens to one client, and knows which of them are good.

    It is a :data:`helpers.http_server.Handler` for the token endpoint. ``methods`` are the ways of authentication
    that it takes; ``lifetime_seconds`` is what it says of every token, and 0 says nothing.
    """

    def __init__(self, *, lifetime_seconds: int = 3600, methods: tuple[str, ...] = ("client_secret_basic",)) -> None:
        super().__init__(scopes_supported=[SCOPE])
        self.requests: list[dict[str, str]] = []
        self.good: set[str] = set()
        self._client = _Client(methods)
        self.register_grant(type("Grant", (ClientCredentialsGrant,), {"TOKEN_ENDPOINT_AUTH_METHODS": list(methods)}))
        generator = BearerTokenGenerator(
            lambda **_: secrets.token_urlsafe(24), expires_generator=lambda *_: lifetime_seconds
        )
        self.register_token_generator("default", generator)

    async def __call__(self, request: Request) -> Response:
        self.requests.append(dict(parse_qsl(request.body.decode())))
        response: Response = self.create_token_response(request)
        return response

    def revoke(self) -> None:
        """Take back every token that was issued."""
        self.good.clear()

    def accepts(self, request: Request) -> bool:
        """Whether a request to the system bears a token that is good."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and token in self.good

    # what Authlib wants of a framework

    def query_client(self, client_id: str) -> ClientMixin | None:
        return self._client if client_id == CLIENT_ID else None

    def save_token(self, token: Mapping[str, Any], request: OAuth2Request) -> None:
        self.good.add(token["access_token"])

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: Request) -> OAuth2Request:
        made = _FormRequest(request)
        made.payload = BasicOAuth2Payload(made.form)
        return made

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        return Response(status=status, body=json.dumps(body).encode(), headers=dict(headers))


class _FormRequest(OAuth2Request):
    def __init__(self, request: Request) -> None:
        headers = {name.title(): value for name, value in request.headers.items()}
        # Authlib wants https; that it is loopback, it cannot know
        super().__init__(request.method, "https://127.0.0.1/token", headers=headers)
        self._form = dict(parse_qsl(request.body.decode()))

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Client(ClientMixin):  # type: ignore[misc]
    def __init__(self, methods: tuple[str, ...]) -> None:
        self._methods = methods

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(scope_to_list(scope or ""))

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(client_secret, CLIENT_SECRET)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in self._methods

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"
