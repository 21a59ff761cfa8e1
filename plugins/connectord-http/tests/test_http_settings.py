"""What connectord.toml may say about an HTTP system, and how it is told what it may not."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from connectord_http.settings import HttpSettings

URL = "https://billing.internal/api/jobs"


def refusal(**values: Any) -> str:
    with pytest.raises(pydantic.ValidationError) as caught:
        HttpSettings.model_validate({"url": URL, **values})
    [error] = caught.value.errors()
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg'].removeprefix('Value error, ')}"


def test_the_url_is_enough() -> None:
    settings = HttpSettings(url=URL)
    assert settings.dialect == "connectord"
    assert (settings.connect_timeout, settings.read_timeout) == (10_000, 30_000)
    assert settings.headers == {}
    assert settings.verify_tls is True
    assert settings.max_response_bytes == 1_048_576


def test_without_the_url_there_is_nothing() -> None:
    with pytest.raises(pydantic.ValidationError, match="url"):
        HttpSettings.model_validate({})


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "http://[::1]:8080/x", "https://bücher.example/a?b=c@d", "http://under_score/", URL],
)
def test_urls(url: str) -> None:
    assert HttpSettings(url=url).url == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must begin with"),
        ("billing.internal/api", "must begin with"),
        ("ftp://billing.internal", "must begin with"),
        ("https://", "no valid host"),
        ("https:///api", "no valid host"),
        ("https://:80/api", "no valid host"),
        ("https://bil ling/api", "no valid host"),
        ("https://bil..ling/api", "is not a URL"),
        (f"https://{'b' * 64}/api", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://billing:port/", "is not a URL"),
        ("https://billing/\n", "is not a URL"),
        ("https://billing:99999/", "no valid port"),
        ("https://billing:0/", "no valid port"),
    ],
)
def test_what_is_no_url(url: str, problem: str) -> None:
    assert problem in refusal(url=url)


@pytest.mark.parametrize("userinfo", ["ada:hunter2@", "ada@", ":@", "@"])
def test_a_password_belongs_into_the_headers(userinfo: str) -> None:
    message = refusal(url=f"https://{userinfo}billing.internal/")
    assert "put them into auth" in message
    assert "hunter2" not in message


def test_durations_are_milliseconds_inside() -> None:
    settings = HttpSettings.model_validate({"url": URL, "connect_timeout": "1.5s", "read_timeout": "2m"})
    assert (settings.connect_timeout, settings.read_timeout) == (1_500, 120_000)


@pytest.mark.parametrize("value", [10, "10", "ten seconds", "0s", "-1s", True])
def test_what_is_no_duration(value: object) -> None:
    assert refusal(connect_timeout=value).startswith("connect_timeout: ")


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "CONTENT-LENGTH", "Host", "transfer-encoding"])
def test_headers_that_are_ours(name: str) -> None:
    message = refusal(headers={name: "x"})
    assert message.startswith(f"headers.{name}")
    assert "cannot be set here" in message


@pytest.mark.parametrize("name", ["", "X Token", "X-Tokén", "X:", "X\n"])
def test_what_is_no_header_name(name: str) -> None:
    assert "is not a header name" in refusal(headers={name: "x"})


@pytest.mark.parametrize("value", ["hunter2\r\nHost: evil", "hunter2é", "hunter2\0"])
def test_what_is_no_header_value(value: str) -> None:
    message = refusal(headers={"X-Token": value})
    assert message == "headers.X-Token.literal: a header's value must be printable ASCII, without line breaks"


def test_the_same_header_twice() -> None:
    assert "X-A and x-a are the same header" in refusal(headers={"X-A": "1", "x-a": "2"})


def test_headers_do_not_show() -> None:
    settings = HttpSettings.model_validate({"url": URL, "headers": {"Authorization": "Bearer hunter2"}})
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize("value", [0, -1, 64 * 1_048_576 + 1, 1.5, "much"])
def test_max_response_bytes(value: object) -> None:
    assert refusal(max_response_bytes=value).startswith("max_response_bytes: ")


def test_dialects_are_known() -> None:
    assert HttpSettings(url=URL, dialect="enate").dialect == "enate"
    assert "'connectord' or 'enate'" in refusal(dialect="soap")


def test_an_unknown_key_is_refused() -> None:
    assert refusal(timeout="10s").startswith("timeout: ")


def test_a_literal_query_parameter_that_cannot_stand_in_a_url_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="the parameter 'a' must be a string, a number or a boolean"):
        HttpSettings.model_validate({"url": "http://billing.internal/jobs", "query": {"a": {"b": 1}}})
    repeated = HttpSettings.model_validate({"url": "http://billing.internal/jobs", "query": {"a": ["1", "2"]}})
    assert repeated.query["a"].tree == ["1", "2"]
