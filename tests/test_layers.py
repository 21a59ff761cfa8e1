"""Imports point one way: the table in ARCHITECTURE.md is checked against every import."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "daemon" / "connectord"


def layers() -> dict[str, int]:
    """Each room's layer, from the table: a smaller number may import a larger one, or its own."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found: dict[str, int] = {}
    for line in text.splitlines():
        row = re.match(r"\| (\d+) \| (.+?) \|", line)
        if row is not None:
            for name in re.findall(r"`([a-z_]+)`", row[2]):
                found[name] = int(row[1])
    return found


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "connectord":
                names |= {alias.name for alias in node.names if not alias.name.startswith("__")}
            elif node.module.startswith("connectord."):
                names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("connectord.")}
    return names


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms == set(layers())


def test_imports_point_down() -> None:
    table = layers()
    wrong = [
        f"{path.relative_to(ROOT)} ({table[room_of(path)]}) imports {name} ({table[name]})"
        for path in sorted(PACKAGE.rglob("*.py"))
        if room_of(path) != "__init__"
        for name in sorted(imports_of(path))
        if name != room_of(path) and table[name] <= table[room_of(path)]
    ]
    assert wrong == []


def test_the_lifecycle_is_pure() -> None:
    # msgspec's structs are plain values, made in a ninth of the time that a frozen dataclass takes
    allowed = {"__future__", "collections", "dataclasses", "datetime", "enum", "typing", "connectord", "re", "sys",
               "itertools", "operator", "pathlib", "argparse", "inspect", "shlex", "functools", "msgspec"}  # fmt: skip
    for path in (PACKAGE / "lifecycle").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {
            node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
        }
        modules |= {a.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        assert modules <= allowed, path.name
