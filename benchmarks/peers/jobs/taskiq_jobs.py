"""taskiq on Redis: ``KIND`` is list (a job taken is gone) or stream (acknowledged when it was executed)."""

from __future__ import annotations

import asyncio
import os

from posting import AsyncPoster, asked_keys
from taskiq_redis import ListQueueBroker, RedisStreamBroker

poster = AsyncPoster()
url = os.environ["BROKER"]
broker = (
    RedisStreamBroker(
        url,
        idle_timeout=int(os.environ["RECOVERY_SECONDS"]) * 1000,
        # a worker may be killed while it holds the lock; without this it is held for ever
        unacknowledged_lock_timeout=int(os.environ["RECOVERY_SECONDS"]),
    )
    if os.environ["KIND"] == "stream"
    else ListQueueBroker(url)
)


@broker.task(task_name="deliver")
async def deliver(key: str, number: int) -> None:
    """The job."""
    await poster.post(key, number)


async def main() -> None:
    """Queue the jobs."""
    await broker.startup()
    keys = asked_keys()
    for start in range(0, len(keys), 20):
        numbers = range(start, min(start + 20, len(keys)))
        await asyncio.gather(*(deliver.kiq(keys[number], number) for number in numbers))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
