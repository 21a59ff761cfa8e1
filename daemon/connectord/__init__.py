"""connectord triggers actions in external systems and never loses track of one."""

__version__ = "0.1.0"
