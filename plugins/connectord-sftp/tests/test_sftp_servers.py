"""Servers that can do less than OpenSSH's, and that fail in ways which it cannot be made to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from connectord.adapters import NotConnected, Outcome, Rejected, Taken
from connectord_sftp.adapter import SftpAdapter
from connectord_sftp.keys import read_private_key
from helpers.calls import make_call
from helpers.sftp_server import Play, serve_sftp
from helpers.sshd import Sshd
from paramiko.sftp import SFTP_BAD_MESSAGE, SFTP_FAILURE

OpenAdapter = Callable[..., Awaitable[SftpAdapter]]


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
async def adapter(stopped_sshd: Sshd, open_adapter: OpenAdapter, play: Play) -> AsyncIterator[SftpAdapter]:
    host_key = read_private_key(stopped_sshd.host_keys[0].read_text(), None)
    with serve_sftp(play, host_key) as port:
        changes: dict[str, Any] = {"known_hosts": None, "host_key": [host_key.fingerprint], "private_key": None}
        adapter = await open_adapter(port=port, password=play.password, **changes)
        yield adapter
        await adapter.close()


def files(sshd: Sshd) -> list[str]:
    return sorted(each.name for each in (sshd.drop / "in").iterdir())


async def test_a_server_without_extensions_will_do(stopped_sshd: Sshd, adapter: SftpAdapter, play: Play) -> None:
    for number in range(2):
        outcome: Outcome = await adapter.trigger(make_call(action_id=f"A-{number}"))
        assert outcome == Taken(str(stopped_sshd.drop / "in" / f"A-{number}.json"))
    assert files(stopped_sshd) == ["A-0.json", "A-1.json"]
    # what the server cannot do is asked for once
    assert play.seen.count("posix-rename") == 1


async def test_rule_12_a_full_disk_is_told_and_leaves_nothing(
    stopped_sshd: Sshd, adapter: SftpAdapter, play: Play
) -> None:
    play.statuses["write"] = SFTP_FAILURE
    with pytest.raises(NotConnected, match="it may be out of space, or over a quota") as caught:
        await adapter.trigger(make_call())
    assert not caught.value.outcome_unknown
    assert files(stopped_sshd) == []
    play.statuses.clear()
    assert isinstance(await adapter.trigger(make_call(attempt=2)), Taken)


async def test_rule_12_a_file_that_came_out_short_is_never_renamed(
    stopped_sshd: Sshd, adapter: SftpAdapter, play: Play
) -> None:
    play.loses_bytes = True
    with pytest.raises(NotConnected, match=r"\.part has \d+ bytes after \d+ were written") as caught:
        await adapter.trigger(make_call())
    assert not caught.value.outcome_unknown
    assert files(stopped_sshd) == []
    assert "rename" not in play.seen


async def test_a_name_that_the_server_refuses_is_a_rejection(
    stopped_sshd: Sshd, adapter: SftpAdapter, play: Play
) -> None:
    play.statuses["open"] = SFTP_BAD_MESSAGE
    done = await adapter.trigger(make_call())
    assert done == Rejected(f"{stopped_sshd.drop}/in/.A-1.json.1.part: the name is refused")


async def test_rule_14_a_connection_lost_after_the_rename_leaves_the_outcome_unknown(
    stopped_sshd: Sshd, adapter: SftpAdapter, play: Play
) -> None:
    play.posix_rename = play.hangs_up_after_rename = True
    with pytest.raises(NotConnected, match="connection lost") as caught:
        await adapter.trigger(make_call())
    assert caught.value.outcome_unknown
    assert await adapter.probe(make_call()) == Taken(str(stopped_sshd.drop / "in" / "A-1.json"))
