"""Metrics of a real daemon: a scrape that Prometheus' own tools find no fault with, and a real Prometheus."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.monitoring import RULES, dashboard_expressions, families_of, names_in, series_names
from helpers.ports import lasting_port
from helpers.programs import require_program
from helpers.prometheus import running_prometheus
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


async def get(port: int, path: str, accept: str = "") -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        return await client.get(path, headers={"Accept": accept})


async def numbers(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a scrape, by its name and labels."""
    text = (await get(port, "/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


async def test_a_scrape_is_valid_and_has_what_the_rules_and_the_dashboard_name(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    port = lasting_port()
    configure(extra=f'[metrics]\nbind = "127.0.0.1:{port}"\n[tracing]\nendpoint = "http://127.0.0.1:1"\n')
    await daemon.start()
    for system in ("erp", "depot"):
        action = await daemon.call("submit", system=system, case="C-1", owner="olga")
        await daemon.until(action["id"], "closed")

    plain = await get(port, "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    done = subprocess.run(  # noqa: ASYNC221
        [require_program("promtool"), "check", "metrics"], input=plain.text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

    open_metrics = await get(port, "/metrics", OPENMETRICS)
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert len(list(parse_openmetrics(open_metrics.text))) == len(families_of(plain.text))

    known = series_names(families_of(plain.text))
    for text in (RULES.read_text(encoding="utf-8"), *dashboard_expressions()):
        assert names_in(text) <= known


async def test_numbers_tell_what_happened(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    port = lasting_port()
    metrics = f'[metrics]\nbind = "127.0.0.1:{port}"\n'
    configure(extra=metrics)
    await daemon.start()
    before = await numbers(port)
    assert before["connectord_actions", frozenset({("system", "erp"), ("state", "pending")})] == 0
    for system in ("erp", "depot"):
        action = await daemon.call("submit", system=system, case="C-1", owner="olga")
        await daemon.until(action["id"], "closed")
    daemon.config_file.write_text(daemon.config_file.read_text() + "nonsense")
    daemon.signal(signal.SIGHUP)
    with trio.fail_after(10):
        while "reload refused" not in daemon.log():
            await trio.sleep(0.05)

    after = await numbers(port)

    def value(name: str, **labels: str) -> float:
        return after[f"connectord_{name}", frozenset(labels.items())]

    assert value("attempts_total", system="erp", outcome="taken") == 1
    assert value("attempts_total", system="depot", outcome="not_connected") == 3
    assert value("changes_total", system="erp", event="SuccessReceived", state="closed") == 1
    assert value("changes_total", system="depot", event="ConnectionFailed", state="closed") == 1
    assert value("attempt_seconds_count", system="depot") == 3
    assert value("attempt_delay_seconds_count", system="erp") == 1
    assert value("response_wait_seconds_count", system="erp") == 1
    assert value("action_seconds_count", system="depot") == 1
    assert value("submit_seconds_count") == 2
    assert value("callback_requests_total", status="200") == 1
    assert value("callback_seconds_count") == 1
    assert value("control_request_seconds_count", method="submit") == 2
    assert value("lane_state", system="depot", state="failing") == 1
    assert value("lane_state", system="erp", state="ok") == 1
    assert value("lane_free_places", system="erp") == 16
    assert value("config_version") == 1
    assert value("config_reloads_total", result="refused") == 1
    assert value("config_last_reload_successful") == 0
    assert value("stage", stage="ready") == 1
    assert value("store_bytes", file="log") > 0
    assert after["process_resident_memory_bytes", frozenset()] > 1e6


async def test_pages_for_probes_and_what_is_no_page(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    port = lasting_port()
    configure(extra=f'[metrics]\nbind = "127.0.0.1:{port}"\n')
    await daemon.start()
    for page in ("/healthz", "/readyz"):
        answer = await get(port, page)
        assert (answer.status_code, answer.text) == (200, "ok\n")
    assert (await get(port, "/")).status_code == 404
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        posted = await client.post("/metrics", json={"a": 1})
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
        head = await client.head("/metrics?x=1")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 1000


async def test_without_the_table_nothing_listens_and_nothing_is_imported(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    await daemon.start()
    maps = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert not [name for name in ("opentelemetry", "google/_upb") if name in maps]
    question = (
        "import connectord.running, sys; "
        "print([m for m in sys.modules if m.split('.')[0] in ('prometheus_client', 'opentelemetry', 'google')])"
    )
    done = subprocess.run(  # noqa: ASYNC221
        [daemon._python, "-c", question], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


async def test_an_address_that_is_taken_is_named(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    configure(extra=f'[metrics]\nbind = "127.0.0.1:{fake.port}"\n')
    command = [daemon._python, "-m", "connectord.cli.daemon", "run", "--config", str(daemon.config_file)]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 1
    assert b"metrics.bind: 127.0.0.1" in done.stderr
    assert b"another program listens there" in done.stderr


async def test_a_real_prometheus_scrapes_it_and_answers_every_query_of_the_dashboard(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None], tmp_path: Path
) -> None:
    port = lasting_port()
    configure(extra=f'[metrics]\nbind = "127.0.0.1:{port}"\n')
    await daemon.start()
    action = await daemon.call("submit", system="erp")
    await daemon.until(action["id"], "closed")
    async with running_prometheus(tmp_path / "prometheus", port) as prometheus:
        (closed,) = await prometheus.until('connectord_changes_total{system="erp", state="closed"} == 1')
        assert closed["metric"]["job"] == "connectord"
        assert await prometheus.query('up{job="connectord"} == 1')
        for expression in dashboard_expressions():
            if not expression.startswith("label_values"):
                filled = expression.replace("$__rate_interval", "1m").replace("$job", "connectord")
                await prometheus.query(filled.replace("$instance", ".*").replace("$system", ".*"))
        rules = (await prometheus.get("rules"))["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        daemon.kill()
        await prometheus.until('up{job="connectord"} == 0')
        await prometheus.until('ALERTS{alertname="ConnectordDown"}')
