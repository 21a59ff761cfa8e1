"""DBOS on SQLite or PostgreSQL: a workflow with one step for each job, in a queue; recovered at the start."""

from __future__ import annotations

import os
import sys
import threading

from dbos import DBOS, DBOSClient
from posting import IN_FLIGHT, AsyncPoster, asked_keys

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "0.1"))
poster = AsyncPoster()


@DBOS.step()
async def send(key: str, number: int) -> None:
    """The one thing that is done outside."""
    await poster.post(key, number)


@DBOS.workflow(name="deliver")
async def deliver(key: str, number: int) -> None:
    """The job."""
    await send(key, number)


def main() -> None:
    """Queue the jobs, or work."""
    url = os.environ["DATABASE"]
    config = {"name": "jobs", "application_version": "1", "executor_id": "local", "system_database_url": url}
    DBOS(config={**config, "run_admin_server": False, "log_level": "ERROR"})
    DBOS.launch()
    DBOS.register_queue("jobs", worker_concurrency=IN_FLIGHT, polling_interval_sec=POLL_SECONDS)
    if sys.argv[1:] == ["work"]:
        threading.Event().wait()
    DBOS.destroy()  # the tables are there now
    client = DBOSClient(system_database_url=url)
    for number, key in enumerate(asked_keys()):
        client.enqueue({"workflow_name": "deliver", "queue_name": "jobs", "app_version": "1"}, key, number)
    client.destroy()


if __name__ == "__main__":
    main()
