"""Who the server is, and who we are: host keys, keys and passwords."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable

import paramiko
import pytest
import trio
from connectord.adapters import NotConnected
from connectord_sftp.adapter import SftpAdapter
from connectord_sftp.keys import KeyUnusable, read_private_key
from helpers.programs import require_program
from helpers.sftp_server import Play, serve_sftp
from helpers.sshd import Sshd

OpenAdapter = Callable[..., Awaitable[SftpAdapter]]


async def refusal(adapter: SftpAdapter) -> str:
    with trio.fail_after(30), pytest.raises(NotConnected) as caught:
        await adapter.healthcheck()
    return str(caught.value)


@pytest.mark.parametrize("known", [0, 1], ids=["ed25519", "ecdsa"])
async def test_any_kind_of_key_that_is_known_will_do(sshd: Sshd, open_adapter: OpenAdapter, known: int) -> None:
    sshd.trust(sshd.host_keys[known])
    await (await open_adapter()).healthcheck()


async def test_an_rsa_key_will_do(stopped_sshd: Sshd, open_adapter: OpenAdapter) -> None:
    key = stopped_sshd.make_key("host_rsa", "rsa")
    stopped_sshd.host_keys.append(key)
    stopped_sshd.trust(key)
    stopped_sshd.start()
    await (await open_adapter()).healthcheck()


async def test_a_hashed_known_hosts_file_will_do(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    subprocess.run(  # noqa: ASYNC221
        [require_program("ssh-keygen"), "-q", "-H", "-f", str(sshd.known_hosts)], check=True, capture_output=True
    )
    assert sshd.known_hosts.read_text().startswith("|1|")
    await (await open_adapter()).healthcheck()


async def test_another_host_key_is_refused_and_shown(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    sshd.trust(sshd.make_key("other"))
    words = await refusal(await open_adapter())
    assert "the host key of [127.0.0.1]:" in words
    assert f"it shows ssh-ed25519 {sshd.fingerprint(sshd.host_keys[0])}" in words
    # while a key is being changed, both are known
    sshd.trust(sshd.make_key("older"), sshd.host_keys[0])
    await (await open_adapter()).healthcheck()


async def test_a_known_hosts_file_without_the_server_is_refused(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    public = sshd.host_keys[0].with_suffix(".pub").read_text()
    sshd.known_hosts.write_text(f"# nothing\n\nother.example {public}rubbish\n")
    assert f"has no key of [127.0.0.1]:{sshd.port}" in await refusal(await open_adapter())
    sshd.known_hosts.write_text(f"@revoked * {public}")
    assert "not supported" in await refusal(await open_adapter())
    sshd.known_hosts.unlink()
    assert "known_hosts cannot be read: [Errno 2]" in await refusal(await open_adapter())


async def test_a_pinned_fingerprint_will_do_and_another_is_refused(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    ours, other = sshd.fingerprint(sshd.host_keys[0]), sshd.fingerprint(sshd.make_key("other"))
    await (await open_adapter(known_hosts=None, host_key=[other, ours])).healthcheck()
    assert ours in await refusal(await open_adapter(known_hosts=None, host_key=[other]))


async def test_anybody_is_trusted_only_if_so_configured(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    await (await open_adapter(known_hosts=None, insecure_accept_any_host_key=True)).healthcheck()


async def test_rule_12_a_key_that_is_not_accepted_is_told_and_may_be_accepted_later(
    sshd: Sshd, open_adapter: OpenAdapter
) -> None:
    accepted = sshd.authorized_keys.read_text()
    sshd.authorized_keys.write_text("")
    adapter = await open_adapter()
    assert "login refused" in await refusal(adapter)
    sshd.authorized_keys.write_text(accepted)
    await adapter.healthcheck()


async def test_an_encrypted_key_needs_its_passphrase(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    key = sshd.make_key("encrypted", passphrase="open sesame")
    sshd.authorized_keys.write_text(key.with_suffix(".pub").read_text())
    await (await open_adapter(private_key=key.read_text(), passphrase="open sesame")).healthcheck()
    with pytest.raises(KeyUnusable, match="set passphrase"):
        read_private_key(key.read_text(), None)
    with pytest.raises(KeyUnusable, match="passphrase is another one"):
        read_private_key(key.read_text(), "wrong")


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
async def test_other_kinds_of_keys_log_in(sshd: Sshd, open_adapter: OpenAdapter, kind: str) -> None:
    key = sshd.make_key(kind, kind)
    sshd.authorized_keys.write_text(key.with_suffix(".pub").read_text())
    await (await open_adapter(private_key=key.read_text())).healthcheck()


@pytest.fixture
def host_key(stopped_sshd: Sshd) -> paramiko.PKey:
    return read_private_key(stopped_sshd.host_keys[0].read_text(), None)


async def test_a_password_logs_in(stopped_sshd: Sshd, open_adapter: OpenAdapter, host_key: paramiko.PKey) -> None:
    with serve_sftp(Play(password="right"), host_key) as port:
        trusted = {"port": port, "known_hosts": None, "host_key": [host_key.fingerprint]}
        alone = {"private_key": None, **trusted}
        await (await open_adapter(**alone, password="right")).healthcheck()
        assert "login refused" in await refusal(await open_adapter(**alone, password="wrong"))
        # the key is not accepted here, and then the password is
        await (await open_adapter(**trusted, password="right")).healthcheck()


async def test_a_server_may_want_both(stopped_sshd: Sshd, open_adapter: OpenAdapter, host_key: paramiko.PKey) -> None:
    ours = read_private_key(stopped_sshd.client_key.read_text(), None)
    with serve_sftp(Play(password="right", key=ours, wants_both=True), host_key) as port:
        trusted = {"port": port, "known_hosts": None, "host_key": [host_key.fingerprint]}
        await (await open_adapter(**trusted, password="right")).healthcheck()
        assert "wants more than the key" in await refusal(await open_adapter(**trusted))
