"""Procrastinate on PostgreSQL. Jobs of a dead worker are tried again by a periodic task, as its documentation says."""

from __future__ import annotations

import asyncio
import os
import sys

import procrastinate
from posting import IN_FLIGHT, AsyncPoster, asked_keys

connector = procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE"], max_size=int(os.environ.get("POOL", "8")))
app = procrastinate.App(connector=connector)
poster = AsyncPoster()


@app.task(name="deliver")
async def deliver(key: str, number: int) -> None:
    """The job."""
    await poster.post(key, number)


@app.periodic(cron="*/2 * * * * *")
@app.task(queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:
    """Try the jobs of dead workers again."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=float(os.environ["RECOVERY_SECONDS"])):
        await manager.retry_job(job)


async def main() -> None:
    """Queue the jobs, or work."""
    async with app.open_async():
        if sys.argv[1:] == ["work"]:
            await app.run_worker_async(
                concurrency=IN_FLIGHT,
                fetch_job_polling_interval=0.1,
                delete_jobs="never",
                install_signal_handlers=False,
            )
            return
        await app.schema_manager.apply_schema_async()
        rows = [{"key": key, "number": number} for number, key in enumerate(asked_keys())]
        for start in range(0, len(rows), 1000):
            await deliver.batch_defer_async(*rows[start : start + 1000])


if __name__ == "__main__":
    asyncio.run(main())
