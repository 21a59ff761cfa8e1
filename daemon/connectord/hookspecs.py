"""The hooks that a plugin may implement. Declarations only.

A plugin is a module or an object named by an entry point in the group ``connectord``. It marks its functions
with :data:`hookimpl`.
"""

from __future__ import annotations

from typing import Protocol

import pluggy

from connectord.adapters import API_VERSION, Adapter
from connectord.extensions import CommandHandler, CommandParams, CommandRole, NoParams, Notifier, Observed

PROJECT_NAME = "connectord"
ENTRY_POINT_GROUP = "connectord"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


class RegisterAdapter(Protocol):
    """The callback that :func:`connectord_register_adapters` gets."""

    def __call__(self, adapter: type[Adapter], *, api_version: int = API_VERSION) -> None:
        """Register an adapter class, written for ``api_version`` of :mod:`connectord.adapters`.

        Raises :class:`connectord.errors.PluginRefused` for another version or a name that is taken.
        """


class RegisterNotifier(Protocol):
    """The callback that :func:`connectord_register_notifiers` gets."""

    def __call__(self, notifier: type[Notifier], *, api_version: int = API_VERSION) -> None:
        """Register a notifier class, written for ``api_version`` of :mod:`connectord.extensions`.

        Raises :class:`connectord.errors.PluginRefused` for another version or a name that is taken.
        """


class RegisterCommand(Protocol):
    """The callback that :func:`connectord_register_commands` gets."""

    def __call__(
        self,
        name: str,
        handler: CommandHandler,
        *,
        role: CommandRole,
        params: type[CommandParams] = NoParams,
        api_version: int = API_VERSION,
    ) -> None:
        """Register a method of the control socket; ``name`` has a dot in it, such as ``acme.report``.

        ``role`` is the least that a caller must have; ``params`` is the type that the parameters are checked by.
        Raises :class:`connectord.errors.PluginRefused` for another version or a name that is taken.
        """


@hookspec
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register the adapters of this plugin, one call of ``register`` each."""


@hookspec
def connectord_register_notifiers(register: RegisterNotifier) -> None:
    """Register other ways to tell case owners, one call of ``register`` each."""


@hookspec
def connectord_register_commands(register: RegisterCommand) -> None:
    """Register more methods of the control socket, one call of ``register`` each."""


@hookspec
def connectord_observe(change: Observed) -> None:
    """Hear of a committed change of an action, or of changes that were missed.

    Called in the event loop, after the commit, in the order of the changes: it must not wait. Who needs longer hands
    over to a thread of its own.
    """
