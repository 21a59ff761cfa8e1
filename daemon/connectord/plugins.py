"""Finding plugins and the adapters that they bring."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pluggy

from connectord import hookspecs
from connectord.adapters import API_VERSION, Adapter, AdapterSettings
from connectord.errors import PluginRefused
from connectord.hookspecs import ENTRY_POINT_GROUP, PROJECT_NAME

RESERVED_NAMES = frozenset(
    {
        "adapter",
        "allocation",
        "attempt_timeout",
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

_HOOK = "connectord_register_adapters"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PluginSet:
    """What the plugins brought: ``adapters`` by name, and ``problems``, one message for everything that failed."""

    adapters: Mapping[str, type[Adapter]]
    problems: tuple[str, ...] = ()


def load_plugins(extra: Iterable[object] = (), *, entry_points: bool = True) -> PluginSet:
    """Load every plugin of the entry-point group ``connectord``, and the modules or objects in ``extra``.

    ``entry_points=False`` leaves the installed ones out. Never raises for a plugin's fault: what one of them did
    wrong is a problem in the result, and the others are loaded all the same. Of two adapters with one name the
    first stays: installed plugins in the order of their distributions' names, then ``extra``.
    """
    loader = _Loader()
    if entry_points:
        found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        for entry_point in sorted(found, key=_order):
            loader.load(entry_point)
    for plugin in extra:
        loader.add(plugin, f"plugin {getattr(plugin, '__name__', None) or type(plugin).__name__!r}")
    return PluginSet(MappingProxyType(loader.adapters), tuple(loader.problems))


class _Loader:
    def __init__(self) -> None:
        self.adapters: dict[str, type[Adapter]] = {}
        self.problems: list[str] = []
        self._sources: dict[str, str] = {}
        self._plugins: list[object] = []

    def load(self, entry_point: importlib.metadata.EntryPoint) -> None:
        source = _description(entry_point)
        try:
            plugin = entry_point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - importing somebody's module may raise anything
            self.problems.append(f"{source}: cannot be imported from {entry_point.value!r}: {_error(error)}")
            return
        self.add(plugin, source)

    def add(self, plugin: object, source: str) -> None:
        if any(known is plugin for known in self._plugins):
            return
        self._plugins.append(plugin)
        # a manager for each, because pluggy stops at the first hook that raises
        manager = pluggy.PluginManager(PROJECT_NAME)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(plugin, name=source)
        except Exception as error:  # noqa: BLE001 - pluggy looks at every attribute, and a property may raise anything
            self.problems.append(f"{source}: a hook does not fit: {_error(error)}")
            return
        callers = manager.get_hookcallers(plugin) or []
        self.problems += [f"{source}: there is no hook {caller.name}" for caller in callers if not caller.has_spec()]
        if not callers:
            self.problems.append(f"{source}: implements no hook; is {_HOOK} marked with connectord.hookspecs.hookimpl?")
        self._call(manager, source)

    def _call(self, manager: pluggy.PluginManager, source: str) -> None:
        refused: list[PluginRefused] = []

        def register(adapter: type[Adapter], *, api_version: int = API_VERSION) -> None:
            try:
                self._register(adapter, api_version, source)
            except PluginRefused as error:
                # kept here, for the plugin may well catch it
                refused.append(error)
                self.problems.append(f"{source}: {error}")
                raise

        try:
            manager.hook.connectord_register_adapters(register=register)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's hook may raise anything
            if error not in refused:
                self.problems.append(f"{source}: {_HOOK} raised {_error(error)}")

    def _register(self, adapter: object, api_version: int, source: str) -> None:
        if not (isinstance(adapter, type) and issubclass(adapter, Adapter)):
            raise PluginRefused(f"{adapter!r} is not a subclass of connectord.adapters.Adapter")
        label = f"the adapter class {adapter.__qualname__}"
        if api_version != API_VERSION:
            behind = "connectord" if api_version > API_VERSION else "the plugin"
            raise PluginRefused(
                f"{label} was written for version {api_version} of the adapter interface, and this connectord has "
                f"version {API_VERSION}: update {behind}"
            )
        name = getattr(adapter, "name", None)
        if not isinstance(name, str) or not name:
            raise PluginRefused(f'{label} has no name: set name = "..." in the class')
        if not _NAME.fullmatch(name):
            raise PluginRefused(
                f"{label} is named {name!r}: a name has 1 to 64 letters, digits, hyphens and underscores"
            )
        if name in RESERVED_NAMES:
            raise PluginRefused(f"{label} is named {name!r}, which is a key of [systems.NAME]")
        if not (isinstance(adapter.Settings, type) and issubclass(adapter.Settings, AdapterSettings)):
            raise PluginRefused(f"the Settings of {label} are no subclass of connectord.adapters.AdapterSettings")
        if name in self.adapters:
            raise PluginRefused(f"the adapter name {name!r} is taken by {self._sources[name]}")
        self.adapters[name] = adapter
        self._sources[name] = source


def _order(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    distribution = entry_point.dist
    return ("" if distribution is None else distribution.name, entry_point.name)


def _description(entry_point: importlib.metadata.EntryPoint) -> str:
    distribution = entry_point.dist
    if distribution is None:
        return f"plugin {entry_point.name!r}"
    return f"plugin {entry_point.name!r} of {distribution.name} {distribution.version}"


def _error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
