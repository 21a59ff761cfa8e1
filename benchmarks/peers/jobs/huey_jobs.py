"""Huey on SQLite, with fsync; results are not kept. A job that a worker takes is gone from the queue."""

from __future__ import annotations

import os

from huey import SqliteHuey
from posting import Poster, asked_keys

huey = SqliteHuey(filename=os.environ["DATABASE"], fsync=True, results=False)
poster = Poster()


@huey.task()
def deliver(key: str, number: int) -> None:
    """The job."""
    poster.post(key, number)


def main() -> None:
    """Queue the jobs."""
    for number, key in enumerate(asked_keys()):
        deliver(key, number)


if __name__ == "__main__":
    import huey_jobs  # under this name the consumer finds the task

    huey_jobs.main()
