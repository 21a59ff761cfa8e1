"""How many actions a second the amqp adapter hands to a real RabbitMQ, and how many responses it takes.

Run with ``.venv/bin/python benchmarks/amqp.py``; starts a broker of its own (``make services`` installs it). The daemon
and its store are not part of this: it is what the adapter itself costs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import trio
from connectord.adapters import AdapterContext, Call, Delivery, Response
from connectord.network import SystemNetwork
from connectord_amqp.adapter import AmqpAdapter
from connectord_amqp.settings import AmqpSettings

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers.calls import make_call
from helpers.rabbitmq import Broker

SECONDS = 3.0
RESPONSES = 10_000


def adapter_of(broker: Broker) -> AmqpAdapter:
    settings = AmqpSettings.model_validate(
        {
            "host": "127.0.0.1",
            "port": broker.port,
            "username": "guest",
            "password": "guest",
            "routing_key": "jobs",
            "replies": {"queue": "answers"},
        }
    )
    return AmqpAdapter(settings, AdapterContext(system="bench", concurrency=64, network=SystemNetwork()))


async def measure_publishing(broker: Broker, concurrency: int) -> float:
    """Actions a second."""
    adapter, done = adapter_of(broker), 0
    ends = time.perf_counter() + SECONDS

    async def one_after_the_other(call: Call) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await adapter.trigger(call)
            done += 1

    await adapter.healthcheck()
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(concurrency):
            nursery.start_soon(one_after_the_other, make_call(action_id=f"A-{number}", idempotency_key=f"A-{number}"))
    rate = done / (time.perf_counter() - began)
    await adapter.close()
    return rate


async def measure_consuming(broker: Broker) -> float:
    """Responses a second, each of them a body of 70 bytes that is decoded, handed in and acknowledged."""
    adapter, taken = adapter_of(broker), 0
    all_taken = trio.Event()

    async def deliver(action_id: str, response: Response) -> Delivery:
        nonlocal taken
        await trio.lowlevel.checkpoint()
        taken += 1
        if taken == RESPONSES:
            all_taken.set()
        return Delivery.TAKEN

    broker.make_queue("answers")
    body = b'{"status": "success", "data": {"invoice_no": "R-17", "amount": 1200}}'
    with broker.channel() as channel:
        for number in range(RESPONSES):
            channel.basic_publish("", "answers", body, properties_of(number))
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adapter.listen, deliver)
        await all_taken.wait()
        rate = taken / (time.perf_counter() - began)
        nursery.cancel_scope.cancel()
    return rate


def properties_of(number: int) -> object:
    import pika

    return pika.BasicProperties(correlation_id=f"A-{number}", delivery_mode=2)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="connectord-rabbit-") as directory:
        broker = Broker(Path(directory))
        try:
            broker.begin()
            broker.wait()
            for concurrency in (1, 16, 64):
                broker.make_queue("jobs")
                rate = trio.run(measure_publishing, broker, concurrency)
                print(f"published and confirmed, concurrency {concurrency:2}: {rate:8,.0f} actions a second")
            print(f"responses taken, prefetch 64:            {trio.run(measure_consuming, broker):8,.0f} a second")
        finally:
            broker.close()


if __name__ == "__main__":
    main()
