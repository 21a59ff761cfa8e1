"""What plugins may register, and what is checked of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from connectord.adapters import API_VERSION, Adapter, AdapterSettings
from connectord.errors import PluginRefused
from connectord.extensions import CommandHandler, CommandParams, CommandRole, NoParams, Notifier, Observed
from connectord.guards.culprits import package_of

RESERVED_NAMES = frozenset(
    {
        "adapter",
        "allocation",
        "attempt_timeout",
        "circuit",
        "concurrency",
        "healthcheck",
        "heartbeat_extends",
        "on_timeout",
        "poll",
        "rate",
        "response_expected",
        "retry",
        "timeout",
    }
)
"""What no adapter may be called: the keys of ``[systems.NAME]``, beside which its own table stands."""

RESERVED_VIAS = frozenset(
    {"via", "log", "command", "webhook", "smtp", "url", "host", "port", "sender", "username", "password", "starttls"}
)
"""What no notifier may be called: connectord's own ways to owners, and the keys of ``[notify]``."""

MOST_AT_ONCE = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_COMMAND_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){1,7}", re.ASCII)
_ROLES = ("viewer", "operator", "admin")


@dataclass(frozen=True, slots=True)
class Command:
    """A method of the control socket that a plugin brought."""

    name: str
    handler: CommandHandler
    role: CommandRole
    params: type[CommandParams]
    source: str


@dataclass(frozen=True, slots=True)
class Observer:
    """A plugin that observes changes."""

    observe: Callable[[Observed], None]
    source: str
    module: str
    """Where its code stands."""


@dataclass(frozen=True, slots=True)
class PluginSet:
    """What the plugins brought, each by name, and ``problems``, one message for everything that failed.

    ``packages`` are the topmost packages of their code, with the plugin that each belongs to. ``loaded`` are the
    installed plugins with their versions, by distribution and entry point.
    """

    adapters: Mapping[str, type[Adapter]] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[str, ...] = ()
    notifiers: Mapping[str, type[Notifier]] = field(default_factory=lambda: MappingProxyType({}))
    commands: Mapping[str, Command] = field(default_factory=lambda: MappingProxyType({}))
    observers: tuple[Observer, ...] = ()
    packages: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    loaded: Mapping[tuple[str, str], str] = field(default_factory=lambda: MappingProxyType({}))
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Who brought each adapter, ``notifier NAME`` and ``command NAME``."""
    fresh: tuple[str, ...] = ()
    """The plugins that were not there before, in words."""
    outdated: tuple[str, ...] = ()
    """The plugins that are loaded in another version than is installed by now, in words."""


class Registry:
    """Collects what plugins register, beginning with what is there already."""

    def __init__(self, known: PluginSet) -> None:
        self.adapters = dict(known.adapters)
        self.notifiers = dict(known.notifiers)
        self.commands = dict(known.commands)
        self.observers = list(known.observers)
        self.packages = dict(known.packages)
        self.sources = dict(known.sources)

    def add_adapter(self, source: str, adapter: type[Adapter], *, api_version: int = API_VERSION) -> None:
        """Raises :class:`PluginRefused`."""
        if not (isinstance(adapter, type) and issubclass(adapter, Adapter)):
            raise PluginRefused(f"{adapter!r} is not a subclass of connectord.adapters.Adapter")
        label = f"the adapter class {adapter.__qualname__}"
        _check_version(label, "adapter", api_version)
        name = _checked_name(label, adapter)
        if name in RESERVED_NAMES:
            raise PluginRefused(f"{label} is named {name!r}, which is a key of [systems.NAME]")
        _check_settings(label, adapter.Settings)
        self._claim("adapter", name, name, source, adapter.__module__)
        self.adapters[name] = adapter

    def add_notifier(self, source: str, notifier: type[Notifier], *, api_version: int = API_VERSION) -> None:
        """Raises :class:`PluginRefused`."""
        if not (isinstance(notifier, type) and issubclass(notifier, Notifier)):
            raise PluginRefused(f"{notifier!r} is not a subclass of connectord.extensions.Notifier")
        label = f"the notifier class {notifier.__qualname__}"
        _check_version(label, "notifier", api_version)
        name = _checked_name(label, notifier)
        if name in RESERVED_VIAS:
            raise PluginRefused(f"{label} is named {name!r}, which [notify] uses itself")
        _check_settings(label, notifier.Settings)
        at_once: Any = notifier.at_once
        if not isinstance(at_once, int) or not 1 <= at_once <= MOST_AT_ONCE:
            raise PluginRefused(f"{label} has at_once = {at_once!r}; it must be 1 to {MOST_AT_ONCE}")
        self._claim("notifier", name, f"notifier {name}", source, notifier.__module__)
        self.notifiers[name] = notifier

    def add_command(
        self,
        source: str,
        name: str,
        handler: CommandHandler,
        *,
        role: CommandRole,
        params: type[CommandParams] = NoParams,
        api_version: int = API_VERSION,
    ) -> None:
        """Raises :class:`PluginRefused`."""
        label = f"the command {name!r}"
        _check_version(label, "command", api_version)
        if not isinstance(name, str) or not _COMMAND_NAME.fullmatch(name):
            raise PluginRefused(
                f"{label} has no name that a method of a plugin may have: words of letters, digits, hyphens and "
                "underscores with dots between them, such as acme.report"
            )
        if role not in _ROLES:
            raise PluginRefused(f"{label} has the role {role!r}; it must be one of {', '.join(_ROLES)}")
        if not (isinstance(params, type) and issubclass(params, CommandParams)):
            raise PluginRefused(f"the params of {label} are no subclass of connectord.extensions.CommandParams")
        if not inspect.iscoroutinefunction(handler) and not inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object whose call is async
        ):
            raise PluginRefused(f"the handler of {label} is no async function")
        self._claim("command", name, f"command {name}", source, getattr(handler, "__module__", "") or "")
        self.commands[name] = Command(name, handler, role, params, source)

    def add_observer(self, source: str, observe: Callable[[Observed], None], module: str) -> None:
        """A plugin that implements ``connectord_observe``."""
        self.observers.append(Observer(observe, source, module))
        self.note_package(source, module)

    def note_package(self, source: str, module: str) -> None:
        """The plugin's code stands in the package of ``module``."""
        if module:
            self.packages.setdefault(package_of(module), source)

    def _claim(self, kind: str, name: str, key: str, source: str, module: str) -> None:
        if key in self.sources:
            raise PluginRefused(f"the {kind} name {name!r} is taken by {self.sources[key]}")
        self.sources[key] = source
        self.note_package(source, module)

    def collected(
        self,
        problems: Iterable[str],
        loaded: Mapping[tuple[str, str], str],
        fresh: Iterable[str],
        outdated: Iterable[str],
    ) -> PluginSet:
        """Everything, as a value."""
        return PluginSet(
            adapters=MappingProxyType(self.adapters),
            problems=tuple(problems),
            notifiers=MappingProxyType(self.notifiers),
            commands=MappingProxyType(self.commands),
            observers=tuple(self.observers),
            packages=MappingProxyType(self.packages),
            loaded=MappingProxyType(dict(loaded)),
            sources=MappingProxyType(self.sources),
            fresh=tuple(fresh),
            outdated=tuple(outdated),
        )


def _check_version(label: str, kind: str, api_version: object) -> None:
    if api_version == API_VERSION:
        return
    if not isinstance(api_version, int):
        raise PluginRefused(f"{label} has the api_version {api_version!r}; it must be a whole number")
    behind = "connectord" if api_version > API_VERSION else "the plugin"
    raise PluginRefused(
        f"{label} was written for version {api_version} of the {kind} interface, and this connectord has "
        f"version {API_VERSION}: update {behind}"
    )


def _checked_name(label: str, owner: object) -> str:
    name = getattr(owner, "name", None)
    if not isinstance(name, str) or not name:
        raise PluginRefused(f'{label} has no name: set name = "..." in the class')
    if not _NAME.fullmatch(name):
        raise PluginRefused(f"{label} is named {name!r}: a name has 1 to 64 letters, digits, hyphens and underscores")
    return name


def _check_settings(label: str, settings: object) -> None:
    if not (isinstance(settings, type) and issubclass(settings, AdapterSettings)):
        raise PluginRefused(f"the Settings of {label} are no subclass of connectord.adapters.AdapterSettings")
