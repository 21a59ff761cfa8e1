"""Who gets in at the callback listener when it is crowded, and whom guesses are counted under."""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog
import trio
from connectord.callbacks import CallbackAnswer, Limits, TokenKey, open_callback_listeners, serve_callbacks
from connectord.callbacks.addresses import client_behind, group_of, is_within, read_address
from connectord.callbacks.limits import DEFAULTS
from connectord.errors import CallbackNotAllowed

KEY = TokenKey(bytes(range(32)))
TOKEN = KEY.issue("01JDEFGHJKMNPQRSTVWXYZ0123")
LOCAL = (ipaddress.ip_network("127.0.0.0/8"),)


class Handler:
    """Takes everything but what it is told to refuse."""

    def __init__(self) -> None:
        self.refuse = False

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        await trio.lowlevel.checkpoint()
        if self.refuse:
            raise CallbackNotAllowed("no valid signature")
        return CallbackAnswer.TAKEN


class Listening:
    """A listener whose limits a test may change."""

    def __init__(self, port: int, limits: Limits, handler: Handler) -> None:
        self.port = port
        self.limits = limits
        self.handler = handler

    async def connect(self, source: str = "127.0.0.1") -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port, local_address=source)

    async def ask(self, token: str = TOKEN, source: str = "127.0.0.1", headers: str = "") -> bytes:
        """The status line's number that one callback on a connection of its own gets."""
        async with await self.connect(source) as stream:
            return await ask(stream, token, headers)


async def ask(stream: trio.SocketStream, token: str = TOKEN, headers: str = "") -> bytes:
    await stream.send_all(
        f"POST /callback/{token} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 2\r\n\r\n{{}}".encode()
    )
    with trio.fail_after(10):
        return bytes(await stream.receive_some(4096))[9:12]


async def is_closed(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.2):
        try:
            return not await stream.receive_some(1)
        except trio.BrokenResourceError:
            return True
    return False


@asynccontextmanager
async def listening(limits: Limits) -> AsyncIterator[Listening]:
    listeners = await open_callback_listeners("127.0.0.1", 0)
    # who waits makes room at once
    limits = replace(limits, place_patience_seconds=0.0)
    here = Listening(listeners[0].socket.getsockname()[1], limits, Handler())

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        await serve_callbacks(
            listeners, key=KEY, handler=here.handler, limits=lambda: here.limits, task_status=task_status
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        yield here
        nursery.cancel_scope.cancel()


async def test_a_valid_callback_gets_in_where_idle_connections_hold_every_place() -> None:
    with structlog.testing.capture_logs() as logs:
        async with listening(Limits(max_connections=4)) as here:
            idle = [await here.connect() for _ in range(4)]
            await idle[1].send_all(b"POST /callback/")  # a slow head is no work either
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await here.ask() == b"200"
            assert [await is_closed(stream) for stream in idle] == [True, False, False, False]
            assert await here.ask() == b"200"  # there is a place again
            for stream in idle:
                await stream.aclose()
    (warning,) = [entry for entry in logs if entry["event"] == "callback_connections_exhausted"]
    assert (warning["dropped_since_last"], warning["refused_since_last"]) == (1, 0)


async def test_who_is_idle_for_too_long_is_let_go() -> None:
    async with listening(Limits(idle_timeout_seconds=0.2)) as here, await here.connect() as stream:
        assert await ask(stream) == b"200"
        with trio.fail_after(10):
            assert await stream.receive_some(1) == b""


async def test_who_never_brought_a_good_token_goes_before_who_did() -> None:
    async with listening(Limits(max_connections=3)) as here:
        kept = await here.connect()
        assert await ask(kept) == b"200"
        strangers = [await here.connect() for _ in range(2)]
        for _ in range(5):
            assert await here.ask() == b"200"
        assert [await is_closed(stream) for stream in strangers] == [True, False]
        assert await ask(kept) == b"200"
        for stream in (kept, *strangers):
            await stream.aclose()


async def test_one_address_cannot_take_the_places_of_others() -> None:
    async with listening(Limits(max_connections=8, max_connections_per_address=3)) as here:
        other = await here.connect("127.0.0.2")
        crowd = [await here.connect() for _ in range(10)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        # its own oldest ones went, nobody else's
        assert [await is_closed(stream) for stream in crowd] == [True] * 7 + [False] * 3
        assert await ask(other) == b"200"
        assert await here.ask(source="127.0.0.3") == b"200"
        assert await here.ask() == b"200"
        for stream in (other, *crowd):
            await stream.aclose()


async def test_a_trusted_proxy_stands_for_many() -> None:
    limits = Limits(max_connections=8, max_connections_per_address=1, trusted_proxies=LOCAL)
    async with listening(limits) as here:
        streams = [await here.connect() for _ in range(6)]
        assert [await ask(stream) for stream in streams] == [b"200"] * 6
        for stream in streams:
            await stream.aclose()


async def test_guesses_through_a_trusted_proxy_count_for_the_client_it_names() -> None:
    async with listening(Limits(guesses_per_minute=1, trusted_proxies=LOCAL)) as here:
        bad = "A" * 48
        assert await here.ask(bad, headers="X-Forwarded-For: 203.0.113.7\r\n") == b"404"
        assert await here.ask(bad, headers="X-Forwarded-For: 203.0.113.7\r\n") == b"429"
        # what a client writes there itself stands further left, and helps it nothing
        assert await here.ask(bad, headers="X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n") == b"429"
        assert await here.ask(bad, headers="X-Forwarded-For: 203.0.113.8\r\n") == b"404"
        assert await here.ask(bad) == b"404"
        assert await here.ask(bad, headers="X-Forwarded-For: nonsense\r\n") == b"429"


async def test_who_is_no_trusted_proxy_is_not_believed() -> None:
    async with listening(Limits(guesses_per_minute=1)) as here:
        assert await here.ask("A" * 48, headers="X-Forwarded-For: 203.0.113.7\r\n") == b"404"
        assert await here.ask("A" * 48, headers="X-Forwarded-For: 203.0.113.8\r\n") == b"429"


async def test_bad_signatures_count_as_guesses() -> None:
    async with listening(Limits(guesses_per_minute=2)) as here:
        here.handler.refuse = True
        async with await here.connect() as stream:  # the address was right: the connection goes on
            assert [await ask(stream) for _ in range(3)] == [b"401", b"401", b"429"]
        assert await here.ask("A" * 48) == b"429"
        here.handler.refuse = False
        assert await here.ask() == b"200"


async def test_changed_limits_hold_at_once() -> None:
    async with listening(Limits(guesses_per_minute=1)) as here:
        assert [await here.ask("A" * 48) for _ in range(2)] == [b"404", b"429"]
        here.limits = replace(here.limits, guesses_per_minute=100)
        assert await here.ask("A" * 48) == b"404"


async def test_half_of_the_file_descriptors_are_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (4, 4))
    async with listening(DEFAULTS) as here:
        crowd = [await here.connect() for _ in range(5)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert [await is_closed(stream) for stream in crowd] == [True, True, True, False, False]
        assert await here.ask() == b"200"
        for stream in crowd:
            await stream.aclose()


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_ipv6_is_counted_by_its_64(address: str, group: str) -> None:
    read = read_address(address)
    assert read is not None
    assert group_of(read) == group


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7,127.0.0.1", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", None),
        ("", None),
        ("203.0.113.7, unknown", None),
        ("203.0.113.7, 127.0.0.1, ", None),
        ("١٢٧.0.0.1", None),
        (",".join(["127.0.0.1"] * 10_000), None),
    ],
)
def test_the_client_behind_proxies(header: str, client: str | None) -> None:
    found = client_behind(header, LOCAL)
    assert (None if found is None else str(found)) == client


def test_a_mapped_address_is_within_an_ipv4_network() -> None:
    address = read_address("::ffff:127.0.0.1")
    assert address is not None
    assert is_within(address, LOCAL)
