"""The ``amqp`` adapter: one published message per attempt, responses from a reply queue."""

from __future__ import annotations

from connectord.adapters import (
    Adapter,
    AdapterContext,
    Call,
    Deliver,
    NotConnected,
    OptionalMethod,
    Outcome,
    Rejected,
    Taken,
)

from connectord_amqp.consumer import consume
from connectord_amqp.messages import Unusable, properties_of, publication_of
from connectord_amqp.publisher import Publisher
from connectord_amqp.settings import AmqpSettings


class AmqpAdapter(Adapter):
    """Hands an action to RabbitMQ. It is taken (rule 1) once the broker has confirmed that it has the message."""

    name = "amqp"
    Settings = AmqpSettings
    settings: AmqpSettings

    @classmethod
    def offers(cls, method: OptionalMethod, settings: AmqpSettings) -> bool:
        if method == "listen":
            return settings.replies is not None
        return super().offers(method, settings)

    def __init__(self, settings: AmqpSettings, context: AdapterContext) -> None:
        super().__init__(settings, context)
        self._publisher = Publisher(settings, context.system)

    async def close(self) -> None:
        await self._publisher.close()

    async def trigger(self, call: Call) -> Outcome:
        try:
            method, body = publication_of(call, self.settings)
        except Unusable as error:
            # another try would find the same action
            return Rejected(str(error))
        await self._publisher.publish(method, properties_of(call, self.settings), body)
        return Taken()

    async def listen(self, deliver: Deliver) -> None:
        replies = self.settings.replies
        if replies is None:
            raise NotConnected("no reply queue is configured: listen() is not offered")
        await consume(self.settings, replies, self.context.system, deliver)

    async def healthcheck(self) -> None:
        await self._publisher.check()
