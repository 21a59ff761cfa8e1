"""Whatever an action's data hold, a URL leads where its template says."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from connectord_http.expressions import MappingFailed
from connectord_http.urls import check_url_template, compile_url, compile_whole_url, takes_target
from hypothesis import given
from hypothesis import strategies as st

ROOTS = ("action",)
TRICKY = st.text(alphabet="./\\?#@:%;&=+ \t\r\n\0abc0é\u202e[]{}", max_size=12) | st.text(max_size=12)


@given(TRICKY)
def test_a_value_in_the_path_stays_one_segment(value: str) -> None:
    try:
        url = compile_url("https://a.example:8443/x/{action}/y?z=1")({"action": value})
    except MappingFailed:
        return
    parts = urlsplit(str(url))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "a.example:8443", "z=1", "")
    _, x, segment, y = parts.path.split("/")
    assert (x, unquote(segment), y) == ("x", value, "y")


@given(TRICKY)
def test_a_value_in_the_query_stays_one_value(value: str) -> None:
    try:
        url = compile_url("https://a.example/x?y={action}&z=1")({"action": value})
    except MappingFailed:
        return
    parts = urlsplit(str(url))
    assert (parts.netloc, parts.path, parts.fragment) == ("a.example", "/x", "")
    assert parse_qs(parts.query, strict_parsing=True) == {"y": [value], "z": ["1"]}


@given(TRICKY)
def test_a_value_in_the_host_stays_in_the_host(value: str) -> None:
    try:
        url = compile_url("https://{action}.example/x")({"action": value})
    except MappingFailed:
        return
    assert url.raw_host.decode() == f"{value.lower()}.example"
    assert (url.raw_path, url.port, url.userinfo) == (b"/x", None, b"")


@given(TRICKY.map("https://a.example/{}".format) | TRICKY.map("https://{}/".format) | TRICKY)
def test_a_whole_url_is_plain_or_refused(text: str) -> None:
    try:
        url = compile_whole_url("action")({"action": text})
    except MappingFailed:
        return
    assert text.isascii()
    assert url.scheme in ("http", "https")
    assert url.host
    assert url.userinfo == b""
    assert not url.fragment
    # another parser finds the same host
    assert urlsplit(text).hostname == url.host


@pytest.mark.parametrize(
    ("template", "takes"),
    [
        ("https://a.example/", False),
        ("https://a.example/{action}", False),
        ("https://a.example?x={action}", False),
        ("https://a.example#{action}", False),
        ("https://a.example/{join('@', [action])}", False),
        ("https://{action}", True),
        ("https://{action}/", True),
        ("https://a{action}/", True),
        ("https://a.example{action}/", True),
        ("https://a.example:{action}/", True),
        ("https://a.example:8{action}", True),
        ("https://{join('/', [action])}.example/", True),
        ("https://[{action}]/", True),
    ],
)
def test_who_decides_where_a_url_leads(template: str, takes: bool) -> None:
    assert takes_target(template) is takes
    if "[{" not in template:
        assert check_url_template(template, ROOTS) == template


def test_a_slash_inside_of_an_expression_ends_no_host() -> None:
    url = compile_url("https://{join('.', ['a', action])}:{`8443`}/{join('/', ['x', action])}")({"action": "b"})
    assert str(url) == "https://a.b:8443/x%2Fb"
