"""An external system of the tests, as its own process: takes actions from ``jobs`` and answers on the reply queue.

``python answering_system.py PORT FILE``: each answer is a line of FILE, the action's id and the attempt. It is written
with pika as a system of today would be, comes back when the broker does, and may answer the same message twice then.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pika
import pika.exceptions


def main(port: int, file: Path) -> None:
    while True:
        try:
            work(port, file)
        except (pika.exceptions.AMQPError, OSError):
            time.sleep(0.2)


def work(port: int, file: Path) -> None:
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, socket_timeout=5))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("jobs", durable=True)
    channel.basic_qos(prefetch_count=32)
    with file.open("a", buffering=1) as answers:

        def answer(channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
            action = json.loads(body)["action"]
            response = {"status": "success", "data": {"doubled": action["data"]["number"] * 2}}
            channel.basic_publish(
                "",
                properties.reply_to,
                json.dumps(response).encode(),
                pika.BasicProperties(correlation_id=properties.correlation_id, delivery_mode=2),
                mandatory=True,
            )
            answers.write(f"{action['id']} {action['attempt']}\n")
            channel.basic_ack(method.delivery_tag)

        channel.basic_consume("jobs", answer)
        channel.start_consuming()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
