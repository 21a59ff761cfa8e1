from __future__ import annotations

import pytest
from connectord.cli.top.keyboard import PASTE_LIMIT, Key, KeyParser
from hypothesis import given
from hypothesis import strategies as st


def names(data: bytes) -> list[str]:
    parser = KeyParser()
    return [key.name for key in [*parser.feed(data), *parser.flush()]]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"jq", ["j", "q"]),
        (b"\x1b[A\x1b[B\x1bOA\x1bOB", ["up", "down", "up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[F\x1b[1~\x1b[4~", ["pageup", "pagedown", "home", "end", "home", "end"]),
        (b"\x1b[1;5A\x1b[5;2~", ["up", "pageup"]),
        (b"\t\x1b[Z\r\n", ["tab", "backtab", "enter", "enter"]),
        (b"\x7f\x08\x03\x0c\x15", ["backspace", "backspace", "ctrl-c", "ctrl-l", "ctrl-u"]),
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b", ["escape", "escape"]),
        (b"\x1bq", ["escape", "q"]),
        (b"\x1b[", []),
        (b"\x1b[15~q\x1bOPq\x1b[?1;2cq", ["q", "q", "q"]),
        (b"\x1b[" + b"1" * 100 + b"q", ["1"] * 69 + ["q"]),
        (b"\x1b[\x03q", ["ctrl-c", "q"]),
        ("ä€😀".encode(), ["ä", "€", "😀"]),
        (b"\xffq", ["\N{REPLACEMENT CHARACTER}", "q"]),
        (b"\x00\x1a\x9bq", ["\N{REPLACEMENT CHARACTER}", "q"]),
        ("\u202eq".encode(), ["q"]),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    assert names(data) == keys


@given(
    st.lists(
        st.sampled_from([b"\x1b[A", b"\x1bOB", b"\x1b[5~", b"q", b"\r", "ä".encode(), b"\x1b[200~rp\x1b[A\x1b[201~"])
    ),
    st.lists(st.integers(1, 8), min_size=1),
)
def test_keys_are_found_wherever_the_bytes_are_cut(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    whole, cut, place, found = KeyParser(), KeyParser(), 0, []
    while place < len(data):
        for length in cuts:
            found += cut.feed(data[place : place + length])
            place += length
    assert found == whole.feed(data)
    assert not cut.is_waiting


@given(st.lists(st.binary(max_size=20)))
def test_no_bytes_break_it_and_none_are_kept(chunks: list[bytes]) -> None:
    parser = KeyParser()
    for chunk in chunks:
        for key in parser.feed(chunk):
            assert key.name.isprintable()
    parser.flush()
    assert not parser.is_waiting


def test_what_is_pasted_is_one_key_and_not_many() -> None:
    parser = KeyParser()
    assert parser.feed(b"\x1b[200~rpq") == []
    assert not parser.is_waiting
    assert parser.feed(b"\x03\x1b[2") == []
    assert parser.feed(b"01~j") == [Key("paste", "rpq\x03"), Key("j")]
    assert parser.feed(b"\x1b[200~" + b"x" * 100_000) == []
    (key,) = parser.feed(b"\x1b[201~")
    assert key == Key("paste", "x" * PASTE_LIMIT)
