"""The hooks that a plugin may implement. Declarations only.

A plugin is a module or an object named by an entry point in the group ``connectord``. It marks its functions
with :data:`hookimpl`.
"""

from __future__ import annotations

from typing import Protocol

import pluggy

from connectord.adapters import API_VERSION, Adapter

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


@hookspec
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register the adapters of this plugin, one call of ``register`` each."""
