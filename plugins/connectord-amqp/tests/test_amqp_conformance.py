"""The adapter passes the kit, with a real broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from connectord.testing import AdapterConformance, FakeSystem
from connectord_amqp.adapter import AmqpAdapter
from helpers.rabbitmq import Broker


class TestAmqp(AdapterConformance):
    adapter = AmqpAdapter
    speaks_http = False
    calls_back = False
    broker: ClassVar[Broker]

    @pytest.fixture(autouse=True)
    def _broker(self, broker: Broker) -> None:
        type(self).broker = broker

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.broker.port,
            "username": "worker",
            "password": "a-secret-of-its-own",
            "routing_key": "jobs",
            "connect_timeout": "1s",
            "confirm_timeout": "1s",
        }

    def broken_settings(self, system: FakeSystem) -> Mapping[str, Mapping[str, Any]]:
        good = self.settings(system)
        return {
            "nobody listens there": {**good, "port": 1},
            "another protocol is spoken there": {**good, "port": system.port},
            "the password is wrong": {**good, "password": "guessed-and-wrong"},
            "there is no such queue": {**good, "routing_key": "nowhere"},
            "there is no such exchange": {**good, "exchange": "nowhere"},
        }

    def bad_settings(self, system: FakeSystem) -> Sequence[Mapping[str, Any]]:
        good = self.settings(system)
        return [{**good, "port": 0}, {**good, "confirm_timeout": "soon"}, {**good, "vhots": "/"}]

    def keys_sent(self, system: FakeSystem, key: str) -> Sequence[str | None]:
        found = []
        while self.broker.depth("jobs"):
            _, properties, _ = self.broker.get("jobs")
            found.append(properties.message_id)
        return found
