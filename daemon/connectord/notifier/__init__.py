"""How case owners hear of rules 5 and 9: the outbox, and the channels that ``[notify]`` knows."""

from connectord.notifier.notifier import ChannelState, Notifier

__all__ = ["ChannelState", "Notifier"]
