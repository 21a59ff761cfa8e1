"""What every job does: one POST to the sink, which answers at once; with the fast clients of the field.

A job that is not answered with 2xx fails. Read from the environment: ``SINK`` (the URL) and ``IN_FLIGHT``.
"""

from __future__ import annotations

import json
import os

SINK = os.environ["SINK"]
IN_FLIGHT = int(os.environ.get("IN_FLIGHT", "64"))
PATIENCE_SECONDS = 10


def head(key: str) -> dict[str, str]:
    """The headers of a job's request."""
    return {"Content-Type": "application/json", "Idempotency-Key": key}


def body(key: str, number: int) -> bytes:
    """A job's request."""
    return json.dumps({"action": {"id": key, "attempt": 1, "data": {"n": number}}, "callback_url": None}).encode()


class Poster:
    """For jobs in threads or greenlets: one pool of kept connections in each process."""

    def __init__(self) -> None:
        import urllib3

        self._pool = urllib3.PoolManager(maxsize=IN_FLIGHT, timeout=PATIENCE_SECONDS, retries=False)

    def post(self, key: str, number: int) -> None:
        """Do the job."""
        answer = self._pool.request("POST", SINK, body=body(key, number), headers=head(key))
        if answer.status >= 300:
            raise RuntimeError(f"the sink answered {answer.status}")


class AsyncPoster:
    """For jobs on asyncio: one session of aiohttp in each process, opened with the first job."""

    def __init__(self) -> None:
        self._session = None

    async def post(self, key: str, number: int) -> None:
        """Do the job."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS)
            )
        async with self._session.post(SINK, data=body(key, number), headers=head(key)) as answer:
            answer.raise_for_status()


def asked_keys() -> list[str]:
    """The keys of the jobs to queue: ``COUNT`` of them."""
    return [f"job-{number:022}" for number in range(int(os.environ["COUNT"]))]
