"""A target that an action names: checked, pinned, and never connected to where it is not allowed."""

from __future__ import annotations

import gc
import ssl
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import trio
import trustme
from connectord.adapters import AdapterContext, NotConnected, Rejected, Taken
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings
from helpers.calls import make_call
from helpers.cancellation import cancel_after_steps
from helpers.http_adapter import Recorder, Resolver, Trap, adapter_for
from helpers.http_server import Response, refuse, serve

WHOLE = {"expr": "action.data.url"}

# every way that leads to the loopback interface of this machine, or would for some parser or resolver
TO_LOOPBACK = [
    "http://127.0.0.1:{port}/",
    "http://127.0.0.2:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0X7F.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://localhost.localdomain:{port}/",
    "http://ip6-localhost:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://user:pass@127.0.0.1:{port}/",
    "http://example.org@127.0.0.1:{port}/",
    "http://example.org:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.org/",
    "http://example.org\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http://example.org#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.org/",
    "http://127.0.0.1:{port}?@example.org/",
    "http:\\\\127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\n:{port}/",
    "http://127.0.0.1\r\nHost: example.org:{port}/",
    "http://127.0.0.1%00:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://\uff11\uff12\uff17.0.0.1:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://loca\u00adlhost:{port}/",
    "http://localho\u017ft:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "file://127.0.0.1:{port}/etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "unix:///run/x.sock",
    "http://internal.example:{port}/",
    "http://xn--internal-.example:{port}/",
]


def test_there_are_enough_forms() -> None:
    assert len(TO_LOOPBACK) >= 60


@pytest.mark.parametrize("form", TO_LOOPBACK)
async def test_no_form_of_loopback_is_connected_to(form: str) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        # a resolver that takes every name for this machine
        return ["127.0.0.1", "::1"]

    with Trap() as trap:
        async with adapter_for(WHOLE, lookup=lookup) as adapter:
            outcome = await adapter.trigger(make_call(data={"url": form.format(port=trap.port)}))
        assert trap.connections() == 0
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith(("no request could be made of the action: ", "nothing was sent there: "))


async def test_the_trap_would_tell() -> None:
    with Trap() as trap:
        settings = {"allow": ["127.0.0.1"], "read_timeout": "50ms"}
        async with adapter_for(WHOLE, **settings) as adapter:
            with pytest.raises(NotConnected, match="read timeout"):
                await adapter.trigger(make_call(data={"url": f"http://127.0.0.1:{trap.port}/"}))
        assert trap.connections() == 1


@pytest.mark.parametrize("url", [None, 7, "", ["http://example.org"], {"a": 1}, "\ud800", "http://" + "a" * 9_000])
async def test_what_is_no_url_at_all(url: object) -> None:
    async with adapter_for(WHOLE) as adapter:
        outcome = await adapter.trigger(make_call(data={"url": url}))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("no request could be made of the action: the url")


async def test_a_resolver_that_changes_its_mind_wins_nothing() -> None:
    rebinding = Resolver(["93.184.216.34"], ["127.0.0.1"])
    connected: list[tuple[str, str, Any]] = []

    class Watched(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            # whoever connects to a name would ask the resolver once more here
            connected.append((request.url.host, request.headers["host"], request.extensions.get("sni_hostname")))
            return httpx.Response(202, stream=Empty())

    class Empty(httpx.AsyncByteStream):
        def __aiter__(self) -> Empty:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

    class Network:
        def http_transport(self, **_: Any) -> httpx.AsyncBaseTransport:
            return Watched()

    settings = HttpSettings.model_validate({"url": "https://{action.data.host}:{action.data.port}/x"})
    adapter = HttpAdapter(settings, AdapterContext("billing", 1, Network()), lookup=rebinding)
    await adapter.open()
    with Trap() as trap:
        call = make_call(data={"host": "rebind.example", "port": trap.port})
        assert await adapter.trigger(call) == Taken()
        # the second attempt asks anew, and is refused
        outcome = await adapter.trigger(call)
        assert trap.connections() == 0
    assert outcome == Rejected(
        "nothing was sent there: rebind.example is at 127.0.0.1, which is not allowed: it is loopback"
    )
    assert connected == [("93.184.216.34", f"rebind.example:{trap.port}", "rebind.example")]
    assert rebinding.asked == [("rebind.example", trap.port)] * 2
    await adapter.close()


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    seen = Recorder()
    with Trap() as trap:
        async with serve(seen) as url:
            port = int(url.rpartition(":")[2])
            # 127.0.0.1 is checked and allowed; whoever asked again would be led to another address
            resolver = Resolver(["127.0.0.1"], ["127.0.0.9"])
            settings = {"allow": ["127.0.0.1/32"], "lookup": resolver}
            async with adapter_for("http://{action.data.host}:{action.data.port}/jobs", **settings) as adapter:
                assert await adapter.trigger(make_call(data={"host": "h.example", "port": port})) == Taken()
        assert trap.connections() == 0
    assert resolver.asked == [("h.example", port)]
    assert seen.only.headers["host"] == f"h.example:{port}"


@pytest.mark.parametrize(
    ("allow", "address", "passes"),
    [
        (["127.0.0.1/32"], "127.0.0.1", True),
        (["127.0.0.0/8"], "127.0.0.1", True),
        (["127.0.0.2/32"], "127.0.0.1", False),
        (["10.0.0.0/8", "fd00::/8"], "127.0.0.1", False),
        (["127.0.0.0/8"], "::ffff:127.0.0.1", False),
        (["127.0.0.0/8"], "::1", False),
    ],
)
async def test_allow_opens_just_what_it_names(allow: list[str], address: str, passes: bool) -> None:
    seen = Recorder()
    async with serve(seen) as url:
        port = int(url.rpartition(":")[2])
        async with adapter_for(
            "http://h.example:{action.data.port}/", allow=allow, lookup=Resolver([address])
        ) as adapter:
            outcome = await adapter.trigger(make_call(data={"port": port}))
    assert (outcome == Taken()) is passes
    assert len(seen.requests) == passes


async def test_a_name_with_one_address_that_is_not_allowed_is_refused() -> None:
    with Trap() as trap:
        resolver = Resolver(["127.0.0.1", "10.0.0.1"])
        async with adapter_for("http://h.example:{action.data.port}/", allow=["127.0.0.1"], lookup=resolver) as adapter:
            outcome = await adapter.trigger(make_call(data={"port": trap.port}))
        assert trap.connections() == 0
    assert outcome == Rejected("nothing was sent there: h.example is at 10.0.0.1, which is not allowed: it is private")


async def test_the_next_address_where_the_first_does_not_answer() -> None:
    seen = Recorder()
    async with serve(seen) as url:
        port = int(url.rpartition(":")[2])
        resolver = Resolver(["127.0.0.5", "127.0.0.1"])
        async with adapter_for(
            "http://h.example:{action.data.port}/", allow=["127.0.0.0/8"], lookup=resolver
        ) as adapter:
            assert await adapter.trigger(make_call(data={"port": port})) == Taken()
    assert len(seen.requests) == 1


async def test_no_address_answers() -> None:
    async with refuse() as url:
        port = int(url.rpartition(":")[2])
        resolver = Resolver(["127.0.0.1", "127.0.0.1"])
        async with adapter_for(
            "http://h.example:{action.data.port}/", allow=["127.0.0.0/8"], lookup=resolver
        ) as adapter:
            with pytest.raises(NotConnected, match="connection refused"):
                await adapter.trigger(make_call(data={"port": port}))


async def test_a_name_that_is_not_known_is_tried_again() -> None:
    async with adapter_for("http://{action.data.host}/", lookup=Resolver([])) as adapter:
        with pytest.raises(NotConnected, match="name not known: h.example"):
            await adapter.trigger(make_call(data={"host": "h.example"}))


async def test_a_lookup_that_takes_too_long() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await trio.sleep_forever()
        return ()

    async with adapter_for("http://{action.data.host}/", lookup=hang, connect_timeout="50ms") as adapter:
        with pytest.raises(NotConnected, match="connect timeout after 0.05 s"):
            await adapter.trigger(make_call(data={"host": "h.example"}))


@pytest.mark.parametrize(
    ("template", "data"),
    [
        ("http://{action.data.h}/", {"h": "127.0.0.1"}),
        ("http://{action.data.h}.example/", {"h": "a@127.0.0.1:80/"}),
        ("http://{action.data.h}.example/", {"h": "127.0.0.1/"}),
        ("http://{action.data.h}.example/", {"h": "127.0.0.1#"}),
        ("http://{action.data.h}.example/", {"h": "127.0.0.1:80"}),
        ("http://{action.data.h}.example/", {"h": "ü"}),
        ("http://{action.data.h}.example/", {"h": "[::1]"}),
        ("http://a.example:{action.data.h}/", {"h": "80@127.0.0.1"}),
        ("http://a.example:{action.data.h}/", {"h": "99999"}),
        ("http://a.example:{action.data.h}/", {"h": 1.5}),
        ("http://a.example:8{action.data.h}/", {"h": "0/"}),
    ],
)
async def test_a_placeholder_in_the_target_cannot_break_out(template: str, data: dict[str, Any]) -> None:
    resolver = Resolver(["127.0.0.1"])
    async with adapter_for(template, lookup=resolver) as adapter:
        outcome = await adapter.trigger(make_call(data=data))
    assert isinstance(outcome, Rejected)
    assert resolver.asked == []


async def test_cancelled_at_any_await_the_next_attempt_works() -> None:
    async with serve(Recorder(Response(status=307, headers={"Location": "/b"}), Response(status=202))) as url:
        port = int(url.rpartition(":")[2])
        settings = {"allow": ["127.0.0.0/8"], "follow_redirects": 1, "lookup": Resolver(["127.0.0.5", "127.0.0.1"])}
        for steps in range(1, 100):
            async with adapter_for("http://h.example:{action.data.port}/", **settings) as adapter:
                with cancel_after_steps(steps) as scope:
                    await adapter.trigger(make_call(data={"port": port}))
                with trio.fail_after(5):
                    assert await adapter.trigger(make_call(data={"port": port})) == Taken()
            if not scope.cancelled_caught:
                break
        assert 3 < steps < 99
    gc.collect()


async def test_a_literal_target_is_the_operators_word() -> None:
    seen = Recorder()
    resolver = Resolver(["10.0.0.1"])
    async with serve(seen) as url, adapter_for(f"{url}/{{action.id}}", lookup=resolver) as adapter:
        assert await adapter.trigger(make_call()) == Taken()
    assert resolver.asked == []
    assert seen.only.target == "/A-1"


async def test_tls_is_verified_for_the_name_and_not_for_the_address(tmp_path: Any) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.example").configure_cert(context)
    context.sni_callback = lambda _, name, __: asked.append(name)
    seen = Recorder(Response(status=202))
    async with serve(seen, tls=context) as url:
        port = url.rpartition(":")[2]
        settings = {"allow": ["127.0.0.1"], "ca_file": str(tmp_path / "ca.pem"), "lookup": Resolver(["127.0.0.1"])}
        async with adapter_for(f"https://{{action.data.h}}:{port}/", **settings) as adapter:
            assert await adapter.trigger(make_call(data={"h": "good.example"})) == Taken()
            # the connection to the same address is not used for another name
            with pytest.raises(NotConnected, match="certificate verify failed"):
                await adapter.trigger(make_call(data={"h": "bad.example"}))
            assert await adapter.trigger(make_call(data={"h": "good.example"})) == Taken()
    assert asked == ["good.example", "bad.example"]
    assert [request.headers["host"] for request in seen.requests] == [f"good.example:{port}"] * 2
