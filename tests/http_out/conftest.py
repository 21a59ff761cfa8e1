"""Every test that takes ``make_client`` or ``make_transport`` runs on httpx's own transport and on ours."""

from __future__ import annotations

import ssl

import httpx
import pytest
from helpers.transports import MakeClient, MakeTransport, make_ours, make_stock


@pytest.fixture(params=[make_stock, make_ours], ids=["stock", "ours"])
def make_transport(request: pytest.FixtureRequest) -> MakeTransport:
    """Makes a transport that trusts what the context given trusts."""
    return request.param


@pytest.fixture
def is_ours(make_transport: MakeTransport) -> bool:
    """For where the two differ on purpose."""
    return make_transport is make_ours


@pytest.fixture
def make_client(make_transport: MakeTransport) -> MakeClient:
    """Makes a client on such a transport."""

    def make(context: ssl.SSLContext | None = None, **options: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=make_transport(context), trust_env=False, **{"timeout": 5, **options})

    return make
