"""How an external system calls back: an HTTP request over a simulated connection, whole, late, broken or forged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from connectord.adapters import Progress, Rejected, Response, Succeeded
from connectord.testing.simulation.shapes import PUBLIC_URL

if TYPE_CHECKING:
    from connectord.testing.simulation.world import World

TRIES = 6
PATIENCE_SECONDS = 20.0


async def post_callback(world: World, url: str, action_id: str, response: Response) -> None:
    """Call back until it is taken, as a system does that is not sure; a few times at most."""
    rng = world.rng
    path = url.removeprefix(PUBLIC_URL)
    for _ in range(TRIES):
        if not world.quiet and rng.random() < world.plan.trouble / 4:
            await _spoil(world, path)
        status = await _post(world, path, action_id, response)
        world.trace.note("callback", action_id, type(response).__name__, status)
        if status is not None and status < 500:
            return
        await trio.sleep(rng.choice((0.3, 1.0, 4.0)))


async def _post(world: World, path: str, action_id: str, response: Response) -> int | None:
    """The status of the answer; None where there is none."""
    rng = world.rng
    status: list[int] = []

    def answered(data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            status.append(int(data[9:12]))
            world.observer.callback_answered(action_id, response, status[-1])

    try:
        stream = world.connect_callbacks(answered)
    except ConnectionRefusedError:
        return None
    request = _request(path, msgspec.json.encode(_document(response)))
    try:
        with trio.move_on_after(PATIENCE_SECONDS):
            if rng.random() < 0.2:
                cut = rng.randrange(1, len(request))
                await stream.send_all(request[:cut])
                await trio.sleep(rng.choice((0.0, 0.1, 2.0)))
                request = request[cut:]
            await stream.send_all(request)
            if not world.quiet and rng.random() < world.plan.trouble / 2:
                return None  # it does not wait for the answer, and comes again
            while not status and await stream.receive_some():
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        with trio.CancelScope(shield=True):
            await stream.aclose()
    return status[-1] if status else None


async def _spoil(world: World, path: str) -> None:
    """A request that must change nothing: half of one, by a peer that hangs then, or one with a forged token."""
    rng = world.rng

    def answered(data: bytes) -> None:
        status = int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else 0
        world.observer.forgery_answered(status)

    try:
        stream = world.connect_callbacks(answered)
    except ConnectionRefusedError:
        return
    try:
        if rng.random() < 0.5:
            last = "A" if path[-1] != "A" else "B"
            await stream.send_all(_request(path[:-1] + last, b'{"status": "success", "data": {"mark": "forged"}}'))
            with trio.move_on_after(5):
                await stream.receive_some()
        else:
            request = _request(path, b'{"status": "success", "data": {"mark": "half"}}')
            await stream.send_all(request[: rng.randrange(len(request) - 1)])
            await trio.sleep(rng.choice((0.1, 12.0)))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        with trio.CancelScope(shield=True):
            await stream.aclose()


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: callbacks.simulated\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _document(response: Response) -> dict[str, object]:
    match response:
        case Succeeded():
            return {"status": "success", "data": dict(response.data)}
        case Rejected():
            return {"status": "failure", "reason": response.reason, "data": dict(response.data)}
        case Progress():
            return {"status": "progress", "text": response.text, "percent": response.percent}
