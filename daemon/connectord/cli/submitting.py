"""Actions from a file, one JSON object a line, in groups that fit into one message and one transaction."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from connectord.errors import ConnectordError

MOST_ACTIONS = 500
MOST_BYTES = 512 * 1024
"""Of the lines of one group; a message may have twice as much."""


class LineRefused(ConnectordError):
    """A line of the file cannot be an action."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Group:
    """Actions that are submitted together; ``last`` is the number of their last line."""

    actions: list[dict[str, Any]]
    last: int


def groups_of(file: BinaryIO, first: int) -> Iterator[Group]:
    """The actions from line ``first`` on. Raises :class:`LineRefused` once all before that line were handed out."""
    actions: list[dict[str, Any]] = []
    size, number = 0, 0
    refused: LineRefused | None = None
    for number, line in enumerate(file, 1):
        if number < first or not line.strip():
            continue
        if actions and (len(actions) == MOST_ACTIONS or size + len(line) > MOST_BYTES):
            yield Group(actions, number - 1)
            actions, size = [], 0
        try:
            actions.append(_action(number, line))
        except LineRefused as error:
            refused = error
            break
        size += len(line)
    if actions:
        yield Group(actions, number if refused is None else number - 1)
    if refused is not None:
        raise refused


def _action(number: int, line: bytes) -> dict[str, Any]:
    try:
        action = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LineRefused(number, f"not JSON: {error}") from None
    if not isinstance(action, dict):
        raise LineRefused(number, 'must be a JSON object, such as {"system": "billing", "data": {}}')
    if "system" not in action:
        raise LineRefused(number, 'names no system: {"system": "billing", ...}')
    return action


def count_lines(file: BinaryIO) -> int | None:
    """How many lines the file has; None where it can be read only once."""
    if not file.seekable():
        return None
    count = sum(1 for _ in file)
    file.seek(0)
    return count


def how_to_go_on(name: str, done: int) -> str:
    """Where it stopped, and the command that goes on there."""
    again = f"connectorctl submit-many {shlex.quote(name)} --from {done + 1}"
    return (
        f"the lines up to {done} are submitted; to go on: {again}" if done else f"no line is submitted; again: {again}"
    )
