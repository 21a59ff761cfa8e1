"""arq: jobs stay in Redis until they are done; results are not kept."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from posting import IN_FLIGHT, AsyncPoster, asked_keys

uvloop.install()
poster = AsyncPoster()


async def deliver(_: dict[str, Any], key: str, number: int) -> None:
    """The job."""
    await poster.post(key, number)


class WorkerSettings:
    """What ``arq`` reads."""

    functions = (deliver,)
    redis_settings = RedisSettings.from_dsn(os.environ["BROKER"])
    max_jobs = IN_FLIGHT
    poll_delay = float(os.environ.get("POLL_SECONDS", "0.5"))
    keep_result = 0
    # a job whose worker died is tried again 10 seconds after its time limit
    job_timeout = int(os.environ["RECOVERY_SECONDS"])
    queue_read_limit = int(os.environ.get("READ_LIMIT", "1000"))


async def main() -> None:
    """Queue the jobs."""
    pool = await create_pool(WorkerSettings.redis_settings)
    keys = asked_keys()
    for start in range(0, len(keys), 100):
        numbers = range(start, min(start + 100, len(keys)))
        await asyncio.gather(*(pool.enqueue_job("deliver", keys[number], number) for number in numbers))


if __name__ == "__main__":
    asyncio.run(main())
