"""A bare loop that keeps nothing: stock httpx on asyncio with uvloop, a client for each request in flight."""

from __future__ import annotations

import asyncio

import httpx
import uvloop
from posting import IN_FLIGHT, SINK, asked_keys, body, head


async def main() -> None:
    """Do the jobs, and wait to be ended."""
    left = iter(list(enumerate(asked_keys())))
    context = httpx.create_ssl_context(verify=False)

    async def work() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=context) as client:
            for number, key in left:
                (await client.post(SINK, content=body(key, number), headers=head(key))).raise_for_status()

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
