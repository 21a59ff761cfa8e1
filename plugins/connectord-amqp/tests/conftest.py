"""A real broker for the whole test session, and what the tests of the adapter have in common."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.adapters import AdapterContext
from connectord.config import load_config
from connectord.network import SystemNetwork
from connectord.plugins import load_plugins
from connectord_amqp.adapter import AmqpAdapter
from connectord_amqp.settings import AmqpSettings
from helpers.rabbitmq import Broker, find_server

CONTEXT = AdapterContext(system="billing", concurrency=16, network=SystemNetwork())

MakeAdapter = Callable[..., AbstractAsyncContextManager[AmqpAdapter]]


@pytest.fixture(scope="session")
def running_broker() -> Iterator[Broker]:
    """One broker for all tests. Its directory has a short path, as its names go into those of sockets."""
    find_server()
    with tempfile.TemporaryDirectory(prefix="connectord-rabbit-") as directory:
        broker = Broker(Path(directory))
        try:
            broker.begin()
            broker.wait()
            yield broker
        finally:
            broker.close()


@pytest.fixture
def broker(running_broker: Broker) -> Broker:
    """The broker with an empty queue ``jobs``, and no queue ``answers``."""
    running_broker.make_queue("jobs")
    running_broker.drop_queue("answers")
    return running_broker


@pytest.fixture
def settings(broker: Broker) -> Callable[..., AmqpSettings]:
    """Settings that publish to ``jobs``, with changes."""

    def make(**changes: Any) -> AmqpSettings:
        values = {
            "host": "127.0.0.1",
            "port": broker.port,
            "username": "guest",
            "password": "guest",
            "routing_key": "jobs",
            **changes,
        }
        return AmqpSettings.model_validate({name: value for name, value in values.items() if value is not None})

    return make


@pytest.fixture
def opened(settings: Callable[..., AmqpSettings]) -> MakeAdapter:
    """An open adapter with these changes of the settings; everything must be over within a minute."""

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[AmqpAdapter]:
        with trio.fail_after(60):
            adapter = AmqpAdapter(settings(**changes), CONTEXT)
            await adapter.open()
            try:
                yield adapter
            finally:
                await adapter.close()

    return opened


@pytest.fixture
def check_configuration(tmp_path: Path) -> Callable[[str], None]:
    """Loads a configuration as ``connectord check`` does; every secret that it names is there."""

    def check(text: str) -> None:
        credentials = tmp_path / "credentials"
        credentials.mkdir(exist_ok=True)
        (credentials / "rabbit-password").write_text("x")
        file = tmp_path / "connectord.toml"
        file.write_text(text, encoding="utf-8")
        load_config(file, adapters=load_plugins().adapters, environ={"CREDENTIALS_DIRECTORY": str(credentials)})

    return check
