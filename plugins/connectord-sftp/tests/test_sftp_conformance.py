"""The adapter passes the kit, with a real OpenSSH server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from connectord.adapters import Call
from connectord.testing import AdapterConformance, FakeSystem, make_call
from connectord_sftp.adapter import SftpAdapter
from helpers.sshd import Sshd


class TestSftp(AdapterConformance):
    adapter = SftpAdapter
    speaks_http = False
    sends_key = False  # the name of the file is what a repeated attempt is known by
    calls_back = False
    time_limit_seconds = 8.0
    sshd: ClassVar[Sshd]

    @pytest.fixture(autouse=True)
    def _sshd(self, sshd: Sshd) -> None:
        type(self).sshd = sshd

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        return self.sshd.settings(timeout="2s")

    def broken_settings(self, system: FakeSystem) -> Mapping[str, Mapping[str, Any]]:
        return {
            "nobody listens there": self.sshd.settings(timeout="2s", port=1),
            "another protocol is spoken there": self.sshd.settings(timeout="2s", port=system.port),
            "nobody of that name may log in": self.sshd.settings(timeout="2s", user="nobody-of-that-name"),
            "there is no such directory": self.sshd.settings(timeout="2s", directory="/nonexistent/in"),
        }

    def bad_settings(self, system: FakeSystem) -> Sequence[Mapping[str, Any]]:
        good = self.settings(system)
        return [{**good, "port": 0}, {**good, "timeout": "soon"}, {**good, "name": "without-an-id"}]

    def make_call(self, **changes: Any) -> Call:
        # every call is an action of its own, or its file would be there already
        number = len(list(Path(self.sshd.settings()["directory"]).iterdir()))
        return make_call(**{"action_id": f"01J{number:023}", **changes})
