"""URLs that an action takes part in.

``url = "https://billing.internal/jobs/{action.data.number}"`` fills placeholders, each percent-encoded for the place
that it stands in; ``url = { expr = "action.data.endpoint" }`` takes the whole URL from the action.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import httpx

from connectord_http.expressions import MappingFailed, Search, check_expression, compile_expression
from connectord_http.templates import as_text

RenderUrl: TypeAlias = Callable[[Any], httpx.URL]
"""Makes a URL from a document. Raises :class:`connectord_http.expressions.MappingFailed`."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HOST_PART = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_PORT_PART = re.compile(r"[0-9]{1,5}", re.ASCII)
_MISLEADING = re.compile(r"[\x00-\x20\\\x7f]")
_LONGEST = 8_192


def check_url(text: str) -> str:
    """``text`` itself, if it is an http or https URL without placeholders. Raises :class:`ValueError`."""
    _parse(text)
    return text


def _parse(text: str) -> httpx.URL:
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
    if "@" in _authority(text):
        raise ValueError(
            "must not hold a user name or a password: put them into auth, "
            'as in auth.basic = { username = "ada", password = { credential = "NAME" } }'
        )
    return url


def check_url_template(text: str, roots: Collection[str]) -> str:
    """``text`` itself, if it is a URL with or without placeholders over ``roots``. Raises :class:`ValueError`."""
    for expression in _PLACEHOLDER.findall(text):
        try:
            check_expression(expression, roots)
        except ValueError as error:
            raise ValueError(f"the placeholder {{{expression}}} {error}") from None
    if not _PLACEHOLDER.search(text):
        if "{" in text or "}" in text:
            raise ValueError("a placeholder stands in braces, as in {action.id}; a brace itself is written %7B or %7D")
        return check_url(text)
    # a digit is good in every place, a port among them
    filled = _PLACEHOLDER.sub("1", text)
    if "{" in filled or "}" in filled:
        raise ValueError("a placeholder stands in braces, as in {action.id}, with no braces inside")
    if _PLACEHOLDER.search(text.partition("://")[0]) or "://" not in text:
        raise ValueError('must begin with "http://" or "https://"; for a whole URL write url = { expr = "..." }')
    if not filled.isascii() or _MISLEADING.search(filled):
        raise ValueError(
            "must be plain ASCII without spaces where it has a placeholder: write %20, or xn--... for a host"
        )
    if any(_is_dots(segment) for segment in _path(filled).split("/")):
        raise ValueError('may not have "." or ".." in its path beside a placeholder')
    check_url(filled)
    return text


def has_placeholder(text: str) -> bool:
    """Whether an action takes part in the URL."""
    return _PLACEHOLDER.search(text) is not None


def takes_target(text: str) -> bool:
    """Whether an action decides where the URL leads: whether its host or port has a placeholder."""
    # text in quotes may hold slashes, so what stands in braces goes first
    return "\0" in _authority(_PLACEHOLDER.sub("\0", text))


def compile_url(text: str) -> RenderUrl:
    """The function that fills the placeholders of a URL that was checked."""
    pieces = _PLACEHOLDER.split(text)  # literal, expression, literal, ...
    literals = pieces[::2]
    fillers: list[tuple[str, Search, str]] = []
    so_far = ""
    for literal, expression in zip(literals, pieces[1::2], strict=False):
        so_far += literal
        fillers.append((expression, compile_expression(expression), _place(so_far)))
        so_far += "x"

    def render(document: Any) -> httpx.URL:
        url = literals[0]
        for (expression, search, place), literal in zip(fillers, literals[1:], strict=True):
            url += _encode(_fill(expression, search(document)), place, expression) + literal
        if any(_is_dots(segment) for segment in _path(url).split("/")):
            raise MappingFailed('the url would have "." or ".." in its path')
        return parse_foreign_url(url)

    return render


def compile_whole_url(expression: str) -> RenderUrl:
    """The function that takes the whole URL from a document."""
    search = compile_expression(expression)

    def render(document: Any) -> httpx.URL:
        url = search(document)
        if not isinstance(url, str):
            raise MappingFailed(f"the url that {expression!r} gives is no string")
        return parse_foreign_url(url)

    return render


def parse_foreign_url(text: str) -> httpx.URL:
    """A URL that somebody else wrote, without its fragment. Raises :class:`MappingFailed`."""
    # what a browser or another program would take for another host
    if len(text) > _LONGEST or not text.isascii() or _MISLEADING.search(text):
        raise MappingFailed("the url is too long, or has a space, a backslash or a character that is not ASCII")
    try:
        # a fragment is none of the server's business
        return _parse(text.partition("#")[0])
    except ValueError as error:
        raise MappingFailed(f"the url {error}") from None


def _fill(expression: str, value: Any) -> str:
    try:
        text = as_text(value)
    except ValueError as error:
        raise MappingFailed(f"{{{expression}}} in the url {error}") from None
    if not text:
        # a path without its end may be another resource's
        raise MappingFailed(f"{{{expression}}} in the url is {'null' if text is None else 'empty'}")
    return text


def _encode(text: str, place: str, expression: str) -> str:
    if place == "target":
        if not _HOST_PART.fullmatch(text):
            raise MappingFailed(f"{{{expression}}} in the url may have letters, digits, dots and hyphens only")
        return text
    if place == "port":
        if not _PORT_PART.fullmatch(text):
            raise MappingFailed(f"{{{expression}}} in the url is no port")
        return text
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise MappingFailed(f"{{{expression}}} in the url is no valid text") from None


def _place(before: str) -> str:
    rest = before.partition("://")[2]
    if re.search(r"[/?#]", rest):
        return "path"
    return "port" if re.search(r":[0-9x]*$", rest) and not rest.startswith("[") else "target"


def _authority(text: str) -> str:
    return re.split(r"[/?#\\]", text.partition("://")[2], maxsplit=1)[0]


def _path(url: str) -> str:
    path = re.split(r"[?#]", url.partition("://")[2], maxsplit=1)[0]
    return path.partition("/")[2]


def _is_dots(segment: str) -> bool:
    # servers differ in when they decode, what they take for a slash, and whether a segment may carry parameters
    parts = re.split(r"[/\\]", unquote(unquote(segment)))
    return any(part.partition(";")[0] in (".", "..") for part in parts)
