from __future__ import annotations

import site
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from connectord import plugins
from connectord.adapters import Adapter, AdapterSettings
from connectord.config import systems
from connectord.config.allocations import AllocationReader
from connectord.config.tables import Problems, Table
from connectord.errors import PluginRefused
from connectord.extensions import Notifier
from connectord.hookspecs import RegisterAdapter, RegisterCommand, RegisterNotifier, hookimpl
from connectord.lifecycle.policy import RetryPolicy
from connectord.plugins import load_plugins


class Fax(Adapter):
    name = "fax"


class Post(Adapter):
    name = "post"


class Pigeon:
    """A plugin that does what it is told."""

    def __init__(self, act: Callable[[RegisterAdapter], None]) -> None:
        self.act = act

    @hookimpl
    def connectord_register_adapters(self, register: RegisterAdapter) -> None:
        self.act(register)


def plugin(*adapters: type, **options: int) -> Pigeon:
    return Pigeon(lambda register: [register(adapter, **options) for adapter in adapters] and None)


def load(*extra: object) -> plugins.PluginSet:
    return load_plugins(extra, entry_points=False)


def named(name: object) -> type[Adapter]:
    return type("Named", (Adapter,), {"name": name})


def test_plugins_register_their_adapters() -> None:
    loaded = load(plugin(Fax), plugin(Post))
    assert loaded.adapters == {"fax": Fax, "post": Post}
    assert loaded.problems == ()


def test_nothing_is_kept_from_one_call_to_the_next() -> None:
    assert load(plugin(Fax)).problems == load(plugin(Fax)).problems == ()
    assert load().adapters == {}


def test_the_result_cannot_be_changed() -> None:
    loaded = load(plugin(Fax))
    with pytest.raises(TypeError):
        loaded.adapters["x"] = Fax  # type: ignore[index]


def test_the_same_plugin_twice_is_loaded_once() -> None:
    fax = plugin(Fax)
    loaded = load(fax, fax)
    assert loaded.adapters == {"fax": Fax}
    assert loaded.problems == ()


def test_a_module_may_be_a_plugin() -> None:
    module = ModuleType("carrier")

    @hookimpl
    def connectord_register_adapters(register: RegisterAdapter) -> None:
        register(Fax)

    module.connectord_register_adapters = connectord_register_adapters  # type: ignore[attr-defined]
    assert load(module).adapters == {"fax": Fax}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            plugin(Fax, api_version=2),
            "version 2 of the adapter interface, and this connectord has version 1: update connectord",
        ),
        (
            plugin(Fax, api_version=0),
            "version 0 of the adapter interface, and this connectord has version 1: update the plugin",
        ),
        (plugin(Post), "the adapter name 'post' is taken by plugin 'Pigeon'"),
        (plugin(SimpleNamespace), "is not a subclass of connectord.adapters.Adapter"),
        (plugin(3), "3 is not a subclass"),  # type: ignore[arg-type]
        (plugin(type("Nameless", (Adapter,), {})), 'Nameless has no name: set name = "..."'),
        (plugin(named("")), "has no name"),
        (plugin(named(3)), "has no name"),
        (plugin(named("a b")), "letters, digits, hyphens and underscores"),
        (plugin(named("retry")), "is named 'retry', which is a key of [systems.NAME]"),
        (
            plugin(type("Loose", (Adapter,), {"name": "l", "Settings": dict})),
            "no subclass of connectord.adapters.AdapterSettings",
        ),
        (Pigeon(lambda register: 1 / 0), "connectord_register_adapters raised ZeroDivisionError: division by zero"),  # type: ignore[arg-type,return-value]
        (Pigeon(lambda register: exit(3)), "raised SystemExit: 3"),
        (SimpleNamespace(), "implements no hook"),
    ],
)
def test_a_bad_plugin_is_one_problem_and_stops_no_other(bad: object, says: str) -> None:
    loaded = load(plugin(Post), bad, plugin(type("Last", (Adapter,), {"name": "last"})))
    assert list(loaded.adapters) == ["post", "last"]
    [problem] = loaded.problems
    assert problem.startswith("plugin '")
    assert says in problem


def test_a_hook_that_does_not_exist_is_a_problem() -> None:
    class Misspelt:
        @hookimpl
        def connectord_register_adaptors(self, register: RegisterAdapter) -> None: ...

    [problem] = load(Misspelt()).problems
    assert problem == "plugin 'Misspelt': there is no hook connectord_register_adaptors"


def test_a_hook_with_other_arguments_is_a_problem() -> None:
    class Wrong:
        @hookimpl
        def connectord_register_adapters(self, registrar: object) -> None: ...

    loaded = load(Wrong(), plugin(Fax))
    assert list(loaded.adapters) == ["fax"]
    [problem] = loaded.problems
    assert "plugin 'Wrong': a hook does not fit" in problem
    assert "registrar" in problem


def test_a_plugin_may_go_on_after_a_refusal_and_it_is_still_a_problem() -> None:
    def act(register: RegisterAdapter) -> None:
        with pytest.raises(PluginRefused):
            register(Fax, api_version=99)
        register(Post)

    loaded = load(Pigeon(act))
    assert list(loaded.adapters) == ["post"]
    assert len(loaded.problems) == 1


# --- installed ones


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Installs a distribution with one entry point, as pip would leave it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, module: str, source: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[connectord]\n{module} = {module}\n")

    return install


GOOD = """
from connectord.adapters import Adapter
from connectord.hookspecs import hookimpl

class {name}(Adapter):
    name = "{name}"

@hookimpl
def connectord_register_adapters(register):
    register({name})
"""


def test_installed_plugins_are_found_and_one_that_fails_stops_no_other(install, tmp_path: Path) -> None:
    install("a-broken", "plugins_test_broken", "import no_such_module")
    install("b-quits", "plugins_test_quits", "raise SystemExit")
    install("c-good", "plugins_test_good", GOOD.format(name="installed_fax"))
    loaded = load_plugins([plugin(Post)])
    assert {"installed_fax", "post"} <= set(loaded.adapters)
    ours = [problem for problem in loaded.problems if "plugins_test" in problem]
    files = [tmp_path / f"plugins_test_{name}.py" for name in ("broken", "quits")]
    assert ours == [
        (
            "plugin 'plugins_test_broken' of a-broken 1.2: cannot be imported from 'plugins_test_broken': "
            f"ModuleNotFoundError: No module named 'no_such_module' ({files[0]}:1)"
        ),
        (
            "plugin 'plugins_test_quits' of b-quits 1.2: cannot be imported from 'plugins_test_quits': "
            f"SystemExit ({files[1]}:1)"
        ),
    ]


def test_of_two_with_one_name_the_first_distribution_stays(install) -> None:
    install("z-late", "plugins_test_a", GOOD.format(name="twin"))
    install("a-early", "plugins_test_z", GOOD.format(name="twin"))
    loaded = load_plugins()
    assert loaded.adapters["twin"].__module__ == "plugins_test_z"
    [problem] = [problem for problem in loaded.problems if "twin" in problem]
    assert problem == (
        "plugin 'plugins_test_a' of z-late 1.2: the adapter name 'twin' is taken by plugin 'plugins_test_z' of "
        "a-early 1.2"
    )


def test_installed_plugins_may_be_left_out(install) -> None:
    install("c-good", "plugins_test_left_out", GOOD.format(name="left_out"))
    assert load_plugins(entry_points=False).adapters == {}


def test_no_adapter_may_be_called_like_a_key_of_a_system() -> None:
    problems = Problems("f", {})
    table = Table({"s": {"": 1}}, (), problems)
    allocation = AllocationReader((), Table({}, (), problems), ())
    systems.SystemsReader({}, (table, RetryPolicy()), allocation, problems, None).read(table)  # type: ignore[arg-type]
    [known] = [problem.message for problem in problems.in_order() if "known keys: " in problem.message]
    assert set(known.partition("known keys: ")[2].split(", ")) == plugins.RESERVED_NAMES


def test_settings_of_the_base_class_are_allowed() -> None:
    assert Fax.Settings is AdapterSettings
    assert load(plugin(Fax)).adapters["fax"] is Fax


# --- notifiers, commands and observers


class Chat(Notifier):
    name = "chat"


async def report(params: object, caller: object, services: object) -> None: ...


class Hooks:
    """A plugin with the hooks it is told to have."""

    def __init__(self, notifiers: Callable[..., object] | None = None, commands: Callable[..., object] | None = None):
        self.notifiers = notifiers or (lambda register: None)
        self.commands = commands or (lambda register: None)

    @hookimpl
    def connectord_register_notifiers(self, register: RegisterNotifier) -> None:
        self.notifiers(register)

    @hookimpl
    def connectord_register_commands(self, register: RegisterCommand) -> None:
        self.commands(register)


def notifier(**members: object) -> type[Notifier]:
    return type("Named", (Notifier,), members)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Hooks(lambda register: register(Chat, api_version=2)), "version 2 of the notifier interface"),
        (Hooks(lambda register: register(Chat, api_version="1")), "has the api_version '1'; it must be a whole number"),
        (Hooks(lambda register: register(Fax)), "is not a subclass of connectord.extensions.Notifier"),
        (Hooks(lambda register: register(notifier())), "has no name"),
        (Hooks(lambda register: register(notifier(name="smtp"))), "which [notify] uses itself"),
        (Hooks(lambda register: register(notifier(name="x", at_once=0))), "at_once = 0; it must be 1 to 64"),
        (Hooks(lambda register: register(notifier(name="x", Settings=dict))), "no subclass of"),
        (
            Hooks(lambda register: register(notifier(name="chat"))),
            "the notifier name 'chat' is taken by plugin",
        ),
        (Hooks(None, lambda register: register("a.b", report, role="viewer", api_version=0)), "update the plugin"),
        (Hooks(None, lambda register: register("report", report, role="viewer")), "such as acme.report"),
        (Hooks(None, lambda register: register("a.b", report, role="root")), "must be one of viewer, operator, admin"),
        (Hooks(None, lambda register: register("a.b", report, role="viewer", params=dict)), "the params of"),
        (Hooks(None, lambda register: register("a.b", print, role="viewer")), "is no async function"),
        (Hooks(None, lambda register: register("a.c", report, role="viewer")), "the command name 'a.c' is taken"),
        (Hooks(None, lambda register: 1 / 0), "connectord_register_commands raised ZeroDivisionError"),
    ],
)
def test_a_bad_registration_is_one_problem_and_stops_nothing_else(bad: object, says: str) -> None:
    good = Hooks(lambda register: register(Chat), lambda register: register("a.c", report, role="viewer"))
    loaded = load(good, bad, plugin(Fax))
    assert (list(loaded.adapters), list(loaded.notifiers), list(loaded.commands)) == (["fax"], ["chat"], ["a.c"])
    [problem] = loaded.problems
    assert says in problem


def test_what_is_loaded_stays_and_what_is_new_comes_beside_it(install) -> None:
    install("a-first", "plugins_test_first", GOOD.format(name="first"))
    before = load_plugins()
    install("b-second", "plugins_test_second", GOOD.format(name="second"))
    after = load_plugins(known=before)
    assert after.adapters["first"] is before.adapters["first"]
    assert "second" in after.adapters
    assert "second" not in before.adapters
    assert after.fresh == ("plugin 'plugins_test_second' of b-second 1.2",)
    assert load_plugins(known=after).fresh == ()


def test_an_editable_installation_is_found_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install
) -> None:
    source = tmp_path / "checkout"
    source.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path)])
    before = load_plugins()
    install("c-editable", "plugins_test_editable", GOOD.format(name="editable"))
    (tmp_path / "plugins_test_editable.py").rename(source / "plugins_test_editable.py")
    (tmp_path / "_editable.pth").write_text(f"import sys\n{source}\n{tmp_path / 'gone'}\n")
    after = load_plugins(known=before)
    assert "editable" in after.adapters
    assert str(source) in sys.path
    assert str(tmp_path / "gone") not in sys.path
