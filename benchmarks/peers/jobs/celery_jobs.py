"""Celery: acknowledged late, results ignored; messages are persistent and queues durable by default."""

from __future__ import annotations

import os

from celery import Celery
from kombu import Connection
from posting import Poster, asked_keys

app = Celery("jobs", broker=os.environ["BROKER"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")),
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)
if os.environ["BROKER"].startswith("redis"):
    app.conf.broker_transport_options = {"visibility_timeout": int(os.environ["RECOVERY_SECONDS"])}
else:
    app.conf.broker_transport_options = {"confirm_publish": True}

_posters: list[Poster] = []


@app.task(name="deliver")
def deliver(key: str, number: int) -> None:
    """The job."""
    if not _posters:  # after the fork, and after gevent's patches
        _posters.append(Poster())
    _posters[0].post(key, number)


def main() -> None:
    """Queue the jobs."""
    options = app.conf.broker_transport_options
    with (
        Connection(os.environ["BROKER"], transport_options=options) as connection,
        app.amqp.Producer(connection) as producer,
    ):
        for number, key in enumerate(asked_keys()):
            deliver.apply_async((key, number), producer=producer)


if __name__ == "__main__":
    main()
