"""What a start imports: nothing that the configuration may have no use for."""

from __future__ import annotations

import subprocess
import sys

# each costs a twentieth of a start or more; what needs one of them imports it then
HEAVY = {
    "cel", "paramiko", "nacl", "sqlite_utils", "rich", "prompt_toolkit", "prometheus_client", "opentelemetry",
    "connectord.doctor.examination", "connectord.metrics.exposition",
}  # fmt: skip
START = """
import gc, sys
from connectord.cli.daemon import prepare_imports
prepare_imports()
assert not gc.isenabled()
import connectord.running
from connectord.plugins import load_plugins
loaded = load_plugins()
assert {"http", "sftp"} <= set(loaded.adapters), loaded
print(*sys.modules)
"""


def test_a_start_imports_nothing_that_few_need() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, check=True, text=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_rich_is_there_for_who_asks_for_it_later() -> None:
    code = "from connectord.cli.daemon import prepare_imports; prepare_imports(); import rich.console"
    subprocess.run([sys.executable, "-c", code], check=True)
