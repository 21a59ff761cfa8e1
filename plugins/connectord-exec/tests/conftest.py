"""What the tests of a plugin's documentation need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from connectord.config import load_config
from connectord.plugins import load_plugins


@pytest.fixture
def check_configuration(tmp_path: Path) -> Callable[[str], None]:
    """Loads a configuration as ``connectord check`` does; every secret that it names is there."""

    def check(text: str) -> None:
        credentials = tmp_path / "credentials"
        credentials.mkdir(exist_ok=True)
        (credentials / "erp-token").write_text("x")
        file = tmp_path / "connectord.toml"
        file.write_text(text, encoding="utf-8")
        load_config(file, adapters=load_plugins().adapters, environ={"CREDENTIALS_DIRECTORY": str(credentials)})

    return check
