"""Canaries in every place where a secret may be configured; none of them shows anywhere.

A real daemon goes through successes, failures, refusals, tracebacks and bad configurations, with systems and plugins
that repeat what they know. Then everything that it wrote or said is searched, in whichever spelling a canary may stand
there. To watch another place, add it to :data:`PLACES`; to look at another output, add it to ``outputs``.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trio
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from helpers.installed import SitePackages
from helpers.ports import lasting_port


def _canary(name: str) -> str:
    # a quote, a slash and a letter that JSON, Python and URLs each spell in a way of their own
    return f"cánary/{name}'Zq7x"


def _plain(name: str) -> str:
    return f"canary-{name}-Zq7x"


def _webhook(name: str) -> str:
    return "whsec_" + base64.b64encode(f"canary {name} Zq7x".ljust(32, "!").encode()).decode()


PLACES: dict[str, str] = {
    "HTTP_BEARER": _plain("bearer"),
    "HTTP_BASIC": _canary("basic"),
    "HTTP_KEY": _plain("api-key"),
    "HTTP_QUERY": _canary("query").replace("á", "a"),
    "HTTP_OAUTH": _canary("oauth2"),
    "HTTP_PARAMETER": _canary("oauth2-parameter"),
    "HTTP_HEADER": _plain("header"),
    "HTTP_PROXY_URL": f"http://user:{_plain('proxy')}@127.0.0.1:9",
    "HTTP_SIGN": _webhook("sign"),
    "HTTP_VERIFY": _webhook("verify"),
    "HTTP_KEY_PASSWORD": _canary("key-password"),
    "AMQP_PASSWORD": _canary("amqp"),
    "AMQP_HEADER": _canary("amqp-header"),
    "SFTP_PASSWORD": _canary("sftp"),
    "SFTP_KEY": "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary+sftpkey+Zq7x+AAAAAAAA\n-----END OPENSSH PRIVATE KEY-----",
    "SFTP_PASSPHRASE": _canary("passphrase"),
    "EXEC_ENV": _canary("exec"),
    "SMTP_PASSWORD": _canary("smtp"),
    "SMTP_USER": _plain("smtp-user"),
    "NOTIFY_URL": "http://127.0.0.1:9/hooks/" + _plain("notify-url"),
    "PLUGIN_TOKEN": _canary("plugin"),
    "NOTIFIER_TOKEN": _canary("notifier"),
}
"""The variables and credentials that the configurations below refer to."""

CREDENTIALS = {"HTTP_BASIC", "SFTP_KEY", "PLUGIN_TOKEN"}
"""These come from files in $CREDENTIALS_DIRECTORY."""

LEAKY = """
import pydantic
from connectord.adapters import *
from connectord.extensions import Notifier, NotifierSettings
from connectord.hookspecs import hookimpl
from connectord.errors import NotDelivered

class Settings(AdapterSettings):
    token: pydantic.SecretStr
    strict: bool = False

    @pydantic.model_validator(mode="after")
    def _checks(self):
        if self.strict:
            raise ValueError(f"the token {self.token.get_secret_value()} is wrong")
        return self

class Leaky(Adapter):
    name = "leaky"
    Settings = Settings

    def __init__(self, settings, context):
        super().__init__(settings, context)
        self.token = settings.token.get_secret_value()

    async def trigger(self, call):
        play = call.data.get("play")
        if play == "raise":
            raise RuntimeError(f"no luck with {self.token}")
        if play == "chain":
            try:
                raise KeyError(self.token)
            except KeyError as error:
                raise ExceptionGroup(f"two of {self.token}", [ValueError(self.token), error])
        if play == "refuse":
            return Rejected(f"the token {self.token} is not good")
        if play == "down":
            raise NotConnected(f"log-in with {self.token} failed")
        return Taken()

class Telling(Notifier):
    name = "telling"
    Settings = Settings

    async def deliver(self, notification):
        raise NotDelivered(f"cannot tell with {self.settings.token.get_secret_value()}")

@hookimpl
def connectord_register_adapters(register):
    register(Leaky)

@hookimpl
def connectord_register_notifiers(register):
    register(Telling)
"""


def secret(name: str) -> str:
    return f'{{ credential = "{name}" }}' if name in CREDENTIALS else f'{{ env = "{name}" }}'


def spellings(text: str) -> set[bytes]:
    """Every way in which a text may stand somewhere, whatever encoded it."""
    raw = text.encode()
    found = {raw, raw.hex().encode(), quote(text).encode(), quote(text, safe="").encode(), repr(text)[1:-1].encode()}
    found |= {json.dumps(text, ensure_ascii=way)[1:-1].encode() for way in (True, False)}
    for shift in range(3):  # within something longer that is base64
        encoded = base64.b64encode(b"\0" * shift + raw)[4:-4]
        found |= {encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))}
    if text.startswith("whsec_"):
        found |= {text.removeprefix("whsec_").encode(), base64.b64decode(text[6:])}
    if "\n" in text:
        found |= {line.encode() for line in text.splitlines() if not line.startswith("-----")}
    if "@127" in text:
        found.add(text.partition("@")[0].rpartition(":")[2].encode())
    return found


@dataclass
class Outputs:
    """What the daemon and its commands said, each with a name."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, said: Any) -> None:
        encoded = said if isinstance(said, bytes) else said.encode() if isinstance(said, str) else None
        if encoded is None:
            encoded = json.dumps(said, ensure_ascii=False).encode()
        self.texts[f"{len(self.texts)} {name}"] = encoded

    def found(self, needles: dict[str, set[bytes]]) -> list[str]:
        return [
            f"{place} in {output}"
            for output, text in self.texts.items()
            for place, ways in needles.items()
            if any(way in text for way in ways)
        ]


@asynccontextmanager
async def echoing_system() -> AsyncIterator[str]:
    """An HTTP server that says no, and repeats all that it was sent; yields its address."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def welcome(stream: trio.SocketStream) -> None:
        async with stream:
            wire = b""
            while b"\r\n\r\n" not in wire:
                chunk = await stream.receive_some(65536)
                if not chunk:
                    return
                wire += chunk
            body = json.dumps({"detail": "I do not like " + wire.decode("latin-1")}).encode()
            await stream.send_all(
                b"HTTP/1.1 422 No\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, welcome, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def systems(url: str, closed: int) -> dict[str, str]:
    """The settings of one system for each place, beside ``[systems.NAME]``; all but the last two may be called."""
    http = f'adapter = "http"\nhttp.url = "{url}/jobs"\n'
    return {
        "bearer": f"{http}http.auth = {{ bearer = {secret('HTTP_BEARER')} }}\n",
        "basic": f'{http}http.auth = {{ basic = {{ username = "u", password = {secret("HTTP_BASIC")} }} }}\n',
        "key": f'{http}http.auth = {{ api_key = {{ header = "X-Key", key = {secret("HTTP_KEY")} }} }}\n',
        "query": f'{http}http.auth = {{ api_key = {{ query = "key", key = {secret("HTTP_QUERY")} }} }}\n',
        "oauth": f'{http}http.auth = {{ oauth2 = {{ token_url = "{url}/token", client_id = "c", '
        f"client_secret = {secret('HTTP_OAUTH')}, parameters = {{ audience = {secret('HTTP_PARAMETER')} }} }} }}\n",
        "header": f"{http}http.headers = {{ X-Secret = {secret('HTTP_HEADER')} }}\n",
        "proxy": f"{http}http.proxy = {secret('HTTP_PROXY_URL')}\n",
        "hooks": f"{http}http.webhooks = {{ sign_with = [{secret('HTTP_SIGN')}], "
        f"verify_with = [{secret('HTTP_VERIFY')}] }}\n",
        "amqp": f'adapter = "amqp"\namqp = {{ host = "127.0.0.1", port = {closed}, username = "u", '
        f'password = {secret("AMQP_PASSWORD")}, routing_key = "q", headers = {{ X = {secret("AMQP_HEADER")} }} }}\n',
        "sftp": f'adapter = "sftp"\nsftp = {{ host = "127.0.0.1", port = {closed}, user = "u", '
        'response = { directory = "/out" }, '
        f'password = {secret("SFTP_PASSWORD")}, directory = "/in", insecure_accept_any_host_key = true }}\n',
        "exec": 'adapter = "exec"\nexec = { command = ["/bin/sh", "-c", "echo $SECRET >&2; exit 3"], '
        f"env = {{ SECRET = {secret('EXEC_ENV')} }} }}\n",
        "leaky": f'adapter = "leaky"\nleaky = {{ token = {secret("PLUGIN_TOKEN")} }}\n',
    }


def broken(url: str, closed: int) -> dict[str, str]:
    """Settings that are refused, each because of a secret."""
    http = f'adapter = "http"\nhttp.url = "{url}/jobs"\n'
    return {
        "key-password": f"{http}http.client_key_password = {secret('HTTP_KEY_PASSWORD')}\n"
        'http.client_certificate = "/etc/hostname"\n',
        "header": f"{http}http.headers = {{ X-Secret = {secret('SFTP_KEY')} }}\n",
        "hooks": f"{http}http.webhooks = {{ sign_with = [{secret('HTTP_BEARER')}] }}\n",
        "proxy": f"{http}http.proxy = {secret('HTTP_BASIC')}\n",
        "url": f'adapter = "http"\nhttp.url = {secret("HTTP_BASIC")}\n',
        "sftp": f'adapter = "sftp"\nsftp = {{ host = "127.0.0.1", port = {closed}, user = "u", '
        'directory = "/in", response = { directory = "/out" }, '
        f"private_key = {secret('SFTP_KEY')}, passphrase = {secret('SFTP_PASSPHRASE')}, "
        "insecure_accept_any_host_key = true }\n",
        "leaky": f'adapter = "leaky"\nleaky = {{ token = {secret("PLUGIN_TOKEN")}, strict = true }}\n',
        "number": f"{http}timeout = {secret('EXEC_ENV')}\n",
    }


NOTIFY = {
    "webhook": f'via = "webhook"\nurl = {secret("NOTIFY_URL")}\n',
    "smtp": f'via = "smtp"\nhost = "127.0.0.1"\nport = 9\nsender = "a@example.org"\nstarttls = false\n'
    f"username = {secret('SMTP_USER')}\npassword = {secret('SMTP_PASSWORD')}\n",
    "telling": f'via = "telling"\ntelling = {{ token = {secret("NOTIFIER_TOKEN")} }}\n',
}

ACTIONS = [
    *((name, {}) for name in ("bearer", "basic", "key", "query", "oauth", "header", "proxy", "hooks")),
    *((name, {}) for name in ("amqp", "sftp", "exec")),
    *(("leaky", {"play": play}) for play in ("raise", "chain", "refuse", "down", "take")),
]
"""The actions that are submitted."""


def configuration(daemon: DaemonProcess, notify: str, tables: dict[str, str]) -> str:
    text = daemon.head().replace("[daemon]", '[daemon]\nlog_level = "debug"')
    text += f'[notify]\n{notify}[retry]\nlimit = 2\ndelay = "50ms"\n'
    return text + "".join(f"[systems.{name}]\n{settings}" for name, settings in tables.items())


def command(daemon: DaemonProcess, environ: dict[str, str], *arguments: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "connectord.cli.daemon", *arguments, "--config", str(daemon.config_file)],
        env=environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


async def ask(outputs: Outputs, daemon: DaemonProcess, method: str, **params: Any) -> Any:
    try:
        answer = await daemon.call(method, **params)
    except RequestFailed as error:
        outputs.add(f"{method} {params}: refusal", f"{error} {error.data}")
        return None
    outputs.add(f"{method} {params}", answer)
    return answer


async def test_no_canary_shows_anywhere(tmp_path: Path) -> None:
    packages = SitePackages(tmp_path / "site")
    packages.install("leaky", LEAKY)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in CREDENTIALS:
        (credentials / name).write_text(PLACES[name])
    variables = {name: value for name, value in PLACES.items() if name not in CREDENTIALS}
    environ = {**packages.environ, "CREDENTIALS_DIRECTORY": str(credentials), **variables}
    outputs = Outputs()
    closed = lasting_port()
    daemon = DaemonProcess(tmp_path, environ)
    async with echoing_system() as url:
        tables = systems(url, closed)
        daemon.configure(configuration(daemon, NOTIFY["webhook"], tables))
        await daemon.start()
        try:
            ids = []
            for system, data in ACTIONS:
                action = await ask(outputs, daemon, "submit", system=system, data=data, owner="olga@example.org")
                ids.append(action["id"])
            with trio.fail_after(60):
                while {(await daemon.call("show", id=one))["state"] for one in ids} & {"pending", "attempting"}:
                    await trio.sleep(0.1)
            taken = await daemon.call("show", id=ids[-1])
            assert taken["state"] == "waiting"
            status = await daemon.call("status")
            async with httpx.AsyncClient(trust_env=False) as client:
                for token in ("A" * 48, PLACES["HTTP_BEARER"]):
                    answer = await client.post(f"{status['callbacks']}/callback/{token}", content=b"{}")
                    outputs.add("callback's answer", answer.text)
            for other in ("smtp", "telling"):
                daemon.configure(configuration(daemon, NOTIFY[other], {**tables, "new": tables["bearer"]}))
                await ask(outputs, daemon, "reload", plan=True)
                await ask(outputs, daemon, "reload")
                await ask(outputs, daemon, "notifications_retry")
                await trio.sleep(0.5)
                await ask(outputs, daemon, "notifications", all=True)
            wrong = {f"broken-{name}": settings for name, settings in broken(url, closed).items()}
            daemon.configure(configuration(daemon, NOTIFY["webhook"], {**tables, **wrong}))
            assert await ask(outputs, daemon, "reload") is None
            said = await trio.to_thread.run_sync(command, daemon, environ, "check")
            outputs.add("check", said)
            assert all(name.encode() in said for name in wrong), said
            daemon.configure(configuration(daemon, NOTIFY["telling"], tables))
            for one in ids:
                for method in ("show", "why", "history", "attempts"):
                    await ask(outputs, daemon, method, id=one)
            for method in ("list", "status", "systems", "config_history", "config_show", "queues", "reload_effects"):
                await ask(outputs, daemon, method)
            await ask(outputs, daemon, "config_diff", a=1, b=3)
            for exported in (ids[0], ids[-4]):
                said = await trio.to_thread.run_sync(command, daemon, environ, "export-attempt", exported)
                outputs.add("export-attempt", said)
            outputs.add("command line", Path(f"/proc/{daemon.pid}/cmdline").read_bytes())
            for file in (tmp_path / "state").glob("connectord.db*"):  # the WAL is among them
                outputs.add(f"running: {file.name}", file.read_bytes())
            await daemon.stop()
        finally:
            daemon.kill()
    for file in (tmp_path / "state").glob("connectord.db*"):
        outputs.add(f"stopped: {file.name}", file.read_bytes())
    outputs.add("the log", daemon.log())
    needles = {place: spellings(text) for place, text in PLACES.items()}
    needles["callback.key"] = {(tmp_path / "state" / "callback.key").read_bytes()}
    assert outputs.found(needles) == []
    # the search itself finds what is there
    assert b"log-in with ****" in outputs.texts[next(name for name in outputs.texts if name.endswith("the log"))]
    outputs.add("a planted one", PLACES["HTTP_BASIC"])
    assert len(outputs.found(needles)) == 1


@pytest.mark.parametrize("place", [place for place in PLACES if place != "HTTP_QUERY"])
def test_every_spelling_is_searched_for(place: str) -> None:
    text = PLACES[place]
    for shown in (
        text,
        json.dumps({"a": text}),
        repr([text]),
        quote(text),
        base64.b64encode(f"u:{text}".encode()).decode(),
    ):
        assert any(way in shown.encode() for way in spellings(text)), shown
