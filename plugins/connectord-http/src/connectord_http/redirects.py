"""Following redirects, as far as connectord.toml allows it and no secret leaves its origin."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import httpx
import msgspec
from connectord.adapters import TargetRefused

from connectord_http.answers import Answer, status_line
from connectord_http.documents import plain
from connectord_http.exchange import Exchange, PreparedRequest
from connectord_http.expressions import MappingFailed
from connectord_http.urls import parse_foreign_url

_REPEAT = (307, 308)
_MOVED = (301, 302, 303)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Redirects:
    """How redirects are followed.

    ``most`` is how many in a row, 1 or more. ``secret_headers``, in lower case, are left out where one leads to
    another origin. With ``only_same_origin`` it may not, for a TLS client certificate cannot be left out.
    """

    most: int
    secret_headers: Collection[str]
    only_same_origin: bool = False

    async def send(self, exchange: Exchange, request: PreparedRequest, *, limit: int) -> Answer:
        """The answer to ``request``, or the one that its redirects lead to.

        Raises what :meth:`Exchange.send_once` does, and :class:`TargetRefused` for a redirect that is not followed;
        one that is no redirect is an answer like any other.
        """
        answer = await exchange.send_once(request, limit=limit)
        followed = 0
        while answer.status in (*_REPEAT, *_MOVED) and "location" in answer.headers:
            followed += 1
            if followed > self.most:
                raise TargetRefused(f"there were more than {self.most} redirects in a row")
            request = self._next(request, answer)
            answer = await exchange.send_once(request, limit=limit)
        return answer

    def _next(self, request: PreparedRequest, answer: Answer) -> PreparedRequest:
        location = answer.headers["location"]
        where = f"{status_line(answer.status)} to {plain(location)}"
        if answer.status in _MOVED and request.method != "GET":
            # repeated without its body the action would be lost, and with it done where nobody asked for it
            raise TargetRefused(f"{where}: a {request.method} is repeated elsewhere for 307 and 308 only")
        try:
            # joining changes the text, so what could mislead a parser is looked for before
            url = parse_foreign_url(str(request.url.join(_sound(location))))
        except (MappingFailed, httpx.InvalidURL) as error:
            raise TargetRefused(f"{where}: {error}") from error
        if request.url.scheme == "https" and url.scheme != "https":
            raise TargetRefused(f"{where}: it leads from https to http")
        hop = msgspec.structs.replace(request, url=url, guarded=True)
        if _origin(url) == _origin(request.url):
            return hop
        if self.only_same_origin:
            raise TargetRefused(f"{where}: the client certificate is not for another origin")
        kept = {name: value for name, value in request.headers.items() if name not in self.secret_headers}
        return msgspec.structs.replace(hop, headers=kept, without=self.secret_headers)


def _sound(location: str) -> str:
    if "\\" in location or any(character <= " " for character in location):
        raise MappingFailed("the address has a space or a backslash")
    return location


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or _PORTS[url.scheme]
