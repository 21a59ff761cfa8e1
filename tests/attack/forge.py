"""Tries forged tokens and signatures, against the verifying code itself and through a listening socket.

``make forge`` tries 1,000,000 and, through the socket, 40,000; a short run of the same is a test::

    PYTHONPATH=tests python -m attack.forge [--count N] [--socket N] [--seed N]
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

import structlog
import trio
from attack.forgeries import ForgedMessage, ForgedToken, Message, forged_messages, forged_tokens, signature, token
from connectord.adapters import AdapterContext, CallbackRequest, response_from
from connectord.callbacks import CallbackAnswer, Limits, TokenKey, open_callback_listeners, serve_callbacks
from connectord.errors import CallbackNotAllowed
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings
from helpers.http_adapter import NETWORK

SECRET = bytes(range(32))
SIGNING_KEY = bytes(range(100, 132))
NOW = 1_764_000_000
AT_ONCE = 16


def signing_adapter() -> HttpAdapter:
    """The real adapter, with callbacks signed by :data:`SIGNING_KEY`, at the time :data:`NOW`."""
    secret = "whsec_" + base64.b64encode(SIGNING_KEY).decode()
    settings = HttpSettings.model_validate({"url": "http://127.0.0.1:9", "webhooks": {"verify_with": [secret]}})
    return HttpAdapter(settings, AdapterContext("forge", 1, NETWORK), now=lambda: float(NOW))


class Taker:
    """Takes a callback whose signature is right, as the daemon's own does, and counts them."""

    def __init__(self) -> None:
        self.adapter = signing_adapter()
        self.taken = 0

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        await trio.lowlevel.checkpoint()
        response_from(self.adapter.read_callback(CallbackRequest(action_id, headers, body)))
        self.taken += 1
        return CallbackAnswer.TAKEN


def try_directly(count: int, seed: int) -> tuple[Counter[str], list[ForgedToken | ForgedMessage]]:
    """``count`` forgeries, half tokens and half signatures: how many of each kind, and those that were accepted."""
    kinds: Counter[str] = Counter()
    accepted: list[ForgedToken | ForgedMessage] = []
    key = TokenKey(SECRET)
    for forged in forged_tokens(SECRET, seed, count - count // 2):
        kinds[f"token: {forged.kind}"] += 1
        if key.verify(forged.text) is not None:
            accepted.append(forged)
    adapter = signing_adapter()
    for each in forged_messages(SIGNING_KEY, NOW, seed, count // 2):
        kinds[f"signature: {each.kind}"] += 1
        try:
            adapter.read_callback(CallbackRequest("A", each.message.headers(), each.message.body))
        except CallbackNotAllowed:
            continue
        accepted.append(each)
    return kinds, accepted


async def try_through_a_socket(count: int, seed: int) -> Counter[int]:
    """``count`` forgeries as requests to a real listener; how often each status was answered (0: no answer).

    Raises :class:`AssertionError` where a genuine one, before and after them, is not taken.
    """
    listeners = await open_callback_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    statuses: Counter[int] = Counter()
    taker = Taker()
    wires = _requests(count, seed)
    limits = Limits(guesses_per_minute=count // 2)

    async def work() -> None:
        for wire in wires:
            statuses[await _send(port, wire)] += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: serve_callbacks(listeners, key=TokenKey(SECRET), handler=taker, limits=limits.in_force)
        )
        assert await _send(port, _genuine()) == 200
        async with trio.open_nursery() as workers:
            for _ in range(AT_ONCE):
                workers.start_soon(work)
        assert await _send(port, _genuine()) == 200
        nursery.cancel_scope.cancel()
    assert taker.taken == 2 + statuses[200] + statuses[202]
    return statuses


def _genuine() -> bytes:
    body = b'{"status": "success"}'
    message = Message("msg", str(NOW), signature(SIGNING_KEY, "msg", str(NOW), body), body)
    return _request(token(SECRET, bytes(16)), message)


def _requests(count: int, seed: int) -> Iterator[bytes]:
    body = b'{"status": "success"}'
    message = Message("msg", str(NOW), signature(SIGNING_KEY, "msg", str(NOW), body), body)
    for forged in forged_tokens(SECRET, seed, count - count // 2):
        yield _request(forged.text, message)  # with a genuine signature
    for each in forged_messages(SIGNING_KEY, NOW, seed, count // 2):
        yield _request(token(SECRET, bytes(16)), each.message)  # to a genuine address


def _request(address: str, message: Message) -> bytes:
    lines = [f"POST /callback/{address} HTTP/1.1", "Host: forge", f"Content-Length: {len(message.body)}"]
    lines += [f"{name}: {value}" for name, value in message.headers().items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + message.body


async def _send(port: int, wire: bytes) -> int:
    with trio.fail_after(30):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            try:
                await stream.send_all(wire)
                await stream.send_eof()
                answer = bytes(await stream.receive_some(4096))
            except trio.BrokenResourceError:
                return 0
    return int(answer[9:12]) if answer else 0


def main() -> None:
    """Try them, print what came of it, and exit with 1 where one was accepted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="tried directly (default: 1000000)")
    parser.add_argument("--socket", type=int, default=40_000, help="tried through a socket (default: 40000)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    began = time.perf_counter()
    kinds, accepted = try_directly(given.count, given.seed)
    for kind, number in sorted(kinds.items()):
        print(f"{number:>9,}  {kind}")
    seconds = time.perf_counter() - began
    print(f"{kinds.total():,} forged tokens and signatures in {seconds:.0f} s: {len(accepted)} accepted")
    for each in accepted[:20]:
        print(f"ACCEPTED: {each}")
    began = time.perf_counter()
    statuses = cast("Counter[int]", trio.run(try_through_a_socket, given.socket, given.seed))
    good = statuses[200] + statuses[202]
    shown = ", ".join(f"{number:,} times {status or 'no answer'}" for status, number in sorted(statuses.items()))
    print(f"{statuses.total():,} through a socket in {time.perf_counter() - began:.0f} s: {good} accepted ({shown})")
    sys.exit(1 if accepted or good else 0)


if __name__ == "__main__":
    main()
