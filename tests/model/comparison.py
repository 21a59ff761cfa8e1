"""Whether the daemon says the same as the model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from model.driver import Snapshot, at_ms
from model.rules import ATTEMPTING, CLOSED, NOT_DONE, PENDING, SLACK_MS, Action, Model, Response


def compare(model: Model, seen: Snapshot) -> None:
    """Compare everything that ``show``, ``history``, ``attempts``, ``case`` and the outbox say. Asserts."""
    for action_id, action in model.actions.items():
        _compare_card(model, action, seen.shown[action_id])
        _compare_history(action, seen.histories[action_id])
        _compare_attempts(action, seen.attempts[action_id])
    for case_id, case in model.cases.items():
        said = seen.cases[case_id]
        same(case_id, "owner", case.owner, said["owner"])
        same(case_id, "data", case.data, said["data"])
        wanted = {each.id: each.state for each in model.actions.values() if each.case == case_id}
        same(case_id, "actions", wanted, {each["id"]: each["state"] for each in said["actions"]})
        marked = {each.id for each in model.actions.values() if each.case == case_id and _is_marked(each)}
        same(case_id, "marked", marked, {each["id"] for each in said["actions"] if each["highlighted"]})
        labels = {each["label"] for each in said["actions"] if each["highlighted"]}
        assert labels <= {"Closed - Not Done Successfully"}, labels
    _compare_outbox(model, seen)


def same(subject: str, what: str, wanted: Any, said: Any) -> None:
    """Assert that both are equal."""
    assert wanted == said, f"{subject}: {what}: the rules say {wanted!r}, connectord says {said!r}"


def _near(subject: str, what: str, wanted: int | None, said: str | None) -> None:
    at = at_ms(said)
    close = at is not None and wanted is not None and abs(at - wanted) <= SLACK_MS
    assert at == wanted or close, f"{subject}: {what}: the rules say {wanted!r}, connectord says {at!r} ({said})"


def _is_marked(action: Action) -> bool:
    return action.state == CLOSED and action.resolution == NOT_DONE


def _compare_card(model: Model, action: Action, said: dict[str, Any]) -> None:
    name = f"{action.system} {action.id}"
    limit = model.shown_limit(action)
    for what, wanted in {
        "state": action.state,
        "label": model.label(action),
        "reason": action.reason,
        "resolution": action.resolution,
        "rejected_reason": action.rejected_reason,
        "attempts": len(action.attempts),
        "retry_limit": limit,
        "assigned_to": _assigned(action),
        "data": action.data,
        "response_data": action.response_data,
        "rerun_of": action.rerun_of,
        "key": action.key,
        "highlighted": _is_marked(action),
    }.items():
        same(name, what, wanted, said[what])
    _near(name, "submitted_at", action.submitted_at, said["submitted_at"])
    _near(name, "due_at", action.due_at, said["due_at"])
    _near(name, "deadline", action.deadline, said["deadline"])
    closed_at = action.history[-1].at if action.state == CLOSED else None
    _near(name, "closed_at", closed_at, said["closed_at"])
    _compare_late(action, said["late_responses"])
    progress, shown = action.progress, said["progress"]
    same(
        name,
        "progress",
        None if progress is None else (progress.reason, progress.percent),
        None if shown is None else (shown["text"], shown["percent"]),
    )
    _compare_error(action, limit, said)


def _compare_late(action: Action, said: list[dict[str, Any]]) -> None:
    moments = [each["at"] for each in said]
    assert moments == sorted(moments), f"{action.id}: late responses are not in their order: {moments}"
    # those of one millisecond have no order
    wanted = sorted(((repr(_late(each)), at) for each, at in action.late.items()))
    told = sorted((repr((each["status"], each["reason"], each["data"])), each["at"]) for each in said)
    same(action.id, "late_responses", [text for text, _ in wanted], [text for text, _ in told])
    for (text, at), (_, shown) in zip(wanted, told, strict=True):
        _near(f"{action.id}: {text}", "at", at, shown)


def _late(response: Response) -> tuple[str, str | None, dict[str, Any]]:
    return response.status, response.reason, response.fields


def _compare_error(action: Action, limit: int, said: dict[str, Any]) -> None:
    name, error, shown = action.id, action.error, said["connection_error"]
    same(name, "whether there is an error message", error is not None, shown is not None)
    if error is None:
        return
    # rule 7: when it happened, when the next try is, how many tries there were and will be at most
    _near(name, "error.at", error.at, shown["at"])
    _near(name, "error.next_try_at", action.due_at, shown["next_try_at"])
    same(name, "error.attempts", len(action.attempts), shown["attempts"])
    same(name, "error.retry_limit", limit, shown["retry_limit"])
    if error.message is not None:
        assert error.message in shown["message"], f"{name}: {shown['message']}"
    # in words the try that is under way is not counted among those that there were
    tried = len(action.attempts) - (action.state == ATTEMPTING)
    assert f"Tried {tried} of {limit} times" in shown["text"], f"{name}: {shown['text']}"
    if action.state == PENDING:
        assert f"\nNext automatic try at {in_words(action.due_at)}" in shown["text"], f"{name}: {shown['text']}"
    no_further = "No further tries: closed unsuccessfully." in shown["text"]
    same(name, "error.text, no further tries", action.state == CLOSED, no_further)


def in_words(at: int | None) -> str:
    """A time as the error message has it, without its fraction."""
    assert at is not None
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _assigned(action: Action) -> dict[str, str] | None:
    if action.user is not None:
        return {"user": action.user}
    return None if action.todo_queue is None else {"queue": action.todo_queue}


def _compare_history(action: Action, said: list[dict[str, Any]]) -> None:
    changes = [each for each in said if each["from"] != each["to"]]
    wanted = [(each.from_state, each.to_state) for each in action.history]
    same(action.id, "history", wanted, [(each["from"], each["to"]) for each in changes])
    for change, row in zip(action.history, changes, strict=True):
        subject = f"{action.id}: {change.from_state} to {change.to_state}"
        _near(subject, "at", change.at, row["at"])
        rules = row["rules"].replace(",", " ").split()
        # rule 18: why, with the rule that decided (10c is of rule 10)
        numbers = {int("".join(filter(str.isdigit, each))) for each in rules}
        assert change.rule is None or change.rule in numbers, f"{subject}: rule {change.rule} not in {row['rules']}"
        assert row["why"], subject
        same(subject, "who", _kind(change.who), _kind(row["who"]))


def _kind(who: str) -> str:
    return who.partition(":")[0]


def _compare_attempts(action: Action, said: list[dict[str, Any]]) -> None:
    wanted = [(each.manual, each.outcome) for each in action.attempts]
    same(action.id, "attempts", wanted, [(each["manual"], each["outcome"]) for each in said])
    for number, (attempt, row) in enumerate(zip(action.attempts, said, strict=True), 1):
        subject = f"{action.id}: attempt {number}"
        same(subject, "number", number, row["number"])
        _near(subject, "started_at", attempt.started_at, row["started_at"])
        _near(subject, "ended_at", attempt.ended_at, row["ended_at"])


NOTICES = {5: "closed_by_hand", 9: "attempts_exhausted"}


def _compare_outbox(model: Model, seen: Snapshot) -> None:
    wanted = sorted((each.action, each.owner or "", NOTICES[each.rule]) for each in model.outbox)
    said = sorted((each["action"], each["owner"] or "", each["notice"]) for each in seen.notifications)
    same("outbox", "notifications", wanted, said)
