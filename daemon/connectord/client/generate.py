"""Writes the clients' methods from the control socket's own types.

``python -m connectord.client.generate`` writes ``sync_methods.py`` and ``trio_methods.py``; a test fails when they are
not what this gives.
"""

from __future__ import annotations

import json
import textwrap
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from connectord.client.descriptions import DESCRIPTIONS
from connectord.control import params as p
from connectord.control import results as r
from connectord.control.signatures import NOTIFICATIONS, SIGNATURES, Signature
from connectord.errors import ConnectordError

WIDTH = 120
_EMPTY: Any = msgspec.NODEFAULT
_ALIASES = {
    value: f"r.{name}" for name, value in vars(r).items() if name.endswith("Name") and get_origin(value) is Literal
}


class NotGenerated(ConnectordError):
    """A type on the control socket of a kind that the generator does not know, or a method without a description."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method. ``default`` is its source text, None where it is required."""

    name: str
    type: str
    default: str | None

    @property
    def text(self) -> str:
        """As it stands in the method's head."""
        return f"{self.name}: {self.type}" + ("" if self.default is None else f" = {self.default}")


@dataclass(frozen=True, slots=True)
class Flavour:
    """How the sync and the trio client differ."""

    file: str
    title: str
    name: str
    define: str
    wait: str
    loop: str
    iterator: str
    context: str

    def imports(self) -> str:
        """Where the two stand that a stream is typed with."""
        lines = [f"from collections.abc import {self.iterator}", f"from contextlib import {self.context}"]
        return "\n".join(lines)


SYNC = Flavour("sync_methods.py", "blocking", "SyncMethods", "def", "", "for", "Iterator", "AbstractContextManager")
TRIO = Flavour(
    "trio_methods.py", "trio", "TrioMethods", "async def", "await ", "async for", "AsyncIterator",
    "AbstractAsyncContextManager",
)  # fmt: skip
FLAVOURS = (SYNC, TRIO)


def render(flavour: Flavour) -> str:
    """The source of one client's methods."""
    methods = [_method(flavour, name, signature) for name, signature in SIGNATURES.items()]
    methods += [_pages(flavour, name, item.params, item.result) for name, item in SIGNATURES.items() if _is_paged(item)]
    body = "\n".join(textwrap.indent(method, "    ") for method in methods)
    return _head(flavour, ", ".join(name for name in ("Any", "Literal", "TypeVar") if name in f"{body} TypeVar")) + body


def _head(flavour: Flavour, typing_names: str) -> str:
    stream = (
        f"    def _stream(self, method: str, params: p.Params, event: type[T]) "
        f"-> {flavour.context}[{flavour.iterator}[T]]: ..."
    )
    if len(stream) > WIDTH:
        stream = stream.replace("(self", "(\n        self").replace("[T]) ->", "[T]\n    ) ->", 1)
    return f'''"""The {flavour.title} client's methods, one for each of the control socket.

Made from the control socket's own types by ``python -m connectord.client.generate``: do not edit.
"""

# ruff: noqa: A002 - the control socket's own names

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
{flavour.imports()}
from typing import {typing_names}

from connectord.client.wire import given
from connectord.control import params as p
from connectord.control import results as r

T = TypeVar("T", bound=r.Result)


class {flavour.name}(ABC):
    """Every method of the control socket, typed. What a call may raise stands at :mod:`connectord.errors`."""

    @abstractmethod
    {flavour.define} _request(self, method: str, params: p.Params, result: type[T]) -> T: ...
    @abstractmethod
{stream}
    @abstractmethod
    def _pages(self, method: str, params: p.Params, page: type[T]) -> {flavour.iterator}[T]: ...

'''


def _method(flavour: Flavour, name: str, signature: Signature) -> str:
    parameters = _parameters(signature.params)
    role = f"Needs the role {signature.role.name.lower()}."
    if signature.result is None:
        event = f"r.{NOTIFICATIONS['event'].__name__}"
        answer = f"{flavour.context}[{flavour.iterator}[{event}]]"
        usage = "" if flavour is SYNC else "async "
        role += (
            f"\n\n``{usage}with client.{name}() as events: {usage}for event in events: ...``: once inside, no change "
            "is missed. It is a connection of its own, and ends with DaemonUnreachable when the daemon stops. A reader "
            "that is too slow is cut off with TryAgain, whose ``resume_after`` is where to go on."
        )
        body = f'return self._stream("{name}", {_construction(signature.params)}, {event})'
        return _definition("def", name, parameters, answer, [_description(name, signature), role], body)
    result = _type(signature.result)
    body = f'return {flavour.wait}self._request("{name}", {_construction(signature.params)}, {result})'
    return _definition(flavour.define, name, parameters, result, [_description(name, signature), role], body)


def _pages(flavour: Flavour, name: str, params: type[p.Params], page: type[r.Result]) -> str:
    member, item = _items_of(page)
    about = f"Every one of the {member} that ``{name}`` finds, page by page; ``limit`` is the size of a page."
    head = "iter_actions" if name == "list" else f"iter_{name}"
    parameters = [parameter for parameter in _parameters(params) if parameter.name != "after"]
    call = f'self._pages("{name}", {_construction(params, without="after")}, {_type(page)})'
    # an async generator cannot delegate to another
    inner = f"yield from page.{member}" if flavour is SYNC else f"for item in page.{member}:\n        yield item"
    body = f"{flavour.loop} page in {call}:\n    {inner}"
    return _definition(flavour.define, head, parameters, f"{flavour.iterator}[{item}]", [about], body)


def _definition(
    define: str, name: str, parameters: list[Parameter], answer: str, paragraphs: list[str], body: str
) -> str:
    required = [item.text for item in parameters if item.default is None]
    optional = [item.text for item in parameters if item.default is not None]
    arguments = ["self", *required, *(["*", *optional] if optional else [])]
    head = f"{define} {name}({', '.join(arguments)}) -> {answer}:"
    if len(head) + 4 > WIDTH:
        lines = "".join(f"    {argument},\n" for argument in arguments)
        head = f"{define} {name}(\n{lines}) -> {answer}:"
    indented = textwrap.indent(f"{_docstring(paragraphs)}\n{_fold(body)}", "    ")
    return f"{head}\n{indented}\n"


def _docstring(paragraphs: list[str]) -> str:
    texts = [part for paragraph in paragraphs for part in paragraph.split("\n\n")]
    wrapped = "\n\n".join(
        textwrap.fill(text, WIDTH - 8, initial_indent="" if index else '"""', break_on_hyphens=False)
        for index, text in enumerate(texts)
    )
    fits = "\n" not in wrapped and len(wrapped) + 3 <= WIDTH - 8
    return f'{wrapped}"""' if fits else f'{wrapped}\n"""'


def _fold(body: str) -> str:
    """Lines of source text; a call that is too long for its line is broken as the formatter does it."""
    return "\n".join(_broken(line, 8) for line in body.split("\n"))


def _broken(call: str, column: int) -> str:
    """A call that begins at ``column``, with its arguments on lines of their own where it is too long."""
    if column + len(call) <= WIDTH or "(" not in call:
        return call
    indent = " " * (len(call) - len(call.lstrip()))
    opening, closing = call.index("(") + 1, call.rindex(")")
    inside = call[opening:closing]
    arguments = _split(inside)
    if column + len(indent) + 4 + len(inside) <= WIDTH:
        lines = [f"    {inside}"]
    elif len(arguments) == 1:
        lines = [textwrap.indent(_broken(inside, column + 4), "    ")]
    else:
        lines = [textwrap.indent(f"{_broken(argument, column + 5)},", "    ") for argument in arguments]
    return "\n".join([call[:opening], *(textwrap.indent(line, indent) for line in lines), f"{indent}{call[closing:]}"])


def _split(arguments: str) -> list[str]:
    """The arguments of a call, without tearing those that are calls themselves."""
    found, depth = [""], 0
    for character in arguments:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [item.strip() for item in found]


def _parameters(params: type[p.Params]) -> list[Parameter]:
    """A method's parameters; those of its ``filters`` stand among them."""
    found: list[Parameter] = []
    for field in msgspec.structs.fields(params):
        filters = _filters_of(field)
        if filters is not None:
            found += _parameters(filters)
        elif field.default_factory is not _EMPTY:
            raise NotGenerated(f"{params.__name__}.{field.name}: a default that is made anew each time")
        else:
            default = None if field.default is _EMPTY else _literal(field.default)
            found.append(Parameter(field.name, _type(field.type), default))
    names = [item.name for item in found]
    if len(set(names)) < len(names):
        raise NotGenerated(f"{params.__name__}: a filter has the name of a parameter")
    return found


def _construction(params: type[p.Params], without: str = "") -> str:
    """The source text that makes the parameters from the method's own."""
    parts = []
    for field in msgspec.structs.fields(params):
        filters = _filters_of(field)
        if filters is not None:
            parts.append(f"filters=given({_construction(filters)})")
        elif field.name != without:
            parts.append(f"{field.name}={field.name}")
    return f"p.{params.__name__}({', '.join(parts)})"


def _filters_of(field: msgspec.structs.FieldInfo) -> type[p.Params] | None:
    if field.name != "filters":
        return None
    kinds = [kind for kind in get_args(field.type) if kind is not types.NoneType]
    if len(kinds) != 1 or not issubclass(kinds[0], p.Params):
        raise NotGenerated("filters must be a struct of parameters or null")
    found: type[p.Params] = kinds[0]
    return found


def _is_paged(signature: Signature) -> bool:
    takes = {field.name for field in msgspec.structs.fields(signature.params)}
    return signature.result is not None and "after" in takes and "next" in signature.result.__struct_fields__


def _items_of(page: type[r.Result]) -> tuple[str, str]:
    """The member of a page that has its items, and their type."""
    for field in msgspec.structs.fields(page):
        if get_origin(field.type) is list:
            return field.name, _type(get_args(field.type)[0])
    raise NotGenerated(f"{page.__name__}: a page without a list")


def _description(name: str, signature: Signature) -> str:
    if name in DESCRIPTIONS:
        return DESCRIPTIONS[name]
    if signature.params is p.Nothing or sum(item.params is signature.params for item in SIGNATURES.values()) > 1:
        raise NotGenerated(f"say in connectord/client/descriptions.py what {name} does")
    return " ".join((signature.params.__doc__ or "").split())


def _type(kind: Any) -> str:
    """A type as source text; the limits that the daemon checks are left out."""
    if kind in _ALIASES:
        return _ALIASES[kind]
    origin = get_origin(kind)
    if origin is typing.Annotated:
        return _type(get_args(kind)[0])
    if origin is Literal:
        return "Literal[" + ", ".join(map(_literal, get_args(kind))) + "]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(item) for item in get_args(kind))
    if origin in (list, dict):
        # a client has a method "list"
        name = "builtins.list" if origin is list else "dict"
        return f"{name}[{', '.join(_type(item) for item in get_args(kind))}]"
    if kind is Any:
        return "Any"
    if kind is types.NoneType:
        return "None"
    name = getattr(kind, "__name__", "")
    for short, module in (("p", p), ("r", r)):
        if kind is getattr(module, name, None):
            return f"{short}.{name}"
    if kind in (str, int, float, bool):
        return str(kind.__name__)
    raise NotGenerated(f"{kind!r} is of a kind that the generator does not know")


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    for one in FLAVOURS:
        (Path(__file__).parent / one.file).write_text(render(one), encoding="utf-8")
