"""Actions from a file: in groups, and with the line at fault where there is one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from connectord.cli.progress import Progress, with_progress
from connectord.cli.submitting import MOST_ACTIONS, MOST_BYTES, LineRefused, groups_of, how_to_go_on
from connectord.testing.daemon_process import DaemonProcess
from helpers.ctl import Ctl

LINE = b'{"system": "erp"}\n'


def test_lines_go_in_groups_that_fit() -> None:
    groups = list(groups_of(io.BytesIO(LINE * (MOST_ACTIONS + 2)), 1))
    assert [(len(group.actions), group.last) for group in groups] == [
        (MOST_ACTIONS, MOST_ACTIONS),
        (2, MOST_ACTIONS + 2),
    ]
    large = json.dumps({"system": "erp", "data": {"x": "y" * (MOST_BYTES // 2)}}).encode() + b"\n"
    assert [group.last for group in groups_of(io.BytesIO(large * 3), 1)] == [1, 2, 3]
    assert [group.last for group in groups_of(io.BytesIO(LINE * 5 + b"\n \n"), 4)] == [7]
    assert list(groups_of(io.BytesIO(b""), 1)) == []


@pytest.mark.parametrize("line", [b"{", b"[1]", b"{}", b"[" * 100_000, b"\xff"])
def test_what_stands_before_a_bad_line_is_handed_out(line: bytes) -> None:
    groups = groups_of(io.BytesIO(LINE * 2 + line + b"\n" + LINE), 1)
    assert next(groups).last == 2
    with pytest.raises(LineRefused) as refused:
        next(groups)
    assert refused.value.line == 3


def test_it_says_how_to_go_on() -> None:
    assert how_to_go_on("my file", 7).endswith("connectorctl submit-many 'my file' --from 8")


def test_a_bar_is_for_terminals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_progress("x", range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_the_bar() -> None:
    progress = Progress("submitting", 200)
    progress.done = 50
    assert progress.line(10) == "submitting  [#######.......................]  50 of 200  30 s left"
    assert Progress("submitting", None).line(1) == "submitting  0  0/s"
    assert len(Progress("x" * 200, 10).line(1)) == 79


async def test_a_file_of_actions_with_a_bad_line_in_it(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path)
    daemon.configure(
        daemon.head() + '[systems.erp]\nadapter = "http"\n[systems.erp.http]\nurl = "http://127.0.0.1:9/"\n'
    )
    file = tmp_path / "actions.jsonl"
    good = b'{"system": "erp", "key": "%d"}\n'
    file.write_bytes(good % 1 + good % 2 + b"nonsense\n" + good % 3)
    try:
        await daemon.start()
        ctl = Ctl(daemon)
        told = await ctl("submit-many", str(file), code=1)
        assert told.splitlines() == [
            f"connectorctl: {file}:3: not JSON: Expecting value: line 1 column 1 (char 0)",
            f"connectorctl: the lines up to 2 are submitted; to go on: connectorctl submit-many {file} --from 3",
        ]
        file.write_bytes(good % 1 + good % 2 + b'{"system": "nobody"}\n')
        told = await ctl("submit-many", str(file), "--from", "3", code=1)
        assert "the lines up to 2 are submitted" in told
        assert "nobody" in told
        # the same lines again make nothing new: the keys are known
        file.write_bytes(good % 1 + good % 2)
        await ctl("submit-many", str(file))
        assert len((await daemon.call("list"))["actions"]) == 2
    finally:
        daemon.kill()
