"""What peers keep their jobs in, and the sink: servers of their own on free ports, all in one temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from peers.processes import Process, free_port

START_TIMEOUT_SECONDS = 90.0
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in sbin insists on the system's account


class Missing(Exception):
    """A program is not installed."""


class Service:
    """A running server: ``url`` for whom it serves, ``version`` for the docs."""

    def __init__(self, process: Process, url: str, version: str, more: tuple[Process, ...] = ()) -> None:
        self.url = url
        self.version = version
        self._processes = (process, *more)

    def processor_seconds(self) -> float:
        """Processor time that it has used so far."""
        return sum(process.processor_seconds() for process in self._processes)

    def stop(self) -> None:
        """End it; what it keeps is thrown away with the directory."""
        for process in self._processes:
            process.kill()


def start_redis(directory: Path) -> Service:
    """Redis that loses nothing: every write is in the append-only file, and fsynced, before it is answered."""
    port = free_port()
    command = [_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    process = Process(command, directory / "redis.log", os.environ, directory)
    _await(process, _listens(port))
    return Service(process, f"redis://127.0.0.1:{port}/0", _first_line("redis-server", "--version").split()[2])


def start_rabbitmq(directory: Path) -> Service:
    """RabbitMQ with its defaults, and an account ``guest``."""
    _program("rabbitmq-server")
    port, node_port, names_port = free_port(), free_port(), free_port()
    (directory / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\ndisk_free_limit.absolute = 1MB\n")
    (directory / "enabled_plugins").write_text("[].\n")
    environ = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(directory),
        "ERL_EPMD_PORT": str(names_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"peers-{os.getpid()}@localhost",
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(directory / "rabbitmq-data"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "rabbitmq-generated"),
    }
    names = [_program("epmd"), "-port", str(names_port), "-address", "127.0.0.1"]
    epmd = Process(names, directory / "epmd.log", environ, directory)
    server = str(_RABBITMQ) if _RABBITMQ.exists() else _program("rabbitmq-server")
    process = Process([server], directory / "rabbitmq.log", environ, directory)
    _await(process, lambda: "Server startup complete" in process.tail())
    version = _word_after((directory / "rabbitmq.log").read_text(errors="replace"), "Starting RabbitMQ ")
    return Service(process, f"amqp://guest:guest@127.0.0.1:{port}//", version, (epmd,))


def start_postgresql(directory: Path) -> Service:
    """PostgreSQL with its defaults: fsync and synchronous commits are on."""
    port, data = free_port(), directory / "postgresql"
    data.mkdir()
    prefix: list[str] = []
    if os.geteuid() == 0:  # which it refuses to run as
        prefix = ["setpriv", "--pdeathsig", "TERM", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
        shutil.chown(data, "nobody", "nogroup")
    command = [*prefix, _postgresql("initdb"), "-D", str(data), "-U", "peers", "-A", "trust", "-E", "UTF8"]
    with (directory / "initdb.log").open("wb") as log:
        subprocess.run(command, cwd="/", stdout=log, stderr=log, check=True)
    command = [*prefix, _postgresql("postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    command += ["-c", "max_connections=200"]
    process = Process(command, directory / "postgresql.log", os.environ, Path("/"))
    _await(process, lambda: "ready to accept connections" in process.tail())
    version = _first_line(_postgresql("postgres"), "--version").split()[2]
    return Service(process, f"postgresql://peers@127.0.0.1:{port}", version)


def make_database(service: Service, name: str) -> str:
    """A new database in PostgreSQL; its URL."""
    subprocess.run(
        [_postgresql("psql"), "-q", f"{service.url}/postgres", "-c", f'CREATE DATABASE "{name}"'], check=True
    )
    return f"{service.url}/{name}"


class Sink(Service):
    """nginx that answers every POST at once, as a system would that has done the work; one line of log for each."""

    def __init__(self, directory: Path) -> None:
        port, self._log = free_port(), directory / "requests.log"
        (directory / "nginx.conf").write_text(_NGINX.format(directory=directory, port=port))
        command = [_program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
        process = Process(command, directory / "nginx.log", os.environ, directory)
        _await(process, _listens(port))
        version = _first_line("nginx", "-v").rpartition("/")[2].split()[0]
        super().__init__(process, f"http://127.0.0.1:{port}/jobs", version)
        self._from = 0

    def forget(self) -> None:
        """Count from here on."""
        time.sleep(0.3)  # what is in nginx's buffer
        self._from = self._log.stat().st_size

    def seen(self) -> int:
        """How many requests there were, those that nginx has in its buffer for a tenth of a second left out."""
        return self._read().count(b"\n")

    def requests(self) -> list[tuple[float, str]]:
        """When each request ended, in seconds since the epoch, and its job's key; in this order."""
        lines = [line.split() for line in self._read().decode().splitlines()]
        return [(float(line[0]), line[1]) for line in lines if len(line) == 2]

    def _read(self) -> bytes:
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read()


_NGINX = """
daemon off;
master_process off;
worker_rlimit_nofile 4096;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 2048; }}
http {{
    log_format request '$msec $http_idempotency_key';
    access_log {directory}/requests.log request buffer=16k flush=100ms;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 '{{"status":"success"}}'; }}
    }}
}}
"""


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def _postgresql(name: str) -> str:
    # Debian keeps the server's programs off the path
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    return found[-1] if found else _program(name)


def _listens(port: int) -> Callable[[], bool]:
    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return listens


def _await(process: Process, there: Callable[[], bool]) -> None:
    ends = time.monotonic() + START_TIMEOUT_SECONDS
    while process.runs and time.monotonic() < ends:
        if there():
            return
        time.sleep(0.1)
    text = process.tail()
    process.kill()
    raise RuntimeError(f"a server did not start:\n{text}")


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0]


def _word_after(text: str, before: str) -> str:
    return text.partition(before)[2].split()[0] if before in text else "?"
