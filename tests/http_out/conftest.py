"""Every test that takes ``make_client`` or ``make_transport`` runs on httpx's own transport and on ours, and there both
with a cancel scope for each exchange and with one watch for all of them, as in the daemon."""

from __future__ import annotations

import ssl
from functools import partial

import httpx
import pytest
import trio
import trio.testing
from connectord.http_out import ExchangeWatch
from helpers.transports import MakeClient, MakeTransport, make_ours, make_stock


@pytest.fixture(params=["stock", "ours", "ours, watched"])
async def make_transport(request: pytest.FixtureRequest, nursery: trio.Nursery) -> MakeTransport:
    """Makes a transport that trusts what the context given trusts."""
    if request.param == "stock":
        return make_stock
    if request.param == "ours":
        return make_ours
    watch = ExchangeWatch()
    nursery.start_soon(watch.run)
    await trio.testing.wait_all_tasks_blocked()
    return partial(make_ours, watch=watch)


@pytest.fixture
def is_ours(make_transport: MakeTransport) -> bool:
    """For where the two differ on purpose."""
    return make_transport is not make_stock


@pytest.fixture
def make_client(make_transport: MakeTransport) -> MakeClient:
    """Makes a client on such a transport."""

    def make(context: ssl.SSLContext | None = None, **options: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=make_transport(context), trust_env=False, **{"timeout": 5, **options})

    return make
