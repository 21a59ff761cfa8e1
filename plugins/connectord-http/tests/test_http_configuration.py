"""The settings as connectord.toml holds them: the README's examples, and every mistake with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from connectord.config import Config, diff, load_config
from connectord.errors import ConfigurationRefused
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings
from helpers.http_adapter import make_adapter

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
HEAD = '[systems.b]\nadapter = "http"\n[systems.b.http]\n'
URL = f'{HEAD}url = "https://billing.internal/"\n'


def load(text: str, directory: Path, environ: Mapping[str, str] | None = None) -> Config:
    path = directory / "connectord.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, adapters={"http": HttpAdapter}, environ=environ or {})


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Every secret that the README names."""
    text = README.read_text(encoding="utf-8")
    for name in re.findall(r'credential = "([a-z-]+)"', text):
        (tmp_path / name).write_text(SECRET)
    variables = dict.fromkeys(re.findall(r'env = "([A-Z_]+)"', text), "s3cret")
    return {**variables, "TAX_PROXY": "http://ada:s3cret@proxy.internal:3128", "CREDENTIALS_DIRECTORY": str(tmp_path)}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("]")[0].strip("["))
async def test_the_examples_of_the_readme_load_and_open(example: str, tmp_path: Path, environ: dict[str, str]) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "bank-ca.pem"))
    leaf = authority.issue_cert("connectord@example.org")
    leaf.private_key_pem.write_to_path(str(tmp_path / "connectord.key"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "connectord.pem"))
    config = load(example.replace("/etc/connectord/", f"{tmp_path}/"), tmp_path, environ)
    assert config.systems
    for system in config.systems.values():
        settings = system.settings
        assert isinstance(settings, HttpSettings)
        assert "s3cret" not in repr(settings)
        adapter = make_adapter("http://unused.example")
        adapter = HttpAdapter(settings, adapter.context)
        await adapter.open()
        await adapter.close()


def test_the_readme_lists_every_key() -> None:
    table = README.read_text(encoding="utf-8").split("## Settings")[1].split("### Literals")[0]
    listed = {name for row in re.findall(r"^\| (.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(HttpSettings.model_fields)


@dataclass(frozen=True)
class Mistake:
    text: str
    line: int
    key: str
    says: str

    def __str__(self) -> str:
        return f"{self.key}: {self.says}"[:60]


def also(line: str, key: str, says: str) -> Mistake:
    return Mistake(URL + line, 5 + line.count("\n"), f"systems.b.http.{key}", says)


def url(value: str, says: str) -> Mistake:
    return Mistake(f"{HEAD}url = {value}\n", 4, "systems.b.http.url", says)


MISTAKES = [
    Mistake(HEAD, 3, "systems.b.http.url", "missing: the adapter needs it"),
    url("7", "must be a string"),
    url('"https://a/{action.id"', "a placeholder stands in braces"),
    url('"https://a/}"', "a placeholder stands in braces"),
    url('"https://a/{}"', "the placeholder {} is not JMESPath"),
    url('"https://a/{a b}"', "the placeholder {a b} is not JMESPath"),
    url('"https://a/{acton.id}"', "the placeholder {acton.id} begins at 'acton', but what there is here is action"),
    url('"{action.data.scheme}://a/"', 'for a whole URL write url = { expr = "..." }'),
    url('"{action.data.url}"', 'for a whole URL write url = { expr = "..." }'),
    url('"https://a/../{action.id}"', 'may not have "." or ".." in its path'),
    url('"https://ada:x@{action.data.h}/"', "must not hold a user name or a password"),
    url('"ftp://a/{action.id}"', "must begin with"),
    url('"https://bücher.example/{action.id}"', "must be plain ASCII without spaces where it has a placeholder"),
    url('"https://a/b c/{action.id}"', "must be plain ASCII without spaces"),
    url("'https://a\\b/{action.id}'", "must be plain ASCII without spaces"),
    Mistake(HEAD + 'url.expr = "a b"\n', 4, "systems.b.http.url.expr", "is not JMESPath"),
    Mistake(HEAD + 'url = { expr = "action.id", x = 1 }', 4, "systems.b.http.url.x", 'unknown key "x"'),
    also('method = "HEAD"', "method", "must be 'GET', 'POST', 'PUT', 'PATCH' or 'DELETE'"),
    also('query.a = { expr = "acton" }', "query.a.expr", "begins at 'acton'"),
    also("query = 1", "query", "must be a table"),
    also('headers.X-A = { expr = "foo(action)" }', "headers.X-A.expr", "JMESPath has no function foo()"),
    also("headers.X-A = 1", "headers.X-A", "must be a string"),
    also('headers.Webhook-Id = "1"', "headers.Webhook-Id", "it follows from webhooks.sign_with"),
    also('body.a.b = [1, { expr = "a b" }]', "body.a.b[1].expr", "is not JMESPath"),
    also('body.a = { expr = "action", more = 1 }', "body.a.more", 'unknown key "more"'),
    also("body.a = 2026-11-24", "body.a", "must be a string, a number, true, false"),
    also("body.a = nan", "body.a", "must be a string, a number"),
    also('body = 1\nbody_format = "form"', "body_format", '"form" needs a table of fields'),
    also('body = {}\nbody_format = "text"', "body_format", '"text" needs a string'),
    also('body_format = "text"', "body_format", '"text" needs a string'),
    also('body_format = "xml"', "body_format", "must be 'json', 'form' or 'text'"),
    also(
        'response.success_when = "status =="', "response.success_when", "is not CEL: mismatched input '<EOF>' (column"
    ),
    also('response.success_when = "statu == 1"', "response.success_when", "there is no 'statu' here"),
    also('response.success_when = "body.matches(1)"', "response.success_when", "there is no function matches() here"),
    also("response.success_when = true", "response.success_when", "must be a string"),
    also('response.sucess_when = "true"', "response.sucess_when", 'did you mean "success_when"?'),
    also('response.data.a = { expr = "action.id" }', "response.data.a.expr", "what there is here is status, headers"),
    also('callback.data.a = "x"', "callback", "success_when or failure_when is missing"),
    also('callback.success_when = "status == 200"', "callback.success_when", "there is no 'status' here"),
    also('poll.success_when = "true"', "poll.url", "missing"),
    also('poll = { url = "https://a/{reference.}" }', "poll.url", "is not JMESPath"),
    also("auth = {}", "auth", "takes exactly one of bearer, basic, api_key and oauth2, not none"),
    also('auth = { bearer = "a", basic = { username = "a", password = "b" } }', "auth", "not bearer and basic"),
    also('auth = { berer = "a" }', "auth.berer", 'did you mean "bearer"?'),
    also('auth.bearer = "a\\nb"', "auth.bearer", "must be printable ASCII, without line breaks"),
    also('auth.basic = { username = "a:b", password = "c" }', "auth.basic.username", "may not have a colon"),
    also('auth.basic = { username = "a" }', "auth.basic.password", "missing"),
    also('auth.api_key = { key = "a" }', "auth.api_key", "name the place of the key"),
    also('auth.api_key = { key = "a", header = "X", query = "x" }', "auth.api_key", "name the place of the key"),
    also('auth.api_key = { key = "a", header = "Host" }', "auth.api_key.header", "cannot be set here"),
    also(
        'auth.oauth2 = { token_url = "a", client_id = "a", client_secret = "b" }', "auth.oauth2.token_url", "must begin"
    ),
    also('headers.authorization = "x"\nauth.bearer = "a"', "auth", "sets the header Authorization, which stands in"),
    also('webhooks.sign_with = "x"', "webhooks.sign_with", "must be an array"),
    also('webhooks.sign_with = ["hunter2"]', "webhooks.sign_with[0]", "must be a secret of Standard Webhooks"),
    also('webhooks.tolerance = "0s"', "webhooks.tolerance", 'must be at least "1ms"'),
    also("follow_redirects = 11", "follow_redirects", "less than or equal to 10"),
    also("follow_redirects = true", "follow_redirects", "must be a whole number"),
    also('allow = ["10.0.0.1/8"]', "allow[0]", "must be a network such as"),
    also('allow = "10.0.0.0/8"', "allow", "must be an array"),
    also('ca_file = "ca.pem"', "ca_file", "must be an absolute path"),
    also('proxy = "socks5://a"', "proxy", "must be the URL of an HTTP proxy"),
    also('dialect = "soap"', "dialect", "must be 'connectord' or 'enate'"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_every_mistake_has_its_line_and_its_words(mistake: Mistake, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        load(mistake.text, tmp_path)
    [problem] = refused.value.problems
    assert problem.key == mistake.key
    assert mistake.says in problem.message
    assert problem.line == mistake.line
    assert "\n" not in problem.message
    assert "hunter2" not in problem.message


def test_secrets_may_stand_anywhere_in_a_mapping(tmp_path: Path) -> None:
    text = URL + (
        'body.deep = [{ key = { env = "KEY" } }]\n'
        'query = { key = { env = "KEY" }, env = "test" }\n'
        'headers = { X-Key = { env = "KEY" } }\n'
        'poll = { url = "https://a/", body = { env = { env = "KEY" }, more = 1 } }\n'
    )
    config = load(text, tmp_path, {"KEY": "hunter2-hunter2"})
    settings = config.systems["b"].settings
    assert isinstance(settings, HttpSettings)
    assert "hunter2" not in repr(settings)
    assert settings.body is not None
    assert settings.body.tree == {"deep": [{"key": "hunter2-hunter2"}]}
    assert settings.query["env"].tree == "test"
    adapter = HttpAdapter(settings, make_adapter("http://unused.example").context)
    assert adapter._sender.hide("a hunter2-hunter2 b test") == "a ********** b test"


def test_the_same_file_twice_is_the_same_configuration(tmp_path: Path, environ: dict[str, str]) -> None:
    for example in EXAMPLES:
        if "/etc/connectord/" not in example:
            first, second = load(example, tmp_path, environ), load(example, tmp_path, environ)
            assert diff(first, second).changed == {}


def test_a_change_of_a_mapping_is_told_in_words(tmp_path: Path) -> None:
    before = load(URL + 'body = { a = { expr = "action.id" }, key = { env = "KEY" } }\n', tmp_path, {"KEY": "hunter2"})
    after = load(URL + 'body = { a = { expr = "action.case" }, key = { env = "KEY" } }\n', tmp_path, {"KEY": "hunter3"})
    changes = {change.key: (change.old, change.new) for change in diff(before, after).changed["b"]}
    assert changes["http.body.a.expr"] == ("action.id", "action.case")
    assert "hunter" not in str(changes)
