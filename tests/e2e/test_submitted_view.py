"""What ``submit`` answers comes from memory, and is what ``show`` reads from the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectord.testing.daemon_process import DaemonProcess


async def test_rule_17_what_submit_answers_is_what_show_shows(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    await daemon.call("pause", system="erp")
    items: list[dict[str, Any]] = [
        {"system": "erp"},
        {"system": "erp", "key": "K-1", "data": {"n": 1}},
        {"system": "erp", "case": "C-1", "owner": "anna@example.org", "data": {"ä": [1.5, None, {"x": "y"}]}},
        {"system": "erp", "due_at": "2030-01-01T00:00:00Z"},
        {"system": "erp", "key": "K-1", "data": {"n": 1}},
    ]
    submitted = (await daemon.call("submit_many", actions=items))["actions"]
    assert submitted == [await daemon.call("show", id=action["id"]) for action in submitted]
    assert submitted[1] == submitted[4]
    assert [action["key"] for action in submitted] == [None, "K-1", None, None, "K-1"]
