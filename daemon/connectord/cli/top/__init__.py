"""``connectorctl top``: systems and actions, live in a terminal.

:mod:`~connectord.cli.top.state` is what is on the screen and what a key does to it, :mod:`~connectord.cli.top.view`
how that looks, :mod:`~connectord.cli.top.keyboard` and :mod:`~connectord.cli.top.terminal` are the terminal's two ends,
:mod:`~connectord.cli.top.feed` asks the daemon, :mod:`~connectord.cli.top.loop` runs it all.
"""
