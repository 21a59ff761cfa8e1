from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from helpers.scripted_daemon import Serve, serving


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serve a script for each connection in turn: ``async with serve(first, second) as path``."""
    return partial(serving, tmp_path)
