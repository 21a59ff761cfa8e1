"""Hangs or breaks a part of the daemon, the first time that an attempt asks for it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import trio
from connectord.adapters import Adapter, Call, Outcome, Succeeded
from connectord.errors import StoreFailed
from connectord.hookspecs import RegisterAdapter, hookimpl
from connectord.lanes.admission import Admission
from connectord.store.sqlite_writer import SqliteWriter


class HangsDaemonAdapter(Adapter):
    name = "hangs_daemon"

    async def trigger(self, call: Call) -> Outcome:
        part = str(call.data.get("hang", ""))
        # once: the attempt may be made again after the restart
        mark = Path(os.environ["HANG_MARKS"]) / call.action_id
        if part and not mark.exists():
            mark.touch()
            getattr(self, f"hang_{part}")()
        return Succeeded({})

    def hang_loop(self) -> None:
        time.sleep(600)

    def hang_writer(self) -> None:
        def begin(writer: SqliteWriter) -> None:
            threading.Event().wait()

        SqliteWriter.begin = begin  # type: ignore[method-assign]

    def hang_disk(self) -> None:
        def commit(writer: SqliteWriter) -> None:
            raise StoreFailed("disk I/O error")

        SqliteWriter.commit = commit  # type: ignore[method-assign]

    def hang_lane(self) -> None:
        async def wait(admission: Admission) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

        Admission.wait = wait  # type: ignore[method-assign]
        Admission.reserve_attempts = lambda self, most: 0  # type: ignore[method-assign]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(HangsDaemonAdapter)
