"""A RabbitMQ broker of the tests' own, and what they ask it with a client by somebody else's hand (pika)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pika.adapters.blocking_connection
import trustme

from helpers.ports import lasting_port
from helpers.programs import require_program

START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 30.0

Channel = pika.adapters.blocking_connection.BlockingChannel

# what Debian has of that name in sbin insists on an account and directories of the system's
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def find_server() -> str:
    """The server's path. Without it the test is skipped by name, or fails where ``REQUIRE_SERVICES=1`` is set."""
    server = str(_SERVER) if _SERVER.exists() else require_program("rabbitmq-server")
    require_program("epmd")
    return server


class Broker:
    """One broker, with everything that it has in ``directory``; listens on loopback only.

    The users ``guest`` and ``worker`` may do everything and ``reader`` may not write; the user ``connectord`` shows a
    certificate instead of a password. The virtual host ``other`` is there, and nobody may use it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.tls_port, self._node_port, self._names_port = (lasting_port() for _ in range(4))
        self.authority = trustme.CA()
        self._server = find_server()
        self._environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"connectord-{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
        }
        self._names: subprocess.Popen[bytes] | None = None
        self._broker: subprocess.Popen[bytes] | None = None
        self._write_configuration()

    def begin(self) -> None:
        """Start; it is there once :meth:`wait` has returned.

        From the main thread only: should the tests be killed, their end is what ends the broker.
        """
        if self._names is None:
            self._names = self._run("names.log", "epmd", "-port", str(self._names_port), "-address", "127.0.0.1")
        self._broker = self._run("broker.log", self._server)

    def wait(self) -> None:
        """Wait until it is there."""
        ends = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < ends:
            if self._broker is None or self._broker.poll() is not None:
                break
            try:
                # its listeners open one after the other
                with self.channel(), socket.create_connection(("127.0.0.1", self.tls_port), timeout=10):
                    return
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"the broker did not start:\n{(self.directory / 'broker.log').read_text()[-4000:]}")

    def stop(self) -> None:
        """Stop in good order; what is durable stays."""
        if self._broker is not None:
            _end(self._broker, signal.SIGTERM)
            self._broker = None

    def close(self) -> None:
        """Stop, and end everything that was started with it."""
        self.stop()
        if self._names is not None:
            _end(self._names, signal.SIGTERM)
            self._names = None

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """A channel of pika's."""
        parameters = pika.ConnectionParameters("127.0.0.1", self.port, socket_timeout=10, heartbeat=0)
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def make_queue(self, name: str, **arguments: Any) -> str:
        """A durable, empty queue; its name."""
        with self.channel() as channel:
            channel.queue_delete(name)
            channel.queue_declare(
                name, durable=True, arguments={key.replace("_", "-"): value for key, value in arguments.items()}
            )
        return name

    def drop_queue(self, name: str) -> None:
        """Delete it if it is there."""
        with self.channel() as channel:
            channel.queue_delete(name)

    def publish(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        """Put messages into a queue."""
        with self.channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("", queue, body, pika.BasicProperties(**properties), mandatory=True)

    def get(self, queue: str) -> tuple[Any, pika.BasicProperties, bytes]:
        """The first message of a queue, which it loses; fails where there is none within 10 seconds."""
        ends = time.monotonic() + 10
        with self.channel() as channel:
            while time.monotonic() < ends:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is not None:
                    return method, properties, body
                time.sleep(0.02)
        raise AssertionError(f"nothing came to {queue}")

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue; those handed over and not acknowledged do not count."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self, queue: str) -> int:
        """How many take from it."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.consumer_count)

    def _run(self, log: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / log).open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _write_configuration(self) -> None:
        here = self.directory
        certificate = self.authority.issue_cert("localhost")
        self.authority.cert_pem.write_to_path(here / "roots.pem")
        certificate.private_key_pem.write_to_path(here / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(here / "certificate.pem")
        (here / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
        (here / "definitions.json").write_text(json.dumps(_definitions()))
        (here / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {here / 'roots.pem'}\n"
            f"ssl_options.certfile = {here / 'certificate.pem'}\n"
            f"ssl_options.keyfile = {here / 'key.pem'}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
            "ssl_cert_login_from = common_name\n"
            "auth_mechanisms.1 = PLAIN\n"
            "auth_mechanisms.2 = EXTERNAL\n"
            # a test machine with little room is no reason to take no messages
            "disk_free_limit.absolute = 1MB\n"
            "log.console.level = info\n"
            f"load_definitions = {here / 'definitions.json'}\n"
        )


def _definitions() -> dict[str, Any]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/"}, {"name": "other"}],
        "users": [
            _user("guest", "guest", "administrator"),
            _user("worker", "a-secret-of-its-own"),
            _user("reader", "reader"),
            _user("connectord", ""),
        ],
        "permissions": [
            {"user": "guest", "vhost": "/", **everything},
            {"user": "worker", "vhost": "/", **everything},
            {"user": "connectord", "vhost": "/", **everything},
            {"user": "reader", "vhost": "/", **everything, "write": "^$"},
        ],
    }


def _user(name: str, password: str, *tags: str) -> dict[str, Any]:
    salt = b"salt"
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {
        "name": name,
        "password_hash": digest if password else "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(tags),
    }


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
