"""The views that others read: what docs/database.md promises, read as anybody would.

``python tests/store/test_public_schema.py`` writes the tables in docs/database.md anew.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import connectord_schema
import pytest
from connectord.store.sqlite_writer import SqliteWriter
from helpers.first_release import make_first

PAGE = Path(__file__).parents[2] / "docs" / "database.md"
BEGIN, END = "<!-- generated: views -->\n", "<!-- end -->"
SECRET = ("digest", "payload", "secret", "token")


def views() -> dict[str, tuple[str, dict[str, str]]]:
    """Every view: what a row is, and its columns with what they are, from the comments of the newest migrations."""
    found = {}
    pattern = re.compile(r"-- ([^\n]+)\nCREATE VIEW (\w+) AS SELECT\n(.*?)\nFROM", re.DOTALL)
    for about, name, body in pattern.findall(connectord_schema.read_sql("0005_upkeep.sql")):
        columns = {}
        for line in body.splitlines():
            expression, _, comment = line.rpartition("  -- ")
            column = re.search(r"(?:AS |\.)(\w+),?$", expression.strip())
            assert column is not None, line
            columns[column[1]] = comment
        found[name] = (about, columns)
    return found


def page_text() -> str:
    lines = []
    for name, (about, columns) in views().items():
        lines += [f"### {name}", "", about, "", "| column | what it is |", "| --- | --- |"]
        lines += [f"| `{column}` | {meaning} |" for column, meaning in columns.items()] + [""]
    return "\n" + "\n".join(lines)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "s" / "connectord.db"
    make_first(path)
    SqliteWriter(path).close()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def test_the_page_lists_every_column_there_is(database: sqlite3.Connection) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == page_text()
    there = [row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY rowid")]
    assert there == list(views())
    for name, (_, columns) in views().items():
        assert [row[1] for row in database.execute(f"PRAGMA table_info({name})")] == list(columns)


def test_times_are_text_and_nothing_secret_is_there(database: sqlite3.Connection) -> None:
    database.row_factory = sqlite3.Row
    seen = set()
    for name, (_, columns) in views().items():
        if name != "v_config_versions":
            assert not [column for column in columns if any(word in column for word in SECRET)]
        for row in database.execute(f"SELECT * FROM {name}"):  # noqa: S608
            for column in row.keys():  # noqa: SIM118 - a row iterates over its values
                value = row[column]
                if value is not None and (column.endswith(("_at", "_since")) or column in ("at", "deadline")):
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value), (name, column, value)
                    seen.add((name, column))
    assert ("v_actions", "submitted_at") in seen
    assert ("v_attempts", "started_at") in seen
    assert database.execute("SELECT submitted_at, deadline FROM v_actions WHERE id = '01W'").fetchone()[:] == (
        "1970-01-01T00:00:00.001Z",
        "1970-01-01T00:00:00.009Z",
    )


def test_the_examples_on_the_page_work(database: sqlite3.Connection) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    questions = [each for each in script.split(";") if each.strip()]
    assert len(questions) == 3
    for question in questions:
        database.execute(question).fetchall()
    one = database.execute("EXPLAIN QUERY PLAN SELECT * FROM v_actions WHERE id = '01A'").fetchall()
    assert all(row[3].startswith("SEARCH") for row in one), one
    for question in ("SELECT * FROM v_history WHERE action_id = '1'", "SELECT * FROM v_attempts WHERE action_id = '1'"):
        assert all(row[3].startswith("SEARCH") for row in database.execute(f"EXPLAIN QUERY PLAN {question}"))


if __name__ == "__main__":
    old = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(old[: old.index(BEGIN) + len(BEGIN)] + page_text() + old[old.index(END) :], encoding="utf-8")
