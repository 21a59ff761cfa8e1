"""Who is measured, with which settings. Those of ``settings`` are tried first, and the fastest is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CELERY = ("celery", "-A", "celery_jobs", "worker", "-l", "ERROR", "--without-gossip", "--without-mingle")
CELERY_SETTINGS = {
    "gevent, 64 at once, prefetch 256": {"ARGUMENTS": "-P gevent -c 64", "PREFETCH": "4"},
    "prefork, 8 processes, prefetch 128": {"ARGUMENTS": "-P prefork -c 8", "PREFETCH": "16"},
    "threads, 16 at once, prefetch 256": {"ARGUMENTS": "-P threads -c 16", "PREFETCH": "16"},
}


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to have jobs done.

    ``package`` is the distribution whose version is told, and ``environment`` the one of the peers' environments that
    it is installed in; ``worker`` the command that does the jobs, to which a setting's ``ARGUMENTS`` are added;
    ``enqueue`` the module that queues them, none where they are not queued; ``service`` the server that keeps them.
    ``keeps`` is false where it promises nothing after a kill.
    """

    name: str
    package: str
    worker: tuple[str, ...]
    settings: Mapping[str, Mapping[str, str]]
    enqueue: str | None
    service: str | None = None
    keeps: bool = True
    environ: Mapping[str, str] | None = None
    environment: str = "main"


PEERS = (
    Peer(
        "Dramatiq, Redis",
        "dramatiq",
        ("dramatiq", "dramatiq_jobs"),
        {
            "2 processes, 8 threads each": {"ARGUMENTS": "-p 2 -t 8"},
            "2 processes, 16 threads each, prefetch 64": {"ARGUMENTS": "-p 2 -t 16", "dramatiq_queue_prefetch": "64"},
            "1 process, 16 threads": {"ARGUMENTS": "-p 1 -t 16"},
        },
        "dramatiq_jobs",
        "redis",
    ),
    Peer("Celery, RabbitMQ", "celery", CELERY, CELERY_SETTINGS, "celery_jobs", "rabbitmq"),
    Peer("Celery, Redis", "celery", CELERY, CELERY_SETTINGS, "celery_jobs", "redis"),
    Peer(
        "taskiq, Redis list",
        "taskiq",
        ("taskiq", "worker", "taskiq_jobs:broker", "--log-level", "ERROR"),
        {
            "2 processes, 64 at once each": {"ARGUMENTS": "--workers 2 --max-async-tasks 64", "IN_FLIGHT": "64"},
            "1 process, 64 at once": {"ARGUMENTS": "--workers 1 --max-async-tasks 64", "IN_FLIGHT": "64"},
        },
        "taskiq_jobs",
        "redis",
        environ={"KIND": "list"},
    ),
    Peer(
        "taskiq, Redis stream",
        "taskiq",
        ("taskiq", "worker", "taskiq_jobs:broker", "--log-level", "ERROR", "--ack-type", "when_executed"),
        {
            "2 processes, 64 at once each": {"ARGUMENTS": "--workers 2 --max-async-tasks 64", "IN_FLIGHT": "64"},
            "1 process, 64 at once": {"ARGUMENTS": "--workers 1 --max-async-tasks 64", "IN_FLIGHT": "64"},
        },
        "taskiq_jobs",
        "redis",
        environ={"KIND": "stream"},
    ),
    Peer(
        "arq, Redis",
        "arq",
        ("arq", "arq_jobs.WorkerSettings"),
        {
            "64 at once, polls every 10 ms": {"IN_FLIGHT": "64", "POLL_SECONDS": "0.01", "READ_LIMIT": "128"},
            "64 at once, polls every 100 ms": {"IN_FLIGHT": "64", "POLL_SECONDS": "0.1", "READ_LIMIT": "1000"},
            "10 at once and polls every 500 ms, its defaults": {"IN_FLIGHT": "10"},
        },
        "arq_jobs",
        "redis",
        environment="arq",
    ),
    Peer(
        "Huey, SQLite",
        "huey",
        ("huey_consumer", "huey_jobs.huey", "-q", "-n", "-d", "0.01", "-m", "0.1"),
        {
            "16 threads": {"ARGUMENTS": "-k thread -w 16"},
            "4 threads": {"ARGUMENTS": "-k thread -w 4"},
            "2 processes": {"ARGUMENTS": "-k process -w 2"},
        },
        "huey_jobs",
    ),
    Peer(
        "Procrastinate, PostgreSQL",
        "procrastinate",
        ("python", "procrastinate_jobs.py", "work"),
        {
            "64 at once, 8 connections": {"IN_FLIGHT": "64", "POOL": "8"},
            "16 at once, 4 connections": {"IN_FLIGHT": "16", "POOL": "4"},
        },
        "procrastinate_jobs",
        "postgresql",
    ),
    Peer(
        "DBOS, SQLite",
        "dbos",
        ("python", "dbos_jobs.py", "work"),
        {
            "64 at once, polls every 100 ms": {"IN_FLIGHT": "64", "POLL_SECONDS": "0.1"},
            "16 at once, polls every 20 ms": {"IN_FLIGHT": "16", "POLL_SECONDS": "0.02"},
        },
        "dbos_jobs",
    ),
    Peer(
        "DBOS, PostgreSQL",
        "dbos",
        ("python", "dbos_jobs.py", "work"),
        {
            "64 at once, polls every 100 ms": {"IN_FLIGHT": "64", "POLL_SECONDS": "0.1"},
            "16 at once, polls every 20 ms": {"IN_FLIGHT": "16", "POLL_SECONDS": "0.02"},
        },
        "dbos_jobs",
        "postgresql",
    ),
    Peer(
        "bare httpx, keeps nothing",
        "httpx",
        ("python", "httpx_jobs.py"),
        {"64 clients": {"IN_FLIGHT": "64"}, "8 clients": {"IN_FLIGHT": "8"}},
        None,
        keeps=False,
    ),
)
