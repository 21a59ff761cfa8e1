"""A real Prometheus that scrapes one address."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from helpers.monitoring import RULES
from helpers.ports import lasting_port
from helpers.programs import require_program

_CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: connectord
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """Answers queries."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **params: str) -> Any:
        """What the API answers. Raises :class:`AssertionError` where it refuses."""
        response = await self._client.get(f"/api/v1/{path}", params=params)
        document = json.loads(response.text)
        assert document["status"] == "success", document
        return document["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        result: list[dict[str, Any]] = (await self.get("query", query=expression))["result"]
        return result

    async def until(self, expression: str, seconds: float = 20.0) -> list[dict[str, Any]]:
        """Wait for a query to have a result."""
        with trio.fail_after(seconds):
            while not (result := await self.query(expression)):
                await trio.sleep(0.2)
        return result


@asynccontextmanager
async def running_prometheus(directory: Path, port: int) -> AsyncIterator[Prometheus]:
    """Scrape ``port`` on loopback every second, with connectord's rules."""
    own_port = lasting_port()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prometheus.yml").write_text(_CONFIGURATION.format(rules=RULES, port=port), encoding="utf-8")
    command = [
        require_program("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
        "--log.level=warn",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{own_port}", trust_env=False) as client:
            with trio.fail_after(20):
                while True:
                    try:
                        if (await client.get("/-/ready")).status_code == 200:
                            break
                    except httpx.TransportError:
                        assert process.poll() is None, (directory / "prometheus.log").read_text()
                    await trio.sleep(0.1)
            yield Prometheus(client)
    finally:
        process.terminate()
        await trio.to_thread.run_sync(process.wait)
