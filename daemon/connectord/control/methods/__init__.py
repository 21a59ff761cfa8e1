"""The control socket's methods: what each one does, after the caller's role and the parameters were checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from connectord.control.commands import ROLES, run_command
from connectord.control.methods.actions import ActionMethods
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify, Services
from connectord.control.methods.cases import CaseMethods
from connectord.control.methods.configuration import ConfigurationMethods
from connectord.control.methods.daemon import DaemonMethods
from connectord.control.methods.notifications import NotificationMethods
from connectord.control.methods.people import PeopleMethods
from connectord.control.methods.reruns import RerunMethods
from connectord.control.protocol import unknown_method
from connectord.control.signatures import SIGNATURES
from connectord.errors import InvalidRequest
from connectord.plugins import Command

__all__ = ["Caller", "Methods", "Services"]

_GROUPS: tuple[type[MethodGroup], ...] = (
    ActionMethods,
    CaseMethods,
    RerunMethods,
    PeopleMethods,
    NotificationMethods,
    DaemonMethods,
    ConfigurationMethods,
)


class Methods:
    """Dispatches a request to its method, after checking the caller's role and the parameters."""

    def __init__(self, services: Services, commands: Callable[[], Mapping[str, Command]] = dict) -> None:
        self._commands = commands
        self.table: dict[str, Call] = {}
        for group in _GROUPS:
            self.table.update(group(services).calls())

    async def dispatch(self, caller: Caller, name: str, params: dict[str, Any], notify: Notify) -> Any:
        """Call the method ``name``. Raises the :class:`connectord.errors.RequestError` that says what is wrong."""
        call, signature = self.table.get(name), SIGNATURES.get(name)
        if call is None or signature is None:
            return await self._dispatch_command(caller, name, params, notify)
        # here too, for an early and uniform refusal: what does the work checks the role itself
        caller.require(signature.role, name)
        try:
            checked = msgspec.convert(params, signature.params)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"{name}: {error}") from error
        return await call(checked, caller, notify)

    async def _dispatch_command(self, caller: Caller, name: str, params: dict[str, Any], notify: Notify) -> Any:
        """As :meth:`dispatch`, of a method that a plugin brought."""
        commands = self._commands()
        command = commands.get(name)
        if command is None:
            raise unknown_method(name, [*self.table, *commands])
        caller.require(ROLES[command.role], name)

        async def ask(method: str, asked: dict[str, Any]) -> Any:
            return await self.dispatch(caller, method, asked, notify)

        return await run_command(command, params, caller, ask)
