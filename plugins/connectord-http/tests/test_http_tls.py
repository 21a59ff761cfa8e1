"""TLS of one system's own: its roots and client certificates, with real certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pydantic
import pytest
import trustme
from connectord.adapters import NotConnected, Taken
from connectord_http.settings import HttpSettings
from cryptography.hazmat.primitives import serialization
from helpers.calls import make_call
from helpers.http_adapter import adapter_for, always
from helpers.http_server import Response, serve


class Authority:
    """A certificate authority with its files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.authority = trustme.CA()
        self.roots = str(directory / "ca.pem")
        self.authority.cert_pem.write_to_path(self.roots)
        leaf = self.authority.issue_cert("connectord@example.org")
        self.certificate, self.key, self.both = (str(directory / name) for name in ("c.pem", "k.pem", "both.pem"))
        leaf.private_key_pem.write_to_path(self.key)
        leaf.private_key_and_cert_chain_pem.write_to_path(self.both)
        Path(self.certificate).write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        self.sealed = str(directory / "sealed.pem")
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        Path(self.sealed).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"hunter2"),
            )
        )

    def server(self, *, clients_of: Authority | None = None) -> ssl.SSLContext:
        """A server for 127.0.0.1 that wants a certificate if ``clients_of`` is given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        if clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            clients_of.authority.configure_trust(context)
        return context


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "theirs")


async def attempt(server: ssl.SSLContext, **settings: Any) -> str:
    """``taken``, or why not."""
    async with serve(always(Response(status=202)), tls=server) as url, adapter_for(url, **settings) as adapter:
        try:
            assert await adapter.trigger(make_call()) == Taken()
        except NotConnected as error:
            return str(error)
    return "taken"


async def test_roots_of_its_own(ours: Authority, theirs: Authority) -> None:
    server = theirs.server()
    assert await attempt(server, ca_file=theirs.roots) == "taken"
    assert "certificate verify failed" in await attempt(server, ca_file=ours.roots)
    assert "certificate verify failed" in await attempt(server)
    assert await attempt(server, verify_tls=False) == "taken"
    assert await attempt(server, verify_tls=False, ca_file=ours.roots) == "taken"


async def test_a_client_certificate(ours: Authority, theirs: Authority) -> None:
    server = theirs.server(clients_of=ours)
    shown = {"client_certificate": ours.certificate, "client_key": ours.key}
    assert await attempt(server, ca_file=theirs.roots, **shown) == "taken"
    assert await attempt(server, ca_file=theirs.roots, client_certificate=ours.both) == "taken"
    assert await attempt(server, verify_tls=False, **shown) == "taken"
    assert await attempt(server, ca_file=theirs.roots) != "taken"
    another = {"client_certificate": theirs.certificate, "client_key": theirs.key}
    assert await attempt(server, ca_file=theirs.roots, **another) != "taken"
    # the machine's own roots do not know this server
    assert "certificate verify failed" in await attempt(server, **shown)


async def test_a_key_under_a_password(ours: Authority, theirs: Authority) -> None:
    shown = {"client_certificate": ours.certificate, "client_key": ours.sealed, "client_key_password": "hunter2"}
    assert await attempt(theirs.server(clients_of=ours), ca_file=theirs.roots, **shown) == "taken"


def refusal(**values: Any) -> dict[str, str]:
    with pytest.raises(pydantic.ValidationError) as caught:
        HttpSettings.model_validate({"url": "https://billing.internal", **values})
    return {str(error["loc"][0]): error["msg"].removeprefix("Value error, ") for error in caught.value.errors()}


def test_files_that_are_of_no_use(ours: Authority, theirs: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    assert refusal(ca_file="ca.pem") == {"ca_file": 'must be an absolute path, such as "/etc/connectord/billing.pem"'}
    assert refusal(ca_file=7)["ca_file"].startswith("must be an absolute path")
    assert refusal(ca_file="/nowhere.pem") == {"ca_file": "/nowhere.pem cannot be read: No such file or directory"}
    assert refusal(ca_file=str(tmp_path)) == {"ca_file": f"{tmp_path} cannot be read: Is a directory"}
    assert refusal(ca_file=str(empty))["ca_file"].startswith(f"{empty} holds no certificates in PEM")
    assert refusal(ca_file=ours.key)["ca_file"].startswith(f"{ours.key} holds no certificates in PEM")
    assert refusal(client_key=ours.key) == {"client_key": "is of no use without client_certificate"}
    assert "client_key" in refusal(client_certificate=ours.certificate)
    mismatch = refusal(client_certificate=ours.certificate, client_key=theirs.key)["client_key"]
    assert mismatch.endswith("are no certificate and its key in PEM: key values mismatch")
    for password in ({}, {"client_key_password": "wrong"}):
        told = refusal(client_certificate=ours.certificate, client_key=ours.sealed, **password)
        assert "are no certificate and its key in PEM" in told["client_key"]
        assert "wrong" not in told["client_key"]


def test_a_renewed_file_is_another_setting(ours: Authority, theirs: Authority) -> None:
    values = {"url": "https://billing.internal", "ca_file": ours.roots}
    before, same = HttpSettings.model_validate(values), HttpSettings.model_validate(values)
    Path(ours.roots).write_bytes(Path(theirs.roots).read_bytes())
    after = HttpSettings.model_validate(values)
    assert before == same != after
    assert before.model_dump()["ca_file"] != after.model_dump()["ca_file"]
    assert after.model_dump()["ca_file"].startswith(f"{ours.roots} (sha256 ")


async def test_a_file_that_is_gone_when_the_adapter_opens(ours: Authority) -> None:
    async with adapter_for("https://billing.internal", ca_file=ours.roots) as adapter:
        await adapter.close()
        Path(ours.roots).unlink()
        with pytest.raises(ValueError, match="holds no certificates in PEM: No such file"):
            await adapter.open()
