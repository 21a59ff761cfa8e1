"""Response files on a real OpenSSH server: taken when they are whole, put away when they are on disk."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.adapters import Delivery, NotConnected, NotFound, Progress, Rejected, Response, Succeeded
from connectord_sftp.adapter import SftpAdapter
from connectord_sftp.answers import StatusError
from connectord_sftp.failures import status_words
from connectord_sftp.session import Session
from helpers.calls import make_call
from helpers.sshd import Sshd
from paramiko.sftp import SFTP_PERMISSION_DENIED

OpenAdapter = Callable[..., Awaitable[SftpAdapter]]
ID, B, C, D = ("01JDE3Q1M5V9F6X2K8T7R4N0A" + letter for letter in "ABCD")
NAME = f"{ID}.response.json"
SUCCESS = {"status": "success", "data": {"n": 1}}


def out(sshd: Sshd) -> Path:
    return sshd.drop / "out"


def respond(sshd: Sshd, document: object, name: str = NAME) -> Path:
    """Put a response there as a careful system does: under another name, then renamed."""
    path = out(sshd) / name
    temporary = path.with_name(f".{name}")
    temporary.write_text(document if isinstance(document, str) else json.dumps(document))
    return temporary.rename(path)


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


@pytest.fixture
def answering(sshd: Sshd, open_adapter: OpenAdapter) -> OpenAdapter:
    """Opens an adapter with changes to its ``response`` table."""

    async def open_one(**changes: Any) -> SftpAdapter:
        return await open_adapter(response={"directory": str(out(sshd)), "complete": "renamed", **changes})

    return open_one


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (SUCCESS, Succeeded({"n": 1})),
        ({"status": "failure", "reason": "no vendor", "data": {"n": 1}}, Rejected("no vendor", {"n": 1})),
        ("\ufeff" + json.dumps(SUCCESS), Succeeded({"n": 1})),
    ],
)
async def test_a_response_file_says_what_a_callback_says(
    sshd: Sshd, answering: OpenAdapter, document: object, expected: Response
) -> None:
    adapter = await answering()
    assert await adapter.poll(make_call(action_id=ID)) is None
    respond(sshd, document)
    assert await adapter.poll(make_call(action_id=ID)) == expected
    assert names(out(sshd)) == [NAME]


async def test_without_response_files_there_is_nothing_to_read(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(response="none")
    assert await adapter.poll(make_call(action_id=ID)) is None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", ".response.json is no response file"),
        ('{"status": "succ', ".response.json is no response file"),
        ({"status": "won"}, ".response.json is no response file"),
        ({"status": "success", "data": {"text": "x" * 3000}}, "bytes, and 2000 are the most"),
    ],
)
async def test_what_is_no_response_is_a_rejection_with_words(
    sshd: Sshd, answering: OpenAdapter, document: object, words: str
) -> None:
    adapter = await answering(max_bytes=2000)
    respond(sshd, document)
    answer = await adapter.poll(make_call(action_id=ID))
    assert isinstance(answer, Rejected)
    assert words in answer.reason


async def test_a_file_that_still_grows_is_not_taken(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(complete="stable", stable_for="200ms")
    whole = json.dumps(SUCCESS)
    path = out(sshd) / NAME
    for end in (5, 9, len(whole)):
        path.write_text(whole[:end])
        assert await adapter.poll(make_call(action_id=ID)) is None
    await trio.sleep(0.25)
    assert await adapter.poll(make_call(action_id=ID)) == Succeeded({"n": 1})


async def test_a_file_that_stopped_growing_too_early_is_waited_for(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(complete="stable", stable_for="100ms")
    respond(sshd, '{"status": "succ')
    assert await adapter.poll(make_call(action_id=ID)) is None
    await trio.sleep(0.15)
    with pytest.raises(NotConnected, match="is no response file"):
        await adapter.poll(make_call(action_id=ID))
    respond(sshd, SUCCESS)
    assert await adapter.poll(make_call(action_id=ID)) is None
    await trio.sleep(0.15)
    assert await adapter.poll(make_call(action_id=ID)) == Succeeded({"n": 1})


async def test_a_marker_tells_that_a_file_is_whole(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(complete="marker", after="delete", sweep="100ms")
    respond(sshd, SUCCESS)
    assert await adapter.poll(make_call(action_id=ID)) is None
    delivered = Delivered()
    await delivered.sweep_once(adapter)
    assert delivered.all == []
    (out(sshd) / f"{NAME}.done").touch()
    assert await adapter.poll(make_call(action_id=ID)) == Succeeded({"n": 1})
    await delivered.sweep_once(adapter)
    assert delivered.all == [(ID, Succeeded({"n": 1}))]
    assert names(out(sshd)) == []


async def test_rule_21_a_heartbeat_is_told_once(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="delete")
    respond(sshd, {"status": "progress", "percent": 40})
    assert await adapter.poll(make_call(action_id=ID)) == Progress(percent=40)
    assert await adapter.poll(make_call(action_id=ID)) is None
    delivered = Delivered()
    await delivered.sweep_once(adapter)
    assert delivered.all == []
    respond(sshd, {"status": "progress", "percent": 60.5})
    assert await adapter.poll(make_call(action_id=ID)) == Progress(percent=60.5)
    respond(sshd, SUCCESS)
    assert await adapter.poll(make_call(action_id=ID)) == Succeeded({"n": 1})
    await delivered.sweep_once(adapter)
    assert delivered.all == [(ID, Succeeded({"n": 1}))]


class Delivered:
    """Takes what an adapter delivers, as the daemon does."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Response]] = []
        self.unknown: set[str] = set()
        self.before_commit: Callable[[], None] = lambda: None

    async def __call__(self, action_id: str, response: Response) -> Delivery:
        await trio.lowlevel.checkpoint()
        self.before_commit()
        if action_id in self.unknown:
            raise NotFound(action_id)
        self.all.append((action_id, response))
        return Delivery.TAKEN

    async def sweep_once(self, adapter: SftpAdapter) -> None:
        assert adapter._inbox is not None
        with trio.fail_after(20):
            await adapter._inbox.sweep(self)


@pytest.mark.parametrize("after", ["archive", "delete"])
async def test_a_file_is_put_away_once_its_response_is_on_disk(sshd: Sshd, answering: OpenAdapter, after: str) -> None:
    extra = {"archive": str(sshd.drop / "archive")} if after == "archive" else {}
    adapter = await answering(after=after, **extra)
    respond(sshd, SUCCESS)
    delivered = Delivered()
    delivered.before_commit = lambda: check_still_there(sshd)
    await delivered.sweep_once(adapter)
    assert delivered.all == [(ID, Succeeded({"n": 1}))]
    assert names(out(sshd)) == []
    assert names(sshd.drop / "archive") == ([NAME] if after == "archive" else [])


def check_still_there(sshd: Sshd) -> None:
    assert names(out(sshd)) == [NAME]


async def test_rule_15_what_was_delivered_before_a_crash_is_delivered_again(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="delete")
    respond(sshd, SUCCESS)
    delivered = Delivered()
    with trio.CancelScope() as scope:
        delivered.before_commit = scope.cancel
        await delivered.sweep_once(adapter)
    assert scope.cancelled_caught
    assert len(delivered.all) == 1
    assert names(out(sshd)) == [NAME]
    delivered.before_commit = lambda: None
    await delivered.sweep_once(adapter)
    assert delivered.all == [(ID, Succeeded({"n": 1}))] * 2
    assert names(out(sshd)) == []


async def test_another_answer_that_comes_meanwhile_is_not_put_away_unread(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="archive", archive=str(sshd.drop / "archive"))
    respond(sshd, SUCCESS)
    other = {"status": "failure", "reason": "no vendor after all"}
    delivered = Delivered()
    delivered.before_commit = lambda: ignore(respond(sshd, other))
    await delivered.sweep_once(adapter)
    assert names(out(sshd)) == [NAME]
    delivered.before_commit = lambda: None
    await delivered.sweep_once(adapter)
    assert delivered.all == [(ID, Succeeded({"n": 1})), (ID, Rejected("no vendor after all"))]
    assert names(out(sshd)) == []


def ignore(value: object) -> None:
    """Nothing comes of ``value``."""


async def test_the_archive_keeps_every_answer(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="archive", archive=str(sshd.drop / "archive"))
    delivered = Delivered()
    for number in range(3):
        respond(sshd, {"status": "success", "data": {"n": number}})
        await delivered.sweep_once(adapter)
    assert names(sshd.drop / "archive") == [NAME, f"{NAME}.1", f"{NAME}.2"]


async def test_an_archive_that_is_missing_is_told_and_loses_nothing(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="archive", archive=str(sshd.drop / "none"))
    respond(sshd, SUCCESS)
    with pytest.raises(StatusError) as caught:
        await Delivered().sweep_once(adapter)
    assert status_words(caught.value) == f"{sshd.drop}/none/{NAME}: no such file or directory"
    with pytest.raises(NotConnected, match=r"none/\w+\.response\.json: no such file"):
        await adapter.listen(Delivered())
    assert names(out(sshd)) == [NAME]


async def test_what_is_not_ours_or_no_response_is_left_alone(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="delete")
    (out(sshd) / f"{D[:-1]}E.response.json").mkdir()
    for name in (f"{B}.response.json", "notes.txt", f".{ID}.response.json", "A 1.response.json", f"{C}.response.json"):
        respond(sshd, SUCCESS, name)
    respond(sshd, "{half", f"{D}.response.json")
    delivered = Delivered()
    delivered.unknown = {B, "directory"}
    before = names(out(sshd))
    await delivered.sweep_once(adapter)
    assert delivered.all == [(C, Succeeded({"n": 1}))]
    assert names(out(sshd)) == [name for name in before if name != f"{C}.response.json"]
    # and is not read again and again
    asked: list[str] = []
    delivered.before_commit = lambda: asked.append("again")
    await delivered.sweep_once(adapter)
    assert asked == []


async def test_one_file_that_cannot_be_read_holds_up_no_other(
    sshd: Sshd, answering: OpenAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = await answering(after="delete")
    for name in (ID, B, C):
        respond(sshd, SUCCESS, f"{name}.response.json")
    first = next(out(sshd).iterdir()).name
    read = Session.read

    def read_most(session: Session, path: str, most: int) -> object:
        if path.endswith(first):
            raise StatusError(SFTP_PERMISSION_DENIED, "Permission denied")
        return read(session, path, most)

    monkeypatch.setattr(Session, "read", read_most)
    delivered = Delivered()
    with pytest.raises(NotConnected, match="permission denied"):
        await adapter.listen(delivered)
    assert len(delivered.all) == 2
    assert names(out(sshd)) == [first]


async def test_with_markers_too_what_is_not_ours_is_read_once(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(complete="marker", after="delete")
    respond(sshd, SUCCESS)
    (out(sshd) / f"{NAME}.done").touch()
    delivered = Delivered()
    delivered.unknown = {ID}
    asked: list[str] = []
    delivered.before_commit = lambda: asked.append("once")
    await delivered.sweep_once(adapter)
    await delivered.sweep_once(adapter)
    assert asked == ["once"]


async def test_listening_goes_on_and_tells_when_the_server_is_gone(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="delete", sweep="50ms")
    delivered = Delivered()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adapter.listen, delivered)
        for name in (ID, B, C):
            respond(sshd, SUCCESS, f"{name}.response.json")
            with trio.fail_after(10):
                while names(out(sshd)):
                    await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert [each for each, _ in delivered.all] == [ID, B, C]
    sshd.stop()
    with trio.fail_after(10), pytest.raises(NotConnected):
        await adapter.listen(delivered)


async def test_where_files_are_kept_there_is_nothing_to_listen_for(sshd: Sshd, answering: OpenAdapter) -> None:
    adapter = await answering(after="keep", sweep="20ms")
    respond(sshd, SUCCESS)
    delivered = Delivered()
    with trio.move_on_after(0.2) as scope:
        await adapter.listen(delivered)
    assert scope.cancelled_caught
    assert delivered.all == []
    assert names(out(sshd)) == [NAME]
