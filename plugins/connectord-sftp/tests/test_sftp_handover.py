"""Files are handed over to a real OpenSSH server: whole, once, under one name."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import paramiko
import pytest
import trio
import trio.lowlevel
from connectord.adapters import NotConnected, NotThere, Rejected, Taken, Unclear, call_document
from connectord_sftp.adapter import SftpAdapter
from helpers.calls import make_call
from helpers.cancellation import cancel_after_steps
from helpers.sshd import Sshd

OpenAdapter = Callable[..., Awaitable[SftpAdapter]]


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


async def failure(adapter: SftpAdapter, attempt: int = 1) -> NotConnected:
    with trio.fail_after(30), pytest.raises(NotConnected) as caught:
        await adapter.trigger(make_call(attempt=attempt))
    return caught.value


async def test_the_file_holds_the_action(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    path = sshd.drop / "in" / "A-1.json"
    assert await adapter.trigger(make_call()) == Taken(str(path))
    assert json.loads(path.read_bytes()) == call_document(make_call())
    assert names(sshd.drop / "in") == ["A-1.json"]


async def test_name_content_and_mode_are_as_configured(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(
        name="{system}_{case}_{id}.csv",
        mode="0640",
        content={"expr": "action.data.rows", "format": "csv", "columns": ["iban", "amount"], "delimiter": ";"},
    )
    call = make_call(case_id="../C 1/2", data={"rows": [{"iban": "DE1", "amount": 1.5, "more": 1}]})
    path = sshd.drop / "in" / "billing_%2E.%2FC%201%2F2_A-1.csv"
    assert await adapter.trigger(call) == Taken(str(path))
    assert path.read_bytes() == b"iban;amount\r\nDE1;1.5\r\n"
    assert path.stat().st_mode & 0o777 == 0o640


async def test_rule_14_another_attempt_finds_the_finished_file(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    path = sshd.drop / "in" / "A-1.json"
    await adapter.trigger(make_call())
    before = path.stat()
    assert await adapter.trigger(make_call(attempt=2)) == Taken(str(path))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert names(sshd.drop / "in") == ["A-1.json"]


@pytest.mark.parametrize("trace", ["taken/A-1.json", "out/A-1.response.json", "archive/A-1.response.json"])
async def test_rule_14_what_the_system_has_taken_is_not_written_again(
    sshd: Sshd, open_adapter: OpenAdapter, trace: str
) -> None:
    out, archive = str(sshd.drop / "out"), str(sshd.drop / "archive")
    adapter = await open_adapter(
        taken_directories=[str(sshd.drop / "taken")],
        response={"directory": out, "after": "archive", "archive": archive},
    )
    (sshd.drop / trace).write_text("{}")
    expected = Taken(str(sshd.drop / "in" / "A-1.json"))
    assert await adapter.probe(make_call()) == expected
    assert await adapter.trigger(make_call(attempt=2)) == expected
    assert names(sshd.drop / "in") == []


async def test_what_earlier_attempts_left_unfinished_is_removed(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    for attempt in (1, 2, 3):
        (sshd.drop / "in" / f".A-1.json.{attempt}.part").write_text("{half")
    await adapter.trigger(make_call(attempt=3))
    assert names(sshd.drop / "in") == ["A-1.json"]
    assert json.loads((sshd.drop / "in" / "A-1.json").read_bytes())["action"]["attempt"] == 3


async def test_a_reader_never_sees_half_a_file(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    ended = threading.Event()
    seen: set[str] = set()
    broken: list[str] = []

    def read_all() -> None:
        while not ended.is_set():
            for path in (sshd.drop / "in").glob("[!.]*"):
                try:
                    json.loads(path.read_bytes())
                except ValueError:
                    broken.append(path.name)
                seen.add(path.name)

    reader = threading.Thread(target=read_all)
    reader.start()
    try:
        async with trio.open_nursery() as nursery:
            for number in range(40):
                call = make_call(action_id=f"B-{number}", data={"text": "x" * 300_000})
                nursery.start_soon(adapter.trigger, call)
    finally:
        ended.set()
        reader.join()
    assert broken == []
    assert seen
    assert len(names(sshd.drop / "in")) == 40


async def test_connections_are_shared_and_bounded(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(connections=3)
    most = 0

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(adapter.trigger, make_call(action_id=f"B-{number}"))
        while len(names(sshd.drop / "in")) < 30:
            most = max(most, sshd.sessions())
            await trio.sleep(0.01)
    assert 1 <= most <= 3
    narrow = await open_adapter(concurrency=1)
    await adapter.close()
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(narrow.trigger, make_call(action_id=f"C-{number}"))
    assert transports() == 1


async def test_no_thread_outlives_close(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    await adapter.trigger(make_call())
    assert transports() == 1
    await adapter.close()
    assert transports() == 0


def transports() -> int:
    return sum(isinstance(thread, paramiko.Transport) for thread in threading.enumerate())


async def test_rule_12_a_server_that_is_away_is_told_and_found_again(
    stopped_sshd: Sshd, open_adapter: OpenAdapter
) -> None:
    adapter = await open_adapter()
    error = await failure(adapter)
    assert "connection refused" in str(error)
    assert not error.outcome_unknown
    stopped_sshd.start()
    await adapter.healthcheck()
    stopped_sshd.end_sessions()
    with trio.fail_after(10):
        while transports():
            await trio.sleep(0.01)
    assert isinstance(await adapter.trigger(make_call(attempt=2)), Taken)


async def test_rule_12_a_server_that_stands_still_costs_its_timeout(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(timeout="500ms")
    await adapter.healthcheck()
    sshd.freeze()
    assert str(await failure(adapter)) == "no answer within 0.5 s"
    sshd.thaw()
    assert transports() == 0
    assert isinstance(await adapter.trigger(make_call(attempt=2)), Taken)
    assert names(sshd.drop / "in") == ["A-1.json"]


async def test_rule_12_a_server_that_never_greets_costs_the_connect_timeout(
    stopped_sshd: Sshd, open_adapter: OpenAdapter
) -> None:
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]
    adapter = await open_adapter(
        port=port, connect_timeout="300ms", known_hosts=None, insecure_accept_any_host_key=True
    )
    assert str(await failure(adapter)).endswith(f"127.0.0.1:{port}: connect timeout after 0.3 s")
    assert transports() == 0
    await listener[0].aclose()


async def test_rule_12_a_name_that_is_not_known_is_told(stopped_sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(host="sftp.invalid")
    assert "name lookup failed" in str(await failure(adapter))


async def test_rule_12_a_directory_that_is_missing_is_told(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(directory=str(sshd.drop / "none"))
    assert str(await failure(adapter)) == f"{sshd.drop}/none/.A-1.json.1.part: no such file or directory"
    with pytest.raises(NotConnected, match="no such file or directory"):
        await adapter.healthcheck()
    (sshd.drop / "none").write_text("")
    with pytest.raises(NotConnected, match="none is not a directory"):
        await adapter.healthcheck()


async def test_rule_12_what_may_not_be_written_is_told(stopped_sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    stopped_sshd.start("-R")
    assert str(await failure(adapter)).endswith("A-1.json.1.part: permission denied")


async def test_rule_12_a_rename_that_is_refused_leaves_nothing(stopped_sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    stopped_sshd.start("-P posix-rename,rename")
    error = await failure(adapter)
    assert str(error) == f"{stopped_sshd.drop}/in/A-1.json: permission denied"
    assert not error.outcome_unknown
    assert names(stopped_sshd.drop / "in") == []


async def test_an_action_whose_file_cannot_be_made_is_rejected(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter(name="{case}-{id}.txt", content={"expr": "action.data.text", "format": "text"})
    assert await adapter.trigger(make_call()) == Rejected("content.expr gives nothing, and text is a string")
    done = await adapter.trigger(make_call(case_id="ü" * 100, data={"text": "x"}))
    assert isinstance(done, Rejected)
    assert done.reason.startswith("the file's name would have 608 bytes, and 200 are the most")
    assert await adapter.probe(make_call(case_id="ü" * 100)) == NotThere()


async def test_rule_14_a_probe_sees_what_became_of_an_attempt(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    adapter = await open_adapter()
    unfinished = sshd.drop / "in" / ".A-1.json.1.part"
    assert await adapter.probe(make_call()) == NotThere()
    unfinished.write_text("{half")
    assert await adapter.probe(make_call()) == NotThere()
    assert names(sshd.drop / "in") == []
    await adapter.trigger(make_call())
    assert await adapter.probe(make_call()) == Taken(str(sshd.drop / "in" / "A-1.json"))


async def test_rule_14_what_only_a_person_can_tell_is_held_if_so_configured(
    sshd: Sshd, open_adapter: OpenAdapter
) -> None:
    adapter = await open_adapter(if_missing="hold")
    answer = await adapter.probe(make_call(attempt=2))
    assert isinstance(answer, Unclear)
    assert answer.reason.startswith("Attempt 2 was cut off")
    # what the attempt left unfinished says that it did not arrive
    (sshd.drop / "in" / ".A-1.json.2.part").write_text("{half")
    assert await adapter.probe(make_call(attempt=2)) == NotThere()


async def test_cancelled_at_any_await_nothing_half_is_left_and_it_goes_on(
    sshd: Sshd, open_adapter: OpenAdapter
) -> None:
    adapter = await open_adapter()
    steps = 0
    while True:
        steps += 1
        call = make_call(action_id=f"B-{steps}")
        with trio.fail_after(30), cancel_after_steps(steps) as scope:
            await adapter.trigger(call)
        finished = sshd.drop / "in" / f"B-{steps}.json"
        if finished.exists():
            json.loads(finished.read_bytes())
        assert await adapter.trigger(make_call(action_id=f"B-{steps}", attempt=2)) == Taken(str(finished))
        if not scope.cancelled_caught:
            break
    assert steps > 2
    assert names(sshd.drop / "in") == sorted(f"B-{number}.json" for number in range(1, steps + 1))
    await adapter.close()
    assert transports() == 0


async def test_cancelled_at_any_moment_of_the_transfer_nothing_half_is_left(
    sshd: Sshd, open_adapter: OpenAdapter
) -> None:
    adapter = await open_adapter()
    cut_off = 0
    for number in range(40):
        action = f"B-{number}"
        finished = sshd.drop / "in" / f"{action}.json"
        with trio.move_on_after(number * 0.001) as scope:
            await adapter.trigger(make_call(action_id=action, data={"text": "x" * 1_000_000}))
        cut_off += scope.cancelled_caught
        if finished.exists():
            json.loads(finished.read_bytes())
        stood = finished.exists()
        probed = await adapter.probe(make_call(action_id=action))
        # what the look says stays true
        assert probed == (Taken(str(finished)) if finished.exists() else NotThere())
        assert finished.exists() or not stood
        await adapter.trigger(make_call(action_id=action, attempt=2))
    assert cut_off
    assert len(names(sshd.drop / "in")) == 40
    await adapter.close()
    assert transports() == 0


async def test_cancelled_while_connecting_nothing_is_left(sshd: Sshd, open_adapter: OpenAdapter) -> None:
    before = open_files()
    steps = 0
    while True:
        steps += 1
        adapter = await open_adapter()
        with trio.fail_after(30), cancel_after_steps(steps) as scope:
            await adapter.healthcheck()
        await adapter.close()
        assert transports() == 0
        if not scope.cancelled_caught:
            break
    assert steps > 3
    await trio.lowlevel.checkpoint()
    assert open_files() == before


def open_files() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir()}
