"""Dramatiq on Redis, acknowledged after the job, as it always does."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from posting import Poster, asked_keys

# every command looks after dead workers with this chance; the default is one in a thousand
dramatiq.set_broker(RedisBroker(url=os.environ["BROKER"], heartbeat_timeout=int(os.environ["RECOVERY_SECONDS"]) * 1000))
poster = Poster()


@dramatiq.actor
def deliver(key: str, number: int) -> None:
    """The job."""
    poster.post(key, number)


if __name__ == "__main__":
    for number, key in enumerate(asked_keys()):
        deliver.send(key, number)
