"""connectord's schemas: the SQL of its store, and JSON Schemas of what it says on its sockets."""

from __future__ import annotations

from importlib.resources import files


def read_sql(name: str) -> str:
    """The text of one migration in ``sqlite/``, such as ``0001_initial.sql``."""
    return files(__name__).joinpath("sqlite", name).read_text(encoding="utf-8")
