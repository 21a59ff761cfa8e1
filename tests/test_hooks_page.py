"""docs/hooks.md says of every hook what hookspecs.py declares, and its examples can be used."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from connectord import hookspecs
from connectord.extensions import Change
from connectord.plugins import load_plugins

PAGE = (Path(__file__).parent.parent / "docs" / "hooks.md").read_text(encoding="utf-8")
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("connectord_")}
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_every_hook_has_a_section_and_there_is_no_other() -> None:
    assert re.findall(r"^## (connectord_\w+)$", PAGE, re.M) == list(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_section_begins_with_the_signature(name: str) -> None:
    parameters = ", ".join(inspect.signature(HOOKS[name]).parameters)
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert section.strip().startswith(f"`{name}({parameters})`: ")
    assert HOOKS[name].__doc__


@pytest.mark.parametrize("name", [name for name in HOOKS if "register" in name])
def test_what_register_takes_is_documented(name: str) -> None:
    (protocol,) = (
        hookspecs.RegisterAdapter if "adapters" in name
        else hookspecs.RegisterNotifier if "notifiers" in name
        else hookspecs.RegisterCommand,
    )  # fmt: skip
    positional, named = [], []
    for parameter in list(inspect.signature(protocol.__call__).parameters.values())[1:]:
        default = parameter.default
        shown = "" if default is parameter.empty else f"={getattr(default, '__name__', default)}"
        (named if parameter.kind is parameter.KEYWORD_ONLY else positional).append(f"{parameter.name}{shown}")
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert f"`register({', '.join(positional)}, *, {', '.join(named)})`" in section


def test_every_hook_is_called_by_the_loader() -> None:
    plugin = ModuleType("acme_hooks_page")
    for source in EXAMPLES:
        exec(source, plugin.__dict__)  # noqa: S102 - the page's own examples
    loaded = load_plugins([plugin], entry_points=False)
    assert loaded.problems == ()
    assert list(loaded.notifiers) == ["chat"]
    assert list(loaded.commands) == ["acme.report"]
    assert len(loaded.observers) == 1


def test_the_observers_example_prints(capsys: pytest.CaptureFixture[str]) -> None:
    plugin = ModuleType("acme_hooks_page_observer")
    (source,) = (source for source in EXAMPLES if "connectord_observe" in source)
    exec(source, plugin.__dict__)  # noqa: S102 - the page's own example
    plugin.connectord_observe(Change(7, "a", "", None, "pending", "", (), "", "", None, None, None, None))
    assert capsys.readouterr().out == "7 a pending\n"
