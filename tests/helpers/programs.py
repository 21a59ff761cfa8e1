"""Programs beside Python that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str) -> str:
    """The program's path. Without it the test is skipped by name, or fails where ``REQUIRE_SERVICES=1`` is set."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"{name} is not installed; make services installs it")
        pytest.skip(f"{name} is not installed; make services installs it")
    return found
