"""Methods of the control socket that plugins brought. What one of them does wrong costs its caller an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from connectord.callers import Role
from connectord.control.methods.base import Caller
from connectord.control.protocol import MAX_LINE_BYTES
from connectord.control.signatures import SIGNATURES
from connectord.errors import (
    ConfigurationRefused,
    InvalidRequest,
    NotAllowed,
    PluginFault,
    RequestError,
    StoreError,
)
from connectord.extensions import CommandCaller, CommandRole
from connectord.guards.culprits import package_of
from connectord.guards.faults import defined_at, leaf_of, raised_at, reraise_cancelled, words_of
from connectord.plugins import Command

ROLES: dict[CommandRole, Role] = {"viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
_NAMES: dict[Role, CommandRole] = {role: name for name, role in ROLES.items()}
_LONGEST_RESULT = MAX_LINE_BYTES - 1024

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls one of connectord's own methods for a caller, with the checks of its role and parameters."""

log = structlog.get_logger()


async def run_command(command: Command, params: dict[str, Any], caller: Caller, ask: Ask) -> msgspec.Raw:
    """The answer of a plugin's method, as JSON. Raises a ``RequestError``, or :class:`PluginFault`."""
    try:
        checked = msgspec.convert(params, command.params)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{command.name}: {error}") from error
    services = _Services(ask)
    try:
        caller.require(ROLES[command.role], command.name)
        result = await command.handler(checked, CommandCaller(caller.name, _NAMES[caller.role]), services)
        encoded = msgspec.json.encode(result)
        if len(encoded) > _LONGEST_RESULT:
            raise ValueError(f"the answer has {len(encoded)} bytes, and a line has at most {MAX_LINE_BYTES}")
    except BaseException as error:  # a plugin's fault costs this call and no more
        reraise_cancelled(error)
        leaf = leaf_of(error)
        if isinstance(leaf, RequestError | StoreError | ConfigurationRefused):
            raise leaf from error
        package = package_of(getattr(command.handler, "__module__", "") or "")
        at = raised_at(error, package) or defined_at(command.handler)
        log.error("command fault", method=command.name, plugin=command.source, at=at, exc_info=error)
        raise PluginFault(f"{command.name}: fault of {command.source}: {words_of(error)} ({at})") from error
    return msgspec.Raw(encoded)


class _Services:
    """What a command may do with the daemon, as its caller."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def ask(self, method: str, /, **params: Any) -> Any:
        signature = SIGNATURES.get(method)
        if signature is None or signature.role is not Role.VIEWER or signature.result is None:
            raise NotAllowed(f"a command may ask only what a viewer may, and {method!r} is none of that")
        return msgspec.to_builtins(await self._ask(method, params))

    async def submit(
        self,
        system: str,
        *,
        case: str | None = None,
        owner: str | None = None,
        key: str | None = None,
        data: dict[str, Any] | None = None,
        due_at: str | None = None,
    ) -> Any:
        given = {"system": system, "case": case, "owner": owner, "key": key, "data": data, "due_at": due_at}
        params = {name: value for name, value in given.items() if value is not None}
        return msgspec.to_builtins(await self._ask("submit", params))
