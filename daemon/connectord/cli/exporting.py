"""``connectord export-attempt``: one attempt, from the database into a redacted fixture."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pydantic

from connectord.adapters import Adapter
from connectord.cli.redaction import Redaction
from connectord.config import STARS, Config, find_config, hide_secrets, load_config
from connectord.errors import InvalidRequest, NotFound
from connectord.hookspecs import ENTRY_POINT_GROUP
from connectord.plugins import load_plugins
from connectord.store.base import ActionRecord, AttemptRow, CaseRecord
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.state_directory import DATABASE_NAME
from connectord.times import rfc3339

FORMAT = 1
PLACEHOLDER_URL = "https://connectord.example/callback/token"
"""Stands where a callback address was: its token is as good as a secret."""


def export(
    config_file: Path | None,
    action_id: str,
    number: int | None,
    keep: Collection[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
) -> str:
    """The fixture's text.

    ``number`` is the attempt's, the last one where it is None. Strings are replaced but for those under the paths in
    ``keep``, such as ``data.amount``. Raises :class:`NotFound`, :class:`InvalidRequest`, and
    :class:`connectord.errors.ConfigurationRefused`.
    """
    adapters = load_plugins().adapters
    config = load_config(find_config(config_file, environ, cwd), adapters=adapters, environ=environ)
    database = config.daemon.state_directory / DATABASE_NAME
    if not database.exists():
        raise NotFound(f"there is no database {database}: has the daemon run with this configuration?")
    with closing(SqliteReader(database)) as reader:
        record = reader.record(action_id)
        if record is None:
            raise NotFound(f"there is no action {action_id}")
        attempt = _find(reader.attempts(action_id), number)
        case = None if record.action.case_id is None else reader.case(record.action.case_id, None, 1)
    redaction = Redaction(keep)
    document: dict[str, Any] = {
        "connectord_fixture": FORMAT,
        "adapter": _adapter(config, record.action.system, adapters),
        "settings": _settings(config, record.action.system),
        "call": _call(config, record, case, attempt, redaction),
        "attempt": {
            "number": attempt.number,
            "started_at": rfc3339(attempt.started_at),
            "ended_at": None if attempt.ended_at is None else rfc3339(attempt.ended_at),
            "outcome": attempt.outcome,
            "message": redaction.text(("message",), attempt.message),
        },
    }
    unused = redaction.unused()
    if unused:
        raise InvalidRequest(
            f"--keep {unused[0]}: there is nothing of that name; there is {', '.join(redaction.seen())}"
        )
    # piece by piece: a secret that is a word of the format itself must not break it
    for part in ("settings", "call", "attempt"):
        document[part] = {key: _hidden(each, config.secrets) for key, each in document[part].items()}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _hidden(value: Any, secrets: Collection[str]) -> Any:
    """``value`` with stars in the place of secrets, in keys too."""
    match value:
        case str():
            return hide_secrets(value, secrets)
        case dict():
            return {hide_secrets(key, secrets): _hidden(each, secrets) for key, each in value.items()}
        case list():
            return [_hidden(each, secrets) for each in value]
        case _:
            return value


def _find(attempts: Sequence[AttemptRow], number: int | None) -> AttemptRow:
    if not attempts:
        raise NotFound("the action was not attempted yet")
    for attempt in attempts:
        if attempt.number == (number or attempts[-1].number):
            return attempt
    raise NotFound(f"there is no attempt {number}: the action has 1 to {attempts[-1].number}")


def _call(
    config: Config, record: ActionRecord, case: CaseRecord | None, attempt: AttemptRow, redaction: Redaction
) -> dict[str, Any]:
    action = record.action
    system = config.systems.get(action.system)
    expected = system is None or system.policy.response_expected
    return {
        "action_id": action.id,
        "system": action.system,
        "case_id": redaction.text(("case_id",), action.case_id),
        "owner": redaction.text(("owner",), action.owner),
        "attempt": attempt.number,
        "submitted_at": rfc3339(action.submitted_at),
        "data": redaction.value(("data",), json.loads(record.data)),
        "case_data": redaction.value(("case_data",), {} if case is None else json.loads(case.data)),
        "callback_url": PLACEHOLDER_URL if expected else None,
        "idempotency_key": action.id,
        "reference": redaction.text(("reference",), action.reference),
    }


def _adapter(config: Config, system: str, adapters: Mapping[str, type[Adapter]]) -> dict[str, Any]:
    configured = config.systems.get(system)
    name = None if configured is None else configured.adapter
    module = None if name is None else adapters[name].__module__.partition(".")[0]
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry_point.dist is not None and entry_point.value.partition(".")[0].partition(":")[0] == module:
            return {"name": name, "version": f"{entry_point.dist.name} {entry_point.dist.version}"}
    return {"name": name, "version": None}


def _settings(config: Config, system: str) -> dict[str, Any]:
    configured = config.systems.get(system)
    plain: dict[str, Any] = {} if configured is None else _plain(configured.settings)
    return plain


def _plain(value: Any) -> Any:
    """Settings as JSON has them, with stars for secrets."""
    match value:
        case pydantic.SecretStr() | pydantic.SecretBytes():
            return STARS
        case pydantic.BaseModel():
            return {name: _plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)
