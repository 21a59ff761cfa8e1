"""The docs say what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from connectord.control.signatures import SIGNATURES
from helpers.pages import PAGES, ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_method_is_documented_with_its_role() -> None:
    text = (ROOT / "docs" / "control-protocol.md").read_text(encoding="utf-8")
    documented = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3:
            documented |= dict.fromkeys(re.findall(r"`(\w+)`", cells[1]), cells[2])
    assert documented == {name: signature.role.name.lower() for name, signature in SIGNATURES.items()}


def test_the_readme_configuration_is_good(tmp_path: Path) -> None:
    (configuration,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    file = tmp_path / "connectord.toml"
    file.write_text(configuration)
    command = [sys.executable, "-m", "connectord.cli.daemon", "check", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
