"""A daemon at work: a backup of it, reports beside it, retention in it, and a restore that it goes on from."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem


async def connectord(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "connectord.cli.daemon", *map(str, args)]
    return await trio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    )


async def test_backup_at_work_and_restore_elsewhere(
    daemon: DaemonProcess, configure: Callable[..., None], fake: FakeSystem, tmp_path: Path
) -> None:
    configure(erp='timeout = "1h"', depot='retry.delay = "1h"\nretry.limit = 5')
    await daemon.start()
    path = daemon.directory / "state" / "connectord.db"
    waiting = (await daemon.call("submit", system="erp", case="C-1", data={"play": "silent"}))["id"]
    await daemon.until(waiting, "waiting")
    address = next(job.body["callback_url"] for job in fake.seen if job.body["action"]["id"] == waiting)
    backup = tmp_path / "backup.db"
    refused: list[str] = []

    async def work() -> None:
        while True:
            await daemon.call("submit", system="erp", data={"play": "succeed"})

    async def report() -> None:
        # anybody's sqlite3, while the daemon writes
        while True:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
                reader.execute("SELECT system, state, count(*) FROM v_actions GROUP BY 1, 2").fetchall()
                newest = reader.execute("SELECT at FROM v_history ORDER BY seq DESC LIMIT 1").fetchone()[0]
                assert newest.endswith("Z")
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(report)
        made = await connectord("backup", backup, "--with-key", "--config", daemon.config_file)
        assert made.returncode == 0, made.stderr
        busy = await connectord("restore", backup, "--config", daemon.config_file)
        refused.append(busy.stderr)
        nursery.cancel_scope.cancel()
    assert "another connectord" in refused[0]
    later = (await daemon.call("submit", system="depot", data={}))["id"]
    daemon.kill()

    # the machine is lost: nothing is there but the configuration and the backup
    for each in (daemon.directory / "state").iterdir():
        each.unlink()
    done = await connectord("restore", backup, "--config", daemon.config_file)
    assert done.returncode == 0, done.stderr
    assert "with its key" in done.stdout
    await daemon.start()
    try:
        assert (await daemon.call("show", id=waiting))["state"] == "waiting"
        answer = await trio.to_thread.run_sync(
            lambda: httpx.post(address, json={"status": "success", "data": {"n": 1}}, trust_env=False)
        )
        assert answer.status_code == 200
        assert (await daemon.call("show", id=waiting))["state"] == "closed"
        found = await daemon.call("list", system="depot")
        assert later not in [action["id"] for action in found["actions"]]
        status = await daemon.call("status")
        assert status["store"]["database_bytes"] > 0
        assert status["log_held"] is None

        # and retention, by a reload
        plan = daemon.config_file.read_text()
        daemon.configure(plan + '\n[retention]\ndone_successfully = "1h"\nkeys = "0s"\n')
        assert (await daemon.call("retention"))["done_successfully"] == "forever"
        assert (await daemon.call("retention", plan=True))["done_successfully"] == "1h"
        reload = await daemon.call("reload")
        assert {change["key"] for change in reload["plan"]["other"]} >= {"retention.done_successfully"}
        with trio.fail_after(20):
            while (await daemon.call("retention"))["last_run_at"] is None:
                await trio.sleep(0.05)
        assert (await daemon.call("show", id=waiting))["state"] == "closed"  # not old enough
    finally:
        daemon.kill()
