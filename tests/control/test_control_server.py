import json
import os
import socket
import stat
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import structlog
import trio
from connectord.control import server
from connectord.control.peers import Peer
from connectord.control.protocol import MAX_LINE_BYTES
from connectord.errors import AddressUnusable, NotFound, Refused, StoreFailed, WatcherTooSlow


class Fake:
    """A dispatcher that plays the daemon."""

    def __init__(self):
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled = 0
        self.seen = []
        self.go = trio.Event()
        self.allowed = True
        self.notified = -1

    def authorize(self, peer):
        return peer if self.allowed else None

    async def dispatch(self, caller, method, params, notify):
        self.seen.append(method)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._run(caller, method, params, notify)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1

    async def _run(self, caller, method, params, notify):
        match method:
            case "echo":
                return params
            case "who":
                return {"uid": caller.uid, "gid": caller.gid, "pid": caller.pid}
            case "wait":
                await self.go.wait()
                return "waited"
            case "missing":
                raise NotFound("there is no action A")
            case "grouped":
                raise ExceptionGroup("nursery", [Refused("closed", "it is closed")])
            case "bug":
                raise ZeroDivisionError("secret")
            case "unencodable":
                return object()
            case "disk":
                raise StoreFailed("I/O error")
            case "watch":
                for number in range(3):
                    await notify("event", {"n": number})
                await trio.sleep_forever()
            case "stream":
                for number in range(0, 5_000, 2):
                    await notify("event", *({"n": one, "text": "x" * 100} for one in (number, number + 1)))
                    self.notified = number + 1
                raise WatcherTooSlow(self.notified)
            case "big":
                return "x" * 5_000_000
            case "flood":
                while True:
                    await notify("event", {"text": "x" * 100_000})
        return None


@asynccontextmanager
async def serving(path, fake, **options):
    listener = await server.open_control_listener(path)
    async with trio.open_nursery() as nursery:

        async def run(task_status):
            await server.serve_control(listener, fake.dispatch, fake.authorize, task_status=task_status, **options)

        await nursery.start(run)
        yield
        nursery.cancel_scope.cancel()


class Client:
    def __init__(self, stream):
        self.stream = stream
        self.buffer = b""

    async def send(self, method, request_id=1, **params):
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        await self.stream.send_all(json.dumps(message).encode() + b"\n")

    async def read(self):
        with trio.fail_after(5):
            while b"\n" not in self.buffer:
                chunk = await self.stream.receive_some(65536)
                if not chunk:
                    return None
                self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    async def call(self, method, request_id=1, **params):
        await self.send(method, request_id, **params)
        return await self.read()


@asynccontextmanager
async def connected(path):
    async with await trio.open_unix_socket(str(path)) as stream:
        yield Client(stream)


async def until(condition):
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.01)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "control.sock"


@pytest.fixture
async def fake():
    return Fake()


async def test_a_call_is_answered_and_the_peer_is_known(path, fake):
    async with serving(path, fake), connected(path) as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o022 == 0
        assert await client.call("echo", 1, a="ä") == {"jsonrpc": "2.0", "id": 1, "result": {"a": "ä"}}
        reply = await client.call("who", "two")
        assert reply == {
            "jsonrpc": "2.0",
            "id": "two",
            "result": {"uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid()},
        }


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"", -32700, None),
        (b"{", -32700, None),
        (b"\x00\xff\xfe", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, None),
        (b"[" * 500_000, -32700, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"echo"}]', -32600, None),
        (b'"echo"', -32600, None),
        (b'{"id":1,"method":"echo"}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":1}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":[1],"method":"echo"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[1]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"ecko"}', -32601, 1),
    ],
)
async def test_a_broken_line_is_answered_and_the_connection_goes_on(path, fake, line, code, request_id):
    async with serving(path, fake, methods=["echo"]), connected(path) as client:
        await client.stream.send_all(line + b"\n")
        reply = await client.read()
        assert (reply["error"]["code"], reply["id"]) == (code, request_id)
        assert (await client.call("echo", 2, a=1))["result"] == {"a": 1}
        assert fake.seen == ["echo"]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n" + b"y" * 500_000])
async def test_a_line_that_is_too_long_closes_the_connection(path, fake, ending):
    async with serving(path, fake), connected(path) as client:
        await client.stream.send_all(b"x" * (MAX_LINE_BYTES + 1) + ending)
        reply = await client.read()
        assert (reply["error"]["code"], reply["id"]) == (-32600, None)
        assert await client.read() is None


async def test_a_line_of_just_the_limit_is_taken(path, fake):
    async with serving(path, fake), connected(path) as client:
        line = b'{"jsonrpc":"2.0","id":1,"method":"echo"}'
        await client.stream.send_all(line.ljust(MAX_LINE_BYTES) + b"\n")
        assert (await client.read())["result"] == {}


async def test_half_a_line_at_the_end_is_ignored(path, fake):
    async with serving(path, fake), connected(path) as client:
        await client.stream.send_all(b'{"jsonrpc":"2.0","id":1,"method":"echo"}')
        await client.stream.send_eof()
        assert await client.read() is None
        assert fake.seen == []


async def test_what_is_under_way_is_answered_after_only_the_writing_half_was_closed(path, fake):
    async with serving(path, fake), connected(path) as client:
        await client.send("wait")
        await client.stream.send_eof()
        await until(lambda: fake.under_way == 1)
        fake.go.set()
        assert (await client.read())["result"] == "waited"
        assert await client.read() is None


async def test_errors_are_told_and_bugs_are_not(path, fake):
    async with serving(path, fake), connected(path) as client:
        assert (await client.call("missing"))["error"] == {"code": -32001, "message": "there is no action A"}
        assert (await client.call("grouped"))["error"]["data"] == {"state": "closed", "reason": "it is closed"}
        with structlog.testing.capture_logs() as logs:
            for method in ("bug", "unencodable"):
                reply = await client.call(method)
                assert reply["error"]["code"] == -32603
                assert "secret" not in json.dumps(reply)
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [("control_request_failed", "error")] * 2
        assert isinstance(logs[0]["exc_info"], ZeroDivisionError)
        assert (await client.call("echo"))["result"] == {}


async def test_a_failed_store_is_answered_and_then_ends_the_server(path, fake):
    with pytest.raises(ExceptionGroup) as caught, structlog.testing.capture_logs():  # noqa: PT012
        async with serving(path, fake), connected(path) as client:
            assert (await client.call("disk"))["error"]["code"] == -32603
            await trio.sleep_forever()
    assert caught.group_contains(StoreFailed)


async def test_a_stranger_is_refused_at_every_request(path, fake):
    async with serving(path, fake), connected(path) as client:
        fake.allowed = False
        for number in (1, 2):
            assert (await client.call("echo", number))["error"]["code"] == -32003
        fake.allowed = True
        assert (await client.call("echo"))["result"] == {}
        assert fake.seen == ["echo"]


async def test_a_notification_gets_no_reply(path, fake):
    async with serving(path, fake), connected(path) as client:
        for method in ("echo", "missing"):
            await client.stream.send_all(b'{"jsonrpc":"2.0","method":"%s"}\n' % method.encode())
        await until(lambda: sorted(fake.seen) == ["echo", "missing"])
        assert (await client.call("echo", 9))["id"] == 9


async def test_a_fast_request_overtakes_a_slow_one(path, fake):
    async with serving(path, fake), connected(path) as client:
        await client.send("wait", 1)
        assert (await client.call("echo", 2))["id"] == 2
        fake.go.set()
        assert (await client.read())["id"] == 1


async def test_reading_pauses_when_too_much_is_under_way(path, fake):
    async with serving(path, fake, max_in_flight=3), connected(path) as client:
        for number in range(10):
            await client.send("wait", number)
        await until(lambda: fake.under_way == 3)
        await trio.sleep(0.4)
        assert len(fake.seen) == 3
        fake.go.set()
        assert {(await client.read())["id"] for _ in range(10)} == set(range(10))
        assert fake.most_under_way == 3


@pytest.mark.parametrize("requests", [1, 10])
async def test_a_disconnect_cancels_what_is_under_way(path, fake, requests):
    async with serving(path, fake, max_in_flight=3):
        async with connected(path) as client:
            for number in range(requests):
                await client.send("wait", number)
            await until(lambda: fake.under_way == min(requests, 3))
        await until(lambda: fake.under_way == 0)
        assert fake.cancelled == min(requests, 3)


async def test_watch_notifies_until_the_disconnect(path, fake):
    async with serving(path, fake):
        async with connected(path) as client:
            await client.send("watch")
            for number in range(3):
                assert await client.read() == {"jsonrpc": "2.0", "method": "event", "params": {"n": number}}
            assert (await client.call("echo", 2))["id"] == 2
        await until(lambda: fake.cancelled == 1)


@pytest.mark.parametrize(
    ("method", "patience"), [("big", "WRITE_TIMEOUT_SECONDS"), ("flood", "NOTIFICATION_PATIENCE_SECONDS")]
)
async def test_who_reads_nothing_is_dropped_in_the_end(path, fake, monkeypatch, method, patience):
    monkeypatch.setattr(server, patience, 0.2)
    async with serving(path, fake), connected(path) as client:
        with structlog.testing.capture_logs() as logs:
            await client.send(method)
            await until(lambda: logs)
            async with connected(path) as other:
                assert (await other.call("echo"))["result"] == {}
        assert [entry["event"] for entry in logs] == ["control_reader_too_slow"]
        await until(lambda: fake.under_way == 0)


async def test_a_reader_of_notifications_may_pause_and_gets_all_of_them_and_the_error(path, fake, monkeypatch):
    monkeypatch.setattr(server, "WRITE_TIMEOUT_SECONDS", 0.05)
    async with serving(path, fake), connected(path) as client, connected(path) as other:
        await client.send("stream")
        stopped_at = None
        while stopped_at != fake.notified or stopped_at < 1:  # it reads nothing until the daemon can write no more
            stopped_at = fake.notified
            assert (await other.call("echo"))["result"] == {}
            await trio.sleep(0.3)
        assert 0 < stopped_at < 4_999
        assert [(await client.read())["params"]["n"] for _ in range(5_000)] == list(range(5_000))
        assert (await client.read())["error"]["data"] == {"resume_after": 4_999}
        assert (await client.call("echo", 2))["id"] == 2


async def test_a_stuck_reader_does_not_hold_up_the_end(path, fake):
    with trio.fail_after(5):
        async with serving(path, fake), connected(path) as client:
            await client.send("flood")
            await until(lambda: fake.under_way == 1)
            await trio.sleep(0.2)
    assert fake.under_way == 0


async def test_one_connection_too_many_is_told_so(path, fake):
    async with serving(path, fake, max_connections=1, reserved_connections=0):
        async with connected(path) as client:
            await client.call("echo")
            async with connected(path) as other:
                assert (await other.read())["error"]["code"] == -32005
                assert await other.read() is None
        await trio.sleep(0.1)
        async with connected(path) as client:
            assert (await client.call("echo"))["result"] == {}


def play_users(monkeypatch, *uids):
    """Let each connection come from the next of ``uids``, the last one again and again."""
    numbers = iter(uids)

    def peer_of(connection):
        return Peer(uid=next(numbers, uids[-1]), gid=1, pid=1)

    monkeypatch.setattr(server, "peer_of", peer_of)


async def test_a_user_may_not_take_the_connections_of_others(path, fake, monkeypatch):
    play_users(monkeypatch, 4711, 4711, 4711, 4712, 0)
    limits = {"max_connections": 8, "max_connections_per_user": 2, "reserved_connections": 1}
    async with serving(path, fake, **limits), AsyncExitStack() as stack:
        kept = [await stack.enter_async_context(connected(path)) for _ in range(2)]
        assert [(await client.call("echo"))["result"] for client in kept] == [{}, {}]
        async with connected(path) as third:
            error = (await third.read())["error"]
            assert (error["code"], error["message"][:45]) == (-32005, "uid 4711 has 2 connections open already; clos")
        for _ in range(2):  # another user, and root
            assert (await (await stack.enter_async_context(connected(path))).call("echo"))["result"] == {}


async def test_the_last_connections_are_kept_for_root(path, fake, monkeypatch):
    play_users(monkeypatch, 1001, 1002, 1003, 0, 1004, 0, 0)
    with structlog.testing.capture_logs() as logs:
        async with serving(path, fake, max_connections=5, reserved_connections=2), AsyncExitStack() as stack:
            answers = []
            for _ in range(7):
                client = await stack.enter_async_context(connected(path))
                with suppress(trio.BrokenResourceError):
                    await client.send("echo")
                answers.append("error" not in (await client.read()))
    assert answers == [True, True, True, True, False, True, False]
    assert [entry["event"] for entry in logs] == ["control_connections_full"]


async def test_a_line_must_end_in_time(path, fake, monkeypatch):
    monkeypatch.setattr(server, "LINE_TIMEOUT_SECONDS", 0.3)
    async with serving(path, fake), connected(path) as client:
        await client.call("echo")
        await trio.sleep(0.5)  # between two lines there is no hurry
        assert (await client.call("echo"))["result"] == {}
        await client.stream.send_all(b'{"jsonrpc": "2.0", ')
        error = (await client.read())["error"]
        assert error["message"] == "a line has to end within 0.3 s after it began; the connection is closed"
        assert await client.read() is None


async def test_a_line_that_grows_steadily_is_cut_all_the_same(path, fake, monkeypatch):
    monkeypatch.setattr(server, "LINE_TIMEOUT_SECONDS", 0.3)
    async with serving(path, fake), connected(path) as client:
        with trio.fail_after(5), suppress(trio.BrokenResourceError):
            while True:
                await client.stream.send_all(b" ")
                await trio.sleep(0.02)
        assert "within 0.3 s" in (await client.read())["error"]["message"]


async def test_each_line_of_a_steady_stream_has_its_own_time(path, fake, monkeypatch):
    monkeypatch.setattr(server, "LINE_TIMEOUT_SECONDS", 0.4)
    async with serving(path, fake), connected(path) as client:
        for number in range(8):  # there is always half a line in the buffer, but never the same one for long
            await client.stream.send_all(b'": "2.0", "id": 1, "method": "echo"}\n{"jsonrpc' if number else b'{"jsonrpc')
            await trio.sleep(0.1)
        for _ in range(7):
            assert (await client.read())["result"] == {}


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(path, fake):
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with serving(path, fake), connected(path) as client:
        assert (await client.call("echo"))["result"] == {}
        with pytest.raises(AddressUnusable, match="another daemon answers"):
            await server.open_control_listener(path)


async def test_what_is_not_a_socket_is_left_alone(tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("mine")
    with pytest.raises(AddressUnusable, match="something else"):
        await server.open_control_listener(path)
    assert path.read_text() == "mine"


async def test_a_path_that_cannot_be_bound_is_told(tmp_path):
    with pytest.raises(AddressUnusable, match="too long"):
        await server.open_control_listener(tmp_path / ("x" * 120))
    (tmp_path / "file").touch()
    with pytest.raises(AddressUnusable):
        await server.open_control_listener(tmp_path / "file" / "control.sock")
