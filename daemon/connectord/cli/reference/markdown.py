"""The reference pages for docs/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from connectord.cli.reference.commands import CommandPage
from connectord.cli.reference.keys import Key
from connectord.control.params import Params
from connectord.control.signatures import SIGNATURES

_MADE = "<!-- made by python -m connectord.cli.reference; not to be edited -->\n"

_CONFIGURATION = f"""# The configuration

{_MADE}
Every key of `connectord.toml`, table by table: what it takes, and what stands for it where it is left out. The file
[connectord.toml](../connectord.toml) shows all of them in their places. `connectord check` checks a file, and names
every mistake at once with its line.

Durations are a number and `ms`, `s`, `m`, `h` or `d`: `"1.5s"`. Relative paths begin in the directory of the file.
Wherever a string is expected in `[notify]` or in an adapter's settings, `{{ credential = "NAME" }}` reads the file
`$CREDENTIALS_DIRECTORY/NAME` and `{{ env = "NAME" }}` an environment variable.

A reload (`connectorctl reload`, SIGHUP) puts a key in force at once, unless it says *restart*: those act when the
daemon starts next, and the reload names them."""


def commands_page(pages: Iterable[CommandPage]) -> str:
    """docs/cli.md."""
    pages = list(pages)
    lines = [
        "# Commands",
        "",
        _MADE,
        "`connectord` is the daemon's own command, `connectorctl` looks at a running one and steers it. The same pages",
        "stand in the manual: `man connectorctl`. What the commands print: [screens](screens.md).",
        "",
        "| command | does |",
        "| --- | --- |",
    ]
    listed = [page for page in pages if " " in page.path and not page.is_group]
    lines += [f"| [`{page.path}`](#{_anchor(page.path)}) | {_cell(page.short)} |" for page in listed]
    for page in pages:
        lines += ["", *_command(page)]
    return "\n".join(lines) + "\n"


def _command(page: CommandPage) -> Iterator[str]:
    yield f"## {page.path}"
    yield ""
    yield f"    {page.usage}"
    for paragraph in page.text:
        yield ""
        yield _text(paragraph)
    if page.options:
        yield ""
        yield "| option | does |"
        yield "| --- | --- |"
        yield from (f"| `{_cell(option.written)}` | {_cell(_text(option.help))} |" for option in page.options)
    if page.examples:
        yield ""
        yield f"{'Example' if len(page.examples) == 1 else 'Examples'}:"
        yield ""
        yield from (f"    {example}" for example in page.examples)


def configuration_page(keys: Iterable[Key], adapters: Iterable[tuple[str, Iterable[Key]]]) -> str:
    """docs/configuration.md."""
    lines = [_CONFIGURATION]
    for table, group in _by_table(keys).items():
        lines += [
            "",
            f"## {table}",
            "",
            "| key | takes | default | in force | what for | example |",
            "| --- " * 6 + "|",
        ]
        lines += [
            f"| `{key.name}` | {_cell(key.takes)} | {_code(key.default)} | {'restart' if key.restart else 'reload'} | "
            f"{_cell(_text(key.meaning))} | {_quoted(key.example)} |"
            for key in group
        ]
    for name, own in adapters:
        lines += ["", f"## The adapter {name}", "", "All of it is in force with a reload."]
        for table, group in _by_table(own).items():
            lines += ["", f"### {table}", "", "| key | takes | default | what for |", "| --- " * 4 + "|"]
            lines += [
                f"| `{key.name}` | {_cell(key.takes)} | {_code(key.default)} | {_cell(_text(key.meaning))} |"
                for key in group
            ]
    return "\n".join(lines) + "\n"


def _by_table(keys: Iterable[Key]) -> dict[str, list[Key]]:
    tables: dict[str, list[Key]] = {}
    for key in keys:
        tables.setdefault(key.table, []).append(key)
    return tables


def methods_table() -> str:
    """The table of methods in docs/control-protocol.md."""
    lines = ["| method | role | parameters | result |", "| --- | --- | --- | --- |"]
    for name, signature in SIGNATURES.items():
        result = (
            "notifications `event` until the connection ends" if signature.result is None else _result(signature.result)
        )
        lines.append(f"| `{name}` | {signature.role.name.lower()} | {_parameters(signature.params)} | {result} |")
    return "\n".join(lines)


def _parameters(params: type[Params]) -> str:
    fields = msgspec.structs.fields(params)
    return ", ".join(f"{field.encode_name}{'' if field.required else '?'}" for field in fields) or "none"


def _result(result: type) -> str:
    names = [field.encode_name for field in msgspec.structs.fields(result)]
    # an action, a status: named, for their members fill pages
    return ", ".join(names) if len(names) <= _MOST_MEMBERS else f"{_an(result.__name__.lower())}"


_MOST_MEMBERS = 8


def _an(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _text(text: str) -> str:
    """Docstrings have two backquotes where Markdown has one."""
    return " ".join(text.replace("``", "`").split())


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _quoted(code: str) -> str:
    return f"`` {_cell(code)} ``" if "`" in code else f"`{_cell(code)}`"


def _code(default: str | None) -> str:
    if default is None:
        return "must be there"
    return f"`{_cell(default)}`" if default[:1] in '"[{' or default.replace(".", "").isalnum() else _cell(default)


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
