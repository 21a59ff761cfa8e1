"""The alert rules and the dashboard that docs/monitoring has."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from helpers.monitoring import DASHBOARD, RULE_TESTS, RULES, dashboard_expressions
from helpers.programs import require_program


def promtool(*args: str) -> str:
    done = subprocess.run([require_program("promtool"), *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))


def test_the_rules_are_valid() -> None:
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", str(RULES))


def test_the_rules_fire_and_keep_silent_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(RULE_TESTS))


def test_every_rule_is_seen_silent_and_firing() -> None:
    text = RULE_TESTS.read_text(encoding="utf-8")
    for alert in alerts():
        checks = [line for line in text.splitlines() if f'alertname="{alert}"' in line]
        assert any("exp_samples: []" in line for line in checks), alert
        assert any("value: 1" in line for line in checks), alert


def test_a_test_of_a_rule_can_fail(tmp_path) -> None:
    (tmp_path / RULES.name).write_text(RULES.read_text(encoding="utf-8").replace("> 600", "> 600000"))
    (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text(encoding="utf-8"))
    command = [require_program("promtool"), "test", "rules", str(tmp_path / RULE_TESTS.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ConnectordOldestDue" in done.stdout + done.stderr


def test_the_dashboard_has_its_data_source_as_a_variable() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    panels: list[dict[str, Any]] = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(dashboard_expressions()) > len(panels)


def test_no_two_panels_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
