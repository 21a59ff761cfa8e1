"""Names and contents of files, as pure functions of an action."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from connectord.adapters import call_document
from connectord_sftp.contents import ContentRefused, render
from connectord_sftp.names import LONGEST_NAME, NameRefused, NameTemplate, join, temporary_name
from connectord_sftp.settings import Content
from helpers.calls import make_call
from hypothesis import given, settings
from hypothesis import strategies as st

ID = "01JDE3Q1M5V9F6X2K8T7R4N0AB"
TEMPLATES = ["{id}.json", "{case}-{id}.json", "{case}{id}", "{system}_{case}_{id}_{id}.csv", "{{{id}}}.x"]


@settings(deadline=None)
@given(st.sampled_from(TEMPLATES), st.none() | st.text(max_size=30), st.text("aB-_.1é", min_size=1, max_size=9))
def test_a_name_is_one_safe_part_of_a_path_and_leads_back_to_its_action(
    template: str, case: str | None, system: str
) -> None:
    parsed = NameTemplate.parse(template)
    call = make_call(case_id=case, system=system, action_id=ID)
    try:
        name = parsed.render(call)
    except NameRefused:
        assert len(quote(case or "", safe="")) > LONGEST_NAME - 100
        return
    assert "/" not in name
    assert name.isprintable()
    assert name.isascii()
    assert not name.startswith(".")
    assert 26 <= len(name) <= LONGEST_NAME
    assert len(temporary_name(name, 10**9)) <= 255
    match = parsed.pattern(system).fullmatch(name)
    assert match is not None
    assert match[1] == ID


def test_the_fields_of_a_name() -> None:
    call = make_call(case_id="C/1 é")
    assert NameTemplate.parse("{system}.{case}.{id}.json").render(call) == "billing.C%2F1%20%C3%A9.A-1.json"
    assert NameTemplate.parse("{case}-{id}").render(make_call(case_id=None)) == "no-case-A-1"
    assert NameTemplate.parse("{case}-{id}").render(make_call(case_id="..")) == "%2E.-A-1"


def test_paths() -> None:
    assert join("/", "a") == "/a"
    assert join("upload", "a") == "upload/a"


ROWS = {"rows": [{"iban": "DE1", "amount": 12.5, "note": None}, {"iban": "A;B", "amount": 10, "note": 'say "hé"'}]}
CSV: dict[str, Any] = {"format": "csv", "expr": "action.data.rows", "columns": ["iban", "amount", "note"]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"expr": "action.data.rows[0].amount"}, b"12.5"),
        ({"expr": "action.data.rows[].iban"}, b'["DE1","A;B"]'),
        ({"expr": "action.id", "format": "text"}, b"A-1"),
        ({"expr": "action.data.rows[1].note", "format": "text", "encoding": "windows-1252"}, b'say "h\xe9"'),
        (CSV, b'iban,amount,note\r\nDE1,12.5,\r\nA;B,10,"say ""h\xc3\xa9"""\r\n'),
        (
            {**CSV, "header": False, "delimiter": ";", "line_end": "\n", "encoding": "iso-8859-1"},
            b'DE1;12.5;\n"A;B";10;"say ""h\xe9"""\n',
        ),
        ({**CSV, "columns": ["paid"], "expr": "action.data.rows[:1].{paid: `true`}"}, b"paid\r\ntrue\r\n"),
    ],
)
def test_what_a_file_holds(content: dict[str, Any], expected: bytes) -> None:
    assert render(Content.model_validate(content), make_call(data=ROWS)) == expected


def test_a_file_holds_connectords_own_document_unless_configured() -> None:
    call = make_call(callback_url=None)
    assert msgspec.json.decode(render(Content(), call)) == call_document(call)


@pytest.mark.parametrize(
    ("content", "data", "words"),
    [
        ({"expr": "action.data.rows", "format": "text"}, ROWS, "gives a list, and text is a string"),
        ({"expr": "action.data.rows[0].amount", "format": "text"}, ROWS, "gives a number"),
        (CSV, {}, "gives nothing, and csv is made from a list of objects"),
        (CSV, {"rows": {"iban": 1}}, "gives an object"),
        (CSV, {"rows": [1]}, "row 1 of the csv is a number, not an object"),
        (CSV, {"rows": [{"iban": "x", "amount": 1}]}, "row 1 of the csv has no 'note'"),
        (CSV, {"rows": [{"iban": [1], "amount": 1, "note": ""}]}, "row 1 of the csv has a list in 'iban'"),
        ({"expr": "sum(action.data.rows)"}, ROWS, "content.expr cannot be applied to this action"),
        (
            {**CSV, "encoding": "iso-8859-1"},
            {"rows": [{"iban": "€", "amount": 1, "note": ""}]},
            "'€' cannot be written",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_words(content: dict[str, Any], data: dict[str, Any], words: str) -> None:
    with pytest.raises(ContentRefused) as caught:
        render(Content.model_validate(content), make_call(data=data))
    assert words in str(caught.value)
