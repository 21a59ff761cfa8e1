"""Why an action is where it is, in plain words.

What it waits for and until when, which rules and which configuration decided, what comes next by itself, what can be
done now. A pure function of the action's story and of how things are: no clock, no store.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectord.lifecycle.action import Action
from connectord.lifecycle.circumstances import Decision, Present, Story
from connectord.lifecycle.events import RetryRequested
from connectord.lifecycle.facts import facts
from connectord.lifecycle.outlook import outlook
from connectord.lifecycle.remedies import Remedy, remedies
from connectord.lifecycle.transitions import refusal
from connectord.lifecycle.wording import (
    closed_label,
    format_moment,
    one_line,
    quoted,
    rules_text,
    state_label,
    who_text,
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to 'why?'. Sentences are whole ones, in English; times are milliseconds, UTC.

    ``label`` is the state as people see it. ``until`` is None where nothing sets an end to the wait. ``next`` is what
    happens by itself, ``known`` what else there is to know, ``can_do`` what a person can do now. ``text`` says it all.
    """

    label: str
    waits_for: str
    until: int | None
    decided_by: Decision
    decision: str
    next: tuple[str, ...]
    known: tuple[str, ...]
    can_do: tuple[Remedy, ...]
    text: str


def explain(story: Story, present: Present) -> Explanation:
    """Explain an action. Total: every state after every event has an explanation."""
    action = story.action
    label = closed_label(action) or state_label(action)
    ahead = outlook(story, present)
    decision = _decision_text(story.newest, present)
    known = tuple(facts(story, present))
    can_do = remedies(action, present)
    sections = (
        ("Now", (ahead.waits_for,)),
        ("Until", () if ahead.until is None else (format_moment(ahead.until, present.now),)),
        ("Because", decision),
        ("Next", ahead.next),
        ("Known", known),
        ("You can", _aligned(can_do) or (f"only wait: {refusal(action.state, RetryRequested)}",)),
    )
    return Explanation(
        label=label,
        waits_for=ahead.waits_for,
        until=ahead.until,
        decided_by=story.newest,
        decision=" ".join(decision),
        next=ahead.next,
        known=known,
        can_do=can_do,
        text="\n".join((_headline(action, label), "", *_lines(sections))),
    )


def _headline(action: Action, label: str) -> str:
    case = "" if action.case_id is None else f", case {one_line(action.case_id)}"
    return f"{action.id} in {action.system}{case}: {label}"


def _decision_text(decision: Decision, present: Present) -> tuple[str, ...]:
    rules = rules_text(decision.rules)
    sentences = [f"{rules[0].upper()}{rules[1:]}: {one_line(decision.why)}."]
    under = ""
    if decision.config_version is not None:
        under = f", under version {decision.config_version} of the configuration"
        if decision.config_version != present.config_version:
            under += f"; version {present.config_version} is in force now"
    sentences.append(f"Decided at {format_moment(decision.at, present.now)} by {who_text(decision.who)}{under}.")
    if decision.note is not None:
        sentences.append(f"The note says {quoted(decision.note)}.")
    return tuple(sentences)


def _aligned(can_do: tuple[Remedy, ...]) -> tuple[str, ...]:
    width = max((len(remedy.words) for remedy in can_do), default=0)
    return tuple(f"{remedy.words.ljust(width)}  {remedy.command}" for remedy in can_do)


def _lines(sections: tuple[tuple[str, tuple[str, ...]], ...]) -> list[str]:
    width = max(len(name) for name, _ in sections)
    return [
        f"{(name if first else '').ljust(width)}  {sentence}"
        for name, sentences in sections
        for first, sentence in ((number == 0, text) for number, text in enumerate(sentences))
    ]
