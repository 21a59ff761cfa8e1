"""A plugin that polls and probes, in a real daemon that is killed: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.http_server import Request, Response, serve

PLUGIN = '''
import httpx
from connectord.adapters import Adapter, AdapterSettings, NotConnected, NotThere, Succeeded, Taken
from connectord.hookspecs import hookimpl


class JobsSettings(AdapterSettings):
    url: str


class JobsAdapter(Adapter):
    """Hands jobs to a system that does not call back."""

    name = "jobs"
    Settings = JobsSettings

    async def open(self):
        transport = self.context.network.http_transport(connect_timeout_seconds=5)
        self._client = httpx.AsyncClient(transport=transport, base_url=self.settings.url)

    async def close(self):
        await self._client.aclose()

    async def trigger(self, call):
        answer = await self._ask("PUT", f"/jobs/{call.idempotency_key}")
        return Taken(answer.json()["job"])

    async def poll(self, call):
        answer = await self._ask("GET", f"/results/{call.reference}")
        if call.data.get("play") == "broken poll" and answer.json()["asked"] == 1:
            return "rubbish"
        return Succeeded({"result": call.reference}) if answer.json()["done"] else None

    async def probe(self, call):
        answer = await self._ask("GET", f"/jobs/{call.idempotency_key}")
        return Taken(answer.json()["job"]) if answer.status_code == 200 else NotThere()

    async def healthcheck(self):
        await self._ask("GET", "/health")

    async def _ask(self, method, path):
        try:
            return await self._client.request(method, path)
        except httpx.TransportError as error:
            raise NotConnected(str(error) or type(error).__name__) from error


@hookimpl
def connectord_register_adapters(register):
    register(JobsAdapter)
'''


@dataclass
class JobSystem:
    """Takes a job at once and answers late, so that a crash is sure to come in between; done at the third question."""

    handed_over: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    away: bool = False
    url: str = ""

    async def handle(self, request: Request) -> Response:
        if self.away:
            return Response(ending="drop")
        _, kind, *rest = request.target.split("/")
        if kind == "health":
            self.checks += 1
            return Response(204)
        (name,) = rest
        if kind == "results":
            self.asked[name] += 1
            return Response.of_json({"done": self.asked[name] >= 3, "asked": self.asked[name]})
        if request.method == "PUT":
            self.handed_over[name] += 1
            await trio.sleep(1.0)
        known = name in self.handed_over
        return Response.of_json({"job": f"job-{name}"}) if known else Response.of_json({}, status=404)


@pytest.fixture
async def jobs() -> AsyncIterator[JobSystem]:
    system = JobSystem()
    async with serve(system.handle) as system.url:
        yield system


@pytest.fixture
async def asking(tmp_path: Path, jobs: JobSystem) -> AsyncIterator[DaemonProcess]:
    """A daemon with the plugin installed, as pip would: importable, with an entry point."""
    site = tmp_path / "site"
    metadata = site / "connectord_jobs-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "connectord_jobs.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: connectord-jobs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[connectord]\njobs = connectord_jobs\n")
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    daemon = DaemonProcess(tmp_path, {"PYTHONPATH": os.pathsep.join(paths)})
    daemon.configure(
        daemon.head()
        + '[systems.jobs]\nadapter = "jobs"\nconcurrency = 8\nhealthcheck = "1s"\n'
        + 'poll = { interval = "300ms", factor = 1, max_interval = "300ms" }\n'
        + f'[systems.jobs.jobs]\nurl = "{jobs.url}"\n'
    )
    await daemon.start()
    yield daemon
    daemon.kill()


async def test_polls_and_probes_survive_kills_and_no_job_is_done_twice(asking: DaemonProcess, jobs: JobSystem) -> None:
    actions = [{"system": "jobs", "key": f"n-{number}"} for number in range(40)]
    ids = [action["id"] for action in (await asking.call("submit_many", actions=actions))["actions"]]
    for kills in (1, 2):
        with trio.fail_after(20):
            while len(jobs.handed_over) < 12 * kills or not jobs.asked:
                await trio.sleep(0.01)
        asking.kill()
        await asking.start()
    ends = [await asking.until(action_id, "closed", "todo", seconds=40) for action_id in ids]
    assert {end["resolution"] for end in ends} == {"done_successfully"}
    assert all(end["data"] == {"result": f"job-{end['id']}"} for end in ends)
    assert all(end["reference"] == f"job-{end['id']}" for end in ends)
    # the system got each of them once: what was interrupted was asked for, not tried again
    assert jobs.handed_over == Counter(ids)
    found = 0
    for action_id in ids:
        events = Counter(row["event"] for row in (await asking.call("history", id=action_id))["history"])
        # what had not left yet when the daemon died is not there, and is tried again
        assert events["AttemptStarted"] == 1 + events["ProbeFoundNothing"]
        assert events["AttemptInterrupted"] == events["ProbeFoundNothing"] + events["ProbeFoundTaken"]
        found += events["ProbeFoundTaken"]
    # at either kill the system had just got one, and had not answered yet
    assert found >= 2


async def test_a_fault_in_a_poll_names_the_plugin_and_the_line(asking: DaemonProcess, jobs: JobSystem) -> None:
    action = await asking.call("submit", system="jobs", data={"play": "broken poll"})
    end = await asking.until(action["id"], "closed")
    assert end["resolution"] == "done_successfully"
    (view,) = (await asking.call("systems"))["systems"]
    line = PLUGIN.splitlines().index("    async def poll(self, call):") + 1
    assert "poll() returned str" in view["last_error"]
    assert view["last_error"].endswith(f"(adapter jobs, {asking.directory}/site/connectord_jobs.py:{line})")
    assert view["health"] == "ok"


async def test_a_healthcheck_shows_that_a_system_is_away_and_back(asking: DaemonProcess, jobs: JobSystem) -> None:
    async def health_is(word: str) -> None:
        with trio.fail_after(10):
            while (await asking.call("systems"))["systems"][0]["health"] != word:
                await trio.sleep(0.05)

    with trio.fail_after(10):
        while jobs.checks < 2:
            await trio.sleep(0.05)
    await health_is("ok")
    jobs.away = True
    await health_is("failing")
    jobs.away = False
    await health_is("ok")
