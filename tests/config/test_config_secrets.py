from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from connectord.config import hide_secrets, secrets

TOP = '[systems.f]\nadapter = "fax"\n[systems.f.fax]\nnumber = "1"\n'


@pytest.fixture
def environ(tmp_path) -> Mapping[str, str]:
    directory = tmp_path / "credentials"
    directory.mkdir()
    return {"CREDENTIALS_DIRECTORY": str(directory), "TOKEN": "env-s3cret", "EMPTY": ""}


def credential(environ: Mapping[str, str], name: str, content: bytes) -> None:
    Path(environ["CREDENTIALS_DIRECTORY"], name).write_bytes(content)


def test_secrets_come_from_credentials_and_the_environment(load, environ) -> None:
    credential(environ, "fax-token", b"cred-s3cret\n")
    config = load(TOP + 'token = { credential = "fax-token" }\nseal = { env = "TOKEN" }\n', environ=environ)
    settings = config.systems["f"].settings
    assert settings.token.get_secret_value() == "cred-s3cret"
    assert settings.seal == "env-s3cret"
    assert set(config.secrets) == {"cred-s3cret", "env-s3cret"}
    assert "s3cret" not in repr(config).replace(repr(settings), "")
    assert "cred-s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"a\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), (b"a\r\n", "a\r"), ("ü".encode(), "ü")],
)
def test_one_line_end_is_taken_from_a_credential(content, value, load, environ) -> None:
    credential(environ, "c", content)
    assert load(TOP + 'token = { credential = "c" }', environ=environ).secrets == (value,)


def test_secrets_may_stand_wherever_a_string_may(load, environ) -> None:
    config = load(
        TOP
        + """\
headers = { Authorization = { env = "TOKEN" }, X-Team = "finance" }
copies = ["a", { env = "TOKEN" }]
limits.note = { env = "TOKEN" }
[[systems.f.fax.lines]]
note = { env = "TOKEN" }
[notify]
via = "command"
command = ["notify", { env = "TOKEN" }]
""",
        environ=environ,
    )
    settings = config.systems["f"].settings
    assert settings.headers["Authorization"] == "env-s3cret"
    assert settings.copies == ("a", "env-s3cret")
    assert settings.limits.note == "env-s3cret"
    assert settings.lines[0].note == "env-s3cret"
    assert config.notify.command == ("notify", "env-s3cret")
    assert config.secrets == ("env-s3cret",)


def test_a_table_stays_a_table_where_the_model_wants_one(load) -> None:
    config = load(TOP + 'labels = { env = "production" }\nheaders = { credential = "no secret" }')
    settings = config.systems["f"].settings
    assert settings.labels == {"env": "production"}
    assert settings.headers == {"credential": "no secret"}
    assert config.secrets == ()


def test_a_webhooks_url_may_be_a_secret(load, environ) -> None:
    config = load(
        '[notify]\nvia = "webhook"\nurl = { env = "URL" }', environ={"URL": "https://hooks.example.org/s3cret"}
    )
    assert config.notify.url == "https://hooks.example.org/s3cret"
    assert config.secrets == ("https://hooks.example.org/s3cret",)
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ('{ env = "MISSING" }', "the environment variable MISSING is not set"),
        ('{ env = "EMPTY" }', "the environment variable EMPTY is empty"),
        ('{ env = "a/b" }', 'may not contain "/"'),
        ('{ env = "" }', "must be a string, and not empty"),
        ("{ env = 1 }", "must be a string, and not empty"),
        ('{ credential = "missing" }', "LoadCredential=missing:FILE"),
        ('{ credential = "../passwd" }', 'may not contain "/"'),
        ('{ credential = ".." }', "is no name of a secret"),
        ('{ credential = "a\\u0000" }', "must be a string, and not empty"),
        ('{ credential = "empty" }', "is empty"),
        ('{ credential = "binary" }', "is not UTF-8 text"),
        ('{ credential = "directory" }', "cannot be read: Is a directory"),
    ],
)
def test_a_secret_that_cannot_be_read_is_one_problem(reference, says, refuse, environ) -> None:
    credential(environ, "empty", b"\n")
    credential(environ, "binary", b"\xff\xfe")
    Path(environ["CREDENTIALS_DIRECTORY"], "directory").mkdir()
    # the model refuses the text that stands in for the secret, which is no news
    [problem] = refuse(TOP + f"kind = {reference}", environ=environ)
    assert (problem.line, problem.key) == (5, "systems.f.fax.kind")
    assert says in problem.message


def test_without_a_credentials_directory_the_message_says_what_to_set(refuse) -> None:
    [problem] = refuse(TOP + '\ntoken = { credential = "fax-token" }')
    assert problem.line == 6
    assert "$CREDENTIALS_DIRECTORY is not set" in problem.message
    assert "LoadCredential=fax-token:FILE" in problem.message


def test_a_credential_may_not_be_endless(refuse, environ, monkeypatch) -> None:
    monkeypatch.setattr(secrets, "LARGEST_CREDENTIAL", 3)
    credential(environ, "long", b"long")
    [problem] = refuse(TOP + 'token = { credential = "long" }', environ=environ)
    assert "has more than 3 bytes" in problem.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[notify]\nvia = "webhook"\nurl = { env = "GONE" }', "notify.url"),
        ('[notify]\nvia = "command"\ncommand = ["a",\n{ env = "GONE" }]', "notify.command[1]"),
        (
            '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nusername = "u"\npassword = { env = "GONE" }',
            "notify.password",
        ),
    ],
)
def test_secrets_of_notify_have_their_lines_too(text, key, refuse) -> None:
    [problem] = refuse(text)
    assert (problem.line, problem.key) == (text.count("\n") + 1, key)
    assert "the environment variable GONE is not set" in problem.message


def test_an_unknown_key_is_not_resolved(refuse) -> None:
    [problem] = refuse(TOP + 'tokn = { env = "GONE" }')
    assert problem.message == 'unknown key "tokn"; did you mean "token"?'


@pytest.mark.parametrize(
    "value", ["cracked s3cret", "cracked 's3cret\\", 'cracked "s3crét"', "cracked\ts3cret" + "x" * 300]
)
@pytest.mark.parametrize(
    "text",
    [
        TOP + 'seal = { env = "S" }',
        TOP + 'kind = { env = "S" }',
        TOP + 'pages = { env = "S" }',
        TOP + 'pause = { env = "S" }',
        '[notify]\nvia = { env = "S" }',
        '[notify]\nvia = "webhook"\nurl = { env = "S" }',
        '[notify]\nvia = "smtp"\nhost = { env = "S" }\nsender = "a@b"',
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = { env = "S" }',
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nport = { env = "S" }',
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nstarttls = { env = "S" }',
    ],
)
def test_no_message_holds_a_secret(text, value, refuse) -> None:
    problems = refuse(text, environ={"S": value})
    for problem in problems:
        assert "s3cr" not in str(problem)
        assert "cracked" not in str(problem)


def test_hiding_takes_the_longest_first_and_every_spelling() -> None:
    assert hide_secrets("a=abc b=ab", ["ab", "abc"]) == "a=********** b=**********"
    assert hide_secrets(repr("a\nb"), ["a\nb"]) == "'**********'"
