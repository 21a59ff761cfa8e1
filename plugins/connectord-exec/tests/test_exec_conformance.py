"""The adapter passes the kit; its system is a command that writes down which keys it got."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from connectord.testing import AdapterConformance, FakeSystem
from connectord_exec.adapter import ExecAdapter

NOTE = 'echo "$CONNECTORD_IDEMPOTENCY_KEY" >> {notes}; cat >{sink}; echo \'{{"status": "taken"}}\''


class TestExec(AdapterConformance):
    adapter = ExecAdapter
    speaks_http = False
    notes: Path

    @pytest.fixture(autouse=True)
    def _notes(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as directory:
            type(self).notes = Path(directory, "notes")
            yield

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        return self._running(NOTE.format(notes=self.notes, sink="/dev/null"))

    def broken_settings(self, system: FakeSystem) -> Mapping[str, Mapping[str, Any]]:
        return {
            "it does not end": self._running("sleep 60"),
            "it does not end when asked": self._running("trap '' TERM; sleep 60"),
            "it prints without end": {**self._running("exec cat /dev/zero"), "max_output_bytes": 100_000},
            "it is killed": self._running("kill -9 $$"),
            "it says not now": self._running("exit 75"),
            "it is not there": {"command": ["/nonexistent/program"]},
        }

    def bad_settings(self, system: FakeSystem) -> Sequence[Mapping[str, Any]]:
        return [{"command": []}, {"command": ["relative"]}, {"command": [sys.executable], "timeout": "soon"}]

    def keys_sent(self, system: FakeSystem, key: str) -> Sequence[str | None]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [line for line in lines if line.startswith(key)]

    def _running(self, script: str) -> Mapping[str, Any]:
        command = ["/bin/sh", "-c", script]
        return {"command": command, "env": {"TOKEN": "hunter2"}, "timeout": "1s", "kill_after": "200ms"}
