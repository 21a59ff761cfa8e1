"""connectord's adapter for RabbitMQ: ``adapter = "amqp"``."""

from __future__ import annotations

from connectord.hookspecs import RegisterAdapter, hookimpl

__all__ = ["connectord_register_adapters"]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register :class:`connectord_amqp.adapter.AmqpAdapter`."""
    # here, so that looking for plugins stays cheap
    from connectord_amqp.adapter import AmqpAdapter

    register(AmqpAdapter, api_version=1)
