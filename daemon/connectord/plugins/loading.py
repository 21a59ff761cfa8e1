"""Finding plugins and the adapters and other things that they bring."""

from __future__ import annotations

import importlib
import importlib.metadata
import site
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pluggy
import structlog

from connectord import hookspecs
from connectord.errors import PluginRefused
from connectord.guards.culprits import package_of, running_culprit
from connectord.guards.faults import raised_at, words_of
from connectord.hookspecs import ENTRY_POINT_GROUP, PROJECT_NAME
from connectord.plugins.registrations import PluginSet, Registry

SLOW_IMPORT_SECONDS = 5.0
"""An import that takes longer is named while it goes on."""

_OBSERVE = "connectord_observe"

log = structlog.get_logger()


def load_plugins(
    extra: Iterable[object] = (), *, entry_points: bool = True, known: PluginSet | None = None
) -> PluginSet:
    """Load every plugin of the entry-point group ``connectord``, and the modules or objects in ``extra``.

    ``entry_points=False`` leaves the installed ones out. Never raises for a plugin's fault: what one of them did
    wrong is a problem in the result, and the others are loaded all the same. Of two adapters with one name the
    first stays: installed plugins in the order of their distributions' names, then ``extra``.

    With ``known``, what was loaded already stays as it is, and only what is new is loaded beside it. No module is ever
    loaded a second time: a plugin that is installed in another version by now is named in ``outdated``.
    """
    loader = _Loader(known or PluginSet())
    if entry_points:
        if known is not None:
            _see_what_is_installed()
        found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        for entry_point in sorted(found, key=_order):
            loader.load(entry_point)
    for plugin in extra:
        loader.add(plugin, f"plugin {getattr(plugin, '__name__', None) or type(plugin).__name__!r}")
    return loader.registry.collected(loader.problems, loader.loaded, loader.fresh, loader.outdated)


class _Loader:
    def __init__(self, known: PluginSet) -> None:
        self.registry = Registry(known)
        self.loaded = dict(known.loaded)
        self.problems: list[str] = []
        self.fresh: list[str] = []
        self.outdated: list[str] = []
        self._plugins: list[object] = []

    def load(self, entry_point: importlib.metadata.EntryPoint) -> None:
        key, version, source = _order(entry_point), _version(entry_point), _description(entry_point)
        if key in self.loaded:
            if version != self.loaded[key]:
                self.outdated.append(f"{source} ({self.loaded[key]} is loaded)")
            return
        try:
            with _named_while_slow(source, entry_point.module):
                plugin = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - importing somebody's module may raise anything
            self.problems.append(
                f"{source}: cannot be imported from {entry_point.value!r}: {_error(error, entry_point.module)}"
            )
            return
        self.loaded[key] = version
        self.fresh.append(source)
        self.registry.note_package(source, entry_point.module)
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
            self.problems.append(
                f"{source}: implements no hook; is it marked with connectord.hookspecs.hookimpl, "
                "as connectord_register_adapters and the others have to be?"
            )
        implemented = {caller.name for caller in callers}
        registry = self.registry
        for hook, register in (
            ("connectord_register_adapters", registry.add_adapter),
            ("connectord_register_notifiers", registry.add_notifier),
            ("connectord_register_commands", registry.add_command),
        ):
            if hook in implemented:
                self._call(hook, getattr(manager.hook, hook), register, source, _module_of(plugin, hook))
        if _OBSERVE in implemented:
            observe = manager.hook.connectord_observe
            registry.add_observer(source, lambda change: observe(change=change), _module_of(plugin, _OBSERVE))

    def _call(self, name: str, hook: Callable[..., Any], add: Callable[..., None], source: str, module: str) -> None:
        refused: list[PluginRefused] = []

        def register(*args: Any, **options: Any) -> None:
            try:
                add(source, *args, **options)
            except PluginRefused as error:
                # kept here, for the plugin may well catch it
                refused.append(error)
                self.problems.append(f"{source}: {error}")
                raise

        try:
            hook(register=register)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - somebody's hook may raise anything
            if error not in refused:
                self.problems.append(f"{source}: {name} raised {_error(error, module)}")


@contextmanager
def _named_while_slow(source: str, module: str) -> Iterator[None]:
    """Say which plugin it is, and at which line, if its import takes long."""
    done, importing = threading.Event(), threading.get_ident()

    def look() -> None:
        while not done.wait(SLOW_IMPORT_SECONDS):
            culprit = running_culprit(importing, {module.partition(".")[0]: source})
            log.warning("a plugin is still being imported", plugin=source, at=None if culprit is None else culprit.at)

    thread = threading.Thread(target=look, name=f"import of {module}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _see_what_is_installed() -> None:
    """Forget what was known of the environment, and take in directories that were added to it since the start."""
    importlib.invalidate_caches()
    for directory in (*site.getsitepackages(), site.getusersitepackages()):
        # an editable installation names its source directory in such a file, which is read at start only
        for file in sorted(Path(directory).glob("*.pth")):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                path = line.strip()
                if path.startswith("/") and path not in sys.path and Path(path).is_dir():
                    sys.path.append(path)


def _module_of(plugin: object, hook: str) -> str:
    """Where a plugin's hook is defined."""
    return getattr(getattr(plugin, hook, None), "__module__", "") or ""


def _order(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    distribution = entry_point.dist
    return ("" if distribution is None else distribution.name, entry_point.name)


def _version(entry_point: importlib.metadata.EntryPoint) -> str:
    return "" if entry_point.dist is None else entry_point.dist.version


def _description(entry_point: importlib.metadata.EntryPoint) -> str:
    distribution = entry_point.dist
    if distribution is None:
        return f"plugin {entry_point.name!r}"
    return f"plugin {entry_point.name!r} of {distribution.name} {distribution.version}"


def _error(error: BaseException, module: str = "") -> str:
    """The error in words, with the line in the package of ``module`` where it came up."""
    place = raised_at(error, package_of(module))
    return words_of(error) if place is None else f"{words_of(error)} ({place})"
