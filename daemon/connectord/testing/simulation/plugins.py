"""What a simulated daemon has plugged in: adapters, a way to owners, and an observer. All of them reach the world
through the network that the daemon hands them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
import trio

from connectord.adapters import Adapter, Call, Deliver, Network, NotConnected, Outcome, PollAnswer, ProbeAnswer
from connectord.extensions import NotDelivered, Notification, Notifier

if TYPE_CHECKING:
    from connectord.testing.simulation.external import ExternalSystem
    from connectord.testing.simulation.machine import Machine
    from connectord.testing.simulation.world import World


class SimulatedNetwork:
    """A :class:`connectord.adapters.Network` of one machine. The systems are called directly, without HTTP."""

    def __init__(self, world: World, machine: Machine) -> None:
        self.world = world
        self.machine = machine

    async def system(self, name: str) -> ExternalSystem:
        """The way to a system; none leads there once the machine is off."""
        await trio.lowlevel.checkpoint()
        if self.machine.is_off:
            await trio.sleep_forever()
        return self.world.systems[name]

    def http_transport(
        self, *, connect_timeout_seconds: float, verify: bool | ssl.SSLContext = True, proxy: str | None = None
    ) -> httpx.AsyncBaseTransport:
        """There is none."""
        raise NotConnected("there is no HTTP in a simulated network")


def _network(network: Network) -> SimulatedNetwork:
    if not isinstance(network, SimulatedNetwork):
        raise TypeError("this runs in a simulation only")
    return network


class PlainAdapter(Adapter):
    """Hands over, and is called back."""

    name = "plain"

    async def trigger(self, call: Call) -> Outcome:
        """Hand one action over."""
        network = _network(self.context.network)
        return await (await network.system(self.context.system)).trigger(network.machine, call)


class AskedAdapter(PlainAdapter):
    """Polls, and can tell what became of an attempt."""

    name = "asked"

    async def poll(self, call: Call) -> PollAnswer:
        """Ask for the response."""
        return await (await _network(self.context.network).system(self.context.system)).poll(call)

    async def probe(self, call: Call) -> ProbeAnswer:
        """Ask what became of an attempt."""
        return await (await _network(self.context.network).system(self.context.system)).probe(call)


class QueuedAdapter(PlainAdapter):
    """Listens to a queue."""

    name = "queued"

    async def listen(self, deliver: Deliver) -> None:
        """Hand in what comes."""
        await (await _network(self.context.network).system(self.context.system)).listen(deliver)

    async def healthcheck(self) -> None:
        """The queue is there."""
        await trio.lowlevel.checkpoint()


class OwnersNotifier(Notifier):
    """Tells the owners of a simulated world, who are not always there."""

    name = "owners"
    at_once = 2

    async def deliver(self, notification: Notification) -> None:
        """Tell one owner."""
        network = _network(self.network)
        world = network.world
        await trio.lowlevel.checkpoint()
        if network.machine.is_off:
            await trio.sleep_forever()
        rng = world.rng
        if not world.quiet and rng.random() < world.plan.trouble:
            match rng.randrange(3):
                case 0:
                    raise NotConnected("nobody answers")
                case 1:
                    raise NotDelivered("the mailbox is full")
                case _:
                    await trio.sleep_forever()
        world.observer.owner_told(notification)
        world.trace.note("owner", notification.owner, "told", notification.id)
        await trio.sleep(rng.choice((0.0, 0.1)))


ADAPTERS: dict[str, type[Adapter]] = {each.name: each for each in (PlainAdapter, AskedAdapter, QueuedAdapter)}
NOTIFIERS: dict[str, type[Notifier]] = {OwnersNotifier.name: OwnersNotifier}
