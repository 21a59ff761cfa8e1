from __future__ import annotations

import pytest
from connectord.config import Rate, format_rate, parse_rate
from connectord.config.addresses import parse_bind, parse_http_url, parse_mail_address, parse_target_url


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50/s", Rate(50, 1_000)),
        ("100/m", Rate(100, 60_000)),
        ("1000/h", Rate(1_000, 3_600_000)),
        ("1000000/s", Rate(1_000_000, 1_000)),
    ],
)
def test_a_rate_is_read_and_written(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert format_rate(rate) == text


@pytest.mark.parametrize("text", ["", "50", "50/", "/s", "50/d", "50/ms", "50 /s", "1.5/s", "-1/s", "٣/s", "50/s\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0/s", "1000001/s"])
def test_a_rate_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='must be from "1/s" to "1000000/s"'):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8470", ("127.0.0.1", 8470)),
        ("[::1]:8470", ("::1", 8470)),
        ("localhost:0", ("localhost", 0)),
        ("a.example.org:65535", ("a.example.org", 65535)),
    ],
)
def test_an_address_to_listen_on(text: str, address: tuple[str, int]) -> None:
    assert parse_bind(text) == address


@pytest.mark.parametrize(
    ("text", "lesson"),
    [
        ("127.0.0.1", "must be HOST:PORT"),
        ("8470", "must be HOST:PORT"),
        ("127.0.0.1:", "must be HOST:PORT"),
        ("127.0.0.1:http", "must be HOST:PORT"),
        ("127.0.0.1:-1", "must be HOST:PORT"),
        ("[::1]", "must be HOST:PORT"),
        ("127.0.0.1:65536", "from 0 (any free one) to 65535"),
        ("::1:8470", 'stands in brackets: "[::1]:8470"'),
        ("[127.0.0.1]:1", "must be an IPv6 address"),
        ("[]:1", "must be an IPv6 address"),
        (":8470", "the host must be"),
        ("1.2.3:8470", "the host must be"),
        ("300.1.1.1:8470", "the host must be"),
        ("a b:8470", "the host must be"),
        ("http://a:8470", "stands in brackets"),
    ],
)
def test_what_is_no_address_is_refused(text: str, lesson: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_bind(text)
    assert lesson in str(refused.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://connectord.example.org", "https://connectord.example.org"),
        ("https://example.org/", "https://example.org"),
        ("http://[::1]:8470/a/b//", "http://[::1]:8470/a/b"),
    ],
)
def test_a_public_url_loses_the_slash_at_its_end(text: str, url: str) -> None:
    assert parse_http_url(text) == url


@pytest.mark.parametrize(
    ("text", "lesson"),
    [
        ("example.org", "must be an http or https URL"),
        ("/callback", "must be an http or https URL"),
        ("ftp://example.org", "must be an http or https URL"),
        ("http://", "must be an http or https URL"),
        ("http://example.org:0", "must be an http or https URL"),
        ("http://example.org:99999", "valid host and port"),
        ("http://example.org:x", "valid host and port"),
        ("http://[::1", "valid host and port"),
        ("http://exa mple.org", "without spaces"),
        ("http://example.org/\n", "without spaces"),
        ("http://bücher.example", "plain ASCII"),
        ("http://example.org/?", "no query"),
        ("http://example.org/?a=1", "no query"),
        ("http://example.org/#a", "no fragment"),
    ],
)
def test_what_is_no_public_url_is_refused(text: str, lesson: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_http_url(text)
    assert lesson in str(refused.value)


def test_a_target_may_have_a_query_and_keeps_its_slash() -> None:
    assert parse_target_url("https://example.org/hook/?key=1") == "https://example.org/hook/?key=1"


@pytest.mark.parametrize("text", ["anna@example.org", "Anna B. <anna@example.org>", '"a b"@example.org', "eva@intern"])
def test_mail_addresses(text: str) -> None:
    assert "@" in parse_mail_address(text).addr_spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("anna", "no @"),
        ("@example.org", "no @"),
        ("x@", "cannot be read"),
        ("a@b\nBcc: c@d", "invalid address"),
        ("a@b, c@d", "exactly one"),
        ("team: a@b;", "exactly one"),
        ("a b@example.org", "dot-atom"),
        ("änna@example.org", "non-ASCII"),
        ("", "exactly one"),
    ],
)
def test_what_is_no_mail_address_says_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_mail_address(text)
