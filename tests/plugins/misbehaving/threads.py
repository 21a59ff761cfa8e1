"""Leaves a thread behind that would keep the process from ending."""

from __future__ import annotations

import threading
import time

from connectord.adapters import Adapter, Call, Outcome, Taken
from connectord.hookspecs import RegisterAdapter, hookimpl


def stay() -> None:
    time.sleep(600)  # at fault


class ThreadsAdapter(Adapter):
    name = "threads"

    async def trigger(self, call: Call) -> Outcome:
        threading.Thread(target=stay, name="left behind").start()
        return Taken()


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(ThreadsAdapter)
