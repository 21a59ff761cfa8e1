"""What the table may say, and what it says when it may not."""

from __future__ import annotations

from typing import Any

import pytest
from connectord_sftp.settings import SftpSettings

FINGERPRINT = "SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"
GOOD: dict[str, Any] = {
    "host": "sftp.example",
    "user": "connectord",
    "password": "secret",
    "host_key": [FINGERPRINT],
    "directory": "/in/",
    "response": {"directory": "/out"},
}


def test_paths_lose_what_is_not_needed() -> None:
    settings = SftpSettings.model_validate(GOOD)
    assert settings.directory == "/in"
    assert SftpSettings.model_validate({**GOOD, "directory": "/"}).directory == "/"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host_key": None}, "who the server is must be checked"),
        ({"known_hosts": "/etc/known_hosts"}, "one of known_hosts and host_key"),
        ({"insecure_accept_any_host_key": True}, "one of known_hosts and host_key"),
        ({"host_key": None, "known_hosts": "known_hosts"}, "absolute"),
        ({"host_key": ["MD5:aa:bb"]}, "is not a fingerprint"),
        ({"host_key": []}, "at least 1"),
        ({"password": None}, "needs private_key or password"),
        ({"passphrase": "x"}, "passphrase is the private key's"),
        ({"private_key": "-----BEGIN NOTHING-----"}, "is not a private key"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"connections": 65}, "less than or equal to 64"),
        ({"directory": " "}, "must be the path of a directory"),
        ({"mode": "888"}, "octal"),
        ({"name": "{case}.json"}, "must have {id} in it"),
        ({"name": "{id}-{attempt}.json"}, "every attempt would bring a file of its own"),
        ({"name": "{id}-{owner}.json"}, "may have {id}, {system}, {case} in it"),
        ({"name": "{id:>30}.json"}, "may have {id}, {system}, {case} in it"),
        ({"name": "{id!r}.json"}, "may have {id}, {system}, {case} in it"),
        ({"name": "{}{id}.json"}, "may have {id}, {system}, {case} in it"),
        ({"name": "{id.json"}, "is not a template"),
        ({"name": "a/{id}.json"}, "without slashes"),
        ({"name": ".{id}.json"}, "must not begin with a dot"),
        ({"content": {"format": "csv", "expr": "a"}}, "csv needs columns"),
        ({"content": {"format": "text"}}, "text needs expr"),
        ({"content": {"expr": "a["}}, "is not JMESPath"),
        ({"content": {"columns": ["a"]}}, "columns belong to"),
        ({"content": {"format": "csv", "expr": "a", "columns": ["a", "a"]}}, "twice"),
        ({"content": {"encoding": "iso-8859-1"}}, "JSON is UTF-8"),
        ({"response": {"directory": "/out", "after": "archive"}}, "belong together"),
        ({"response": {"directory": "/out", "archive": "/old"}}, "belong together"),
        ({"response": {"directory": "/out", "after": "archive", "archive": "/out/"}}, "another directory"),
        ({"response": {"directory": "/in", "name": "{id}.json"}}, "another one than name"),
        ({"response": "nothing"}, "response"),
        ({"response": None}, "response"),
        ({"compression": True}, "Extra inputs"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_with_words(changes: dict[str, Any], words: str) -> None:
    values = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(ValueError) as caught:
        SftpSettings.model_validate(values)
    assert words in str(caught.value)


def test_the_response_has_to_be_named_even_if_there_is_none() -> None:
    with pytest.raises(ValueError, match="response"):
        SftpSettings.model_validate({key: value for key, value in GOOD.items() if key != "response"})


def test_a_secret_shows_in_no_message() -> None:
    with pytest.raises(ValueError) as caught:
        SftpSettings.model_validate({**GOOD, "private_key": "canary-4711", "passphrase": "canary-4712"})
    assert "canary" not in str(caught.value)
