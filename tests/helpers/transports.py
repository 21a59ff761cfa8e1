"""httpx's own transport and connectord's, to be held against each other."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import httpx
from connectord.http_out import ExchangeWatch, PooledTransport

MakeTransport: TypeAlias = Callable[..., httpx.AsyncBaseTransport]
MakeClient: TypeAlias = Callable[..., httpx.AsyncClient]


def make_stock(context: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
    """httpx's own."""
    return httpx.AsyncHTTPTransport(verify=context or _default_context(), trust_env=False)


def make_ours(
    context: ssl.SSLContext | None = None, *, watch: ExchangeWatch | None = None, **options: float
) -> PooledTransport:
    """connectord's, with what :class:`connectord.network.SystemNetwork` would give it."""
    settings = {"connect_timeout_seconds": 5, "keepalive_seconds": 4, "max_idle": 100, **options}
    return PooledTransport(ssl_context=context or _default_context(), watch=watch, **settings)


@cache
def _default_context() -> ssl.SSLContext:
    return ssl.create_default_context()
