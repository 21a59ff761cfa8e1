from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

from connectord.config.positions import KeyPath, find_lines
from hypothesis import given
from hypothesis import strategies as st

DOCUMENT = '''\
# a comment = [ with "brackets"
top = 1

[a.b]                      # mentions a
x.y = """
[not.a.table]
z = 1 ""\\""" and ""quotes"""""
"quoted key" = 'it''s' # = "
list = [ # [
  1,

  # ]
  [2,
   3], { k = "}", l = [4] },
]
'' = \'\'\'
it's
\'\'\'

[a]
late = 1979-05-27 07:32:00

[[t]]
[t.sub]
v = 1
[[t.deep]]
w = "]"
[[t.deep]]
[[t]]
[[t.deep]]
w = {x.y = 1, "z" = {}}
'''.replace("'it''s'", "'its'")

LINES: dict[KeyPath, int] = {
    ("top",): 2,
    ("a",): 20,
    ("a", "b"): 4,
    ("a", "b", "x"): 5,
    ("a", "b", "x", "y"): 5,
    ("a", "b", "quoted key"): 8,
    ("a", "b", "list"): 9,
    ("a", "b", "list", 0): 10,
    ("a", "b", "list", 1): 13,
    ("a", "b", "list", 1, 0): 13,
    ("a", "b", "list", 1, 1): 14,
    ("a", "b", "list", 2): 14,
    ("a", "b", "list", 2, "k"): 14,
    ("a", "b", "list", 2, "l"): 14,
    ("a", "b", "list", 2, "l", 0): 14,
    ("a", "b", ""): 16,
    ("a", "late"): 21,
    ("t",): 23,
    ("t", 0): 23,
    ("t", 0, "sub"): 24,
    ("t", 0, "sub", "v"): 25,
    ("t", 0, "deep"): 26,
    ("t", 0, "deep", 0): 26,
    ("t", 0, "deep", 0, "w"): 27,
    ("t", 0, "deep", 1): 28,
    ("t", 1): 29,
    ("t", 1, "deep"): 30,
    ("t", 1, "deep", 0): 30,
    ("t", 1, "deep", 0, "w"): 31,
    ("t", 1, "deep", 0, "w", "x"): 31,
    ("t", 1, "deep", 0, "w", "x", "y"): 31,
    ("t", 1, "deep", 0, "w", "z"): 31,
}


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


def test_every_way_to_write_a_key() -> None:
    assert set(paths(tomllib.loads(DOCUMENT))) == set(LINES)
    assert find_lines(DOCUMENT) == LINES


def test_line_ends_of_windows_count_once() -> None:
    assert find_lines(DOCUMENT.replace("\n", "\r\n")) == LINES


def test_escapes_in_keys_are_read() -> None:
    assert find_lines('\n"a\\u0062\\"" = 1') == {('ab"',): 2}


def test_an_empty_document_has_no_lines() -> None:
    assert find_lines("") == {}
    assert find_lines("# nothing\n\n") == {}


# --- documents that nobody thought of: written by the machine, read by tomllib and by us

_NAMES = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=6) | st.text(alphabet="ab .=[]{}#'é", max_size=5)
_BLANKS = st.sampled_from(["", " ", "\t", "  "])
_COMMENTS = st.sampled_from(["", " # a = 1", '  # "', "#[x]"])
_STRINGS = st.text(alphabet="ab \"'\\\n#=[]{},é", max_size=8)
_BARE = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Writer:
    """Writes one value or table in one of the ways that TOML has."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def key(self, name: str) -> str:
        if name and set(name) <= _BARE and self.draw(st.booleans()):
            return name
        if "'" not in name and self.draw(st.booleans()):
            return f"'{name}'"
        return json.dumps(name, ensure_ascii=False)

    def gap(self) -> str:
        return self.draw(_BLANKS)

    def break_(self) -> str:
        return self.gap() + self.draw(st.sampled_from(["", "\n", " # ]\n", "\n\n"]))

    def string(self) -> str:
        text = self.draw(_STRINGS)
        forms = [json.dumps(text, ensure_ascii=False)]
        if "'" not in text:
            forms.append(f"'''\n{text}'''")
            if "\n" not in text:
                forms.append(f"'{text}'")
        escaped = text.replace("\\", "\\\\")
        if '""' not in text:
            forms.append(f'"""{escaped}"""')
        forms.append(f'"""\n{escaped}"""'.replace('""""', '\\""""') if '""' not in text else '""""""')
        return self.draw(st.sampled_from(forms))

    def value(self, depth: int) -> str:
        kinds = ["string", "scalar"] + (["array", "table"] if depth else [])
        match self.draw(st.sampled_from(kinds)):
            case "array":
                items = [self.break_() + self.value(depth - 1) + self.break_() for _ in range(self.count())]
                comma = "," + self.break_() if items and self.draw(st.booleans()) else self.break_()
                return f"[{','.join(items)}{comma}]"
            case "table":
                # no line breaks: TOML 1.0 has none in inline tables
                names = self.names()
                return "{" + ", ".join(f"{self.key(name)}{self.gap()}= {self.value(0)}" for name in names) + " }"
            case "string":
                return self.string()
            case _:
                return self.draw(st.sampled_from(["1", "-2.5e3", "true", "1979-05-27 07:32:00", "inf", "0x1F"]))

    def count(self) -> int:
        return self.draw(st.integers(0, 3))

    def names(self) -> list[str]:
        return self.draw(st.lists(_NAMES, unique=True, max_size=3))

    def body(self) -> str:
        lines = ""
        for name in self.names():
            dots = [name] + (["sub", *self.names()[:1]] if self.draw(st.booleans()) else [])
            written = f"{self.gap()}.{self.gap()}".join(self.key(part) for part in dots)
            lines += f"{self.gap()}{written}{self.gap()}={self.gap()}{self.value(2)}{self.draw(_COMMENTS)}\n"
        return lines

    def document(self) -> str:
        text = self.body()
        for index in range(self.count()):
            # distinct first parts, so that no two headers can clash
            head = [f"t{index}", *self.names()[:2]]
            written = f"{self.gap()}.{self.gap()}".join(self.key(part) for part in head)
            if self.draw(st.booleans()):
                text += f"[{self.gap()}{written}{self.gap()}]{self.draw(_COMMENTS)}\n{self.body()}"
                continue
            for _ in range(self.count()):
                text += f"\n[[{written}]]{self.draw(_COMMENTS)}\n{self.body()}"
                if self.draw(st.booleans()):
                    text += f"[{written}.under_it]\n{self.body()}"
        return text


@st.composite
def documents(draw: st.DrawFn) -> str:
    return Writer(draw).document()


@given(documents())
def test_every_key_that_tomllib_knows_stands_on_its_line(document: str) -> None:
    known = set(paths(tomllib.loads(document)))
    lines = find_lines(document)
    assert set(lines) == known
    # not splitlines(): it knows more line ends than TOML
    texts = document.split("\n")
    for path, line in lines.items():
        name = path[-1]
        text = texts[line - 1]
        if isinstance(name, str):
            assert name in text or json.dumps(name, ensure_ascii=False) in text
    for path, line in lines.items():
        # what is in something stands nowhere before it, if that is written in one place
        if isinstance(path[-1], int):
            assert line >= lines[path[:-1]]
