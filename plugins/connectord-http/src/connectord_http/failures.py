"""Rule 7: why connecting failed, in words for the card."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import httpx

from connectord_http.documents import plain

_UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def describe(error: httpx.TransportError, *, host: str, connect_timeout_ms: int, read_timeout_ms: int) -> str:
    """What went wrong, without a traceback's vocabulary."""
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return f"connect timeout after {_seconds(connect_timeout_ms)}"
        case httpx.ReadTimeout():
            return f"read timeout after {_seconds(read_timeout_ms)}"
        case httpx.WriteTimeout():
            return f"write timeout after {_seconds(read_timeout_ms)}"
        case httpx.ConnectError():
            return _system_says(error, host) or "connection failed"
        case httpx.NetworkError():
            said = _system_says(error, host)
            return f"connection lost: {said}" if said else "connection lost"
        case httpx.RemoteProtocolError() if "without sending a response" in str(error):
            return "connection closed without an answer"
        case httpx.RemoteProtocolError():
            return f"broken HTTP answer: {plain(str(error))}"
        case httpx.ProxyError():
            return f"the proxy refused the connection: {plain(str(error))}"
        case _:
            # the text could quote the request, headers and all
            return f"the request could not be sent ({type(error).__name__})"


def describe_lookup(error: OSError, *, host: str) -> str:
    """Why the addresses of ``host`` could not be found."""
    return _system_says(error, host) or f"name lookup failed: {host}"


def _system_says(error: BaseException, host: str) -> str | None:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"TLS: certificate verify failed: {plain(cause.verify_message)}"
            case ssl.SSLError():
                return f"TLS: {(cause.reason or 'handshake failed').replace('_', ' ').lower()}"
            case socket.gaierror() if cause.errno in _UNKNOWN_NAME:
                return f"name not known: {host}"
            case socket.gaierror():
                return f"name lookup failed: {host} ({cause.strerror})"
            case OSError() if cause.errno is not None:
                text = os.strerror(cause.errno)
                return text[:1].lower() + text[1:]
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    # httpcore cuts the chain of causes, but keeps the original as an argument
    inner = [error.__cause__, *error.args]
    if isinstance(error, BaseExceptionGroup):
        inner += error.exceptions
    for each in inner:
        if isinstance(each, BaseException):
            yield from _causes(each)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"
