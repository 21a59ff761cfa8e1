"""Allocation rules, groups and queues as they come out of the file, and JMESPath conditions."""

from __future__ import annotations

from typing import Any

import pytest
from connectord.config.conditions import LONGEST_FAILURE, compile_expression
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Group
from structlog.testing import capture_logs

EVERYTHING = """\
[groups]
seniors = ["anna", "ben"]
spare = ["eva"]
[queues]
late = "answers that never came"
by-hand = "what only people can do"
default = "everything else"
[[allocation]]
reason = "timeout"
queue = "late"
[[allocation]]
system = "a"
owner = "olga"
when = "data.amount > `1000`"
group = "seniors"
[[allocation]]
owner = ["olga", "otto", "olga"]
to_owner = true
[[allocation]]
user = "maria"
[systems.a]
adapter = "post"
allocation = { group = "spare" }
[systems.b]
adapter = "post"
allocation = { queue = "b-exceptions" }
"""


def test_every_kind_of_rule(load) -> None:
    config = load(EVERYTHING)
    rules = (
        AllocationRule(Assignee(queue="late"), reason="timeout"),
        AllocationRule(
            Group("seniors", ("anna", "ben")),
            system="a",
            owners=("olga",),
            when=compile_expression("data.amount > `1000`", "anywhere"),
        ),
        AllocationRule(CaseOwner(), owners=("olga", "otto")),
        AllocationRule(Assignee(user="maria")),
    )
    assert config.unconfigured.allocation == rules
    own = AllocationRule(Group("spare", ("eva",)), system="a")
    assert config.systems["a"].policy.allocation == (*rules, own)
    assert config.groups == {"seniors": ("anna", "ben"), "spare": ("eva",)}


def test_the_known_queues_are_the_default_the_declared_the_named_and_the_groups(load) -> None:
    assert load("").queues == {"default": None}
    assert load(EVERYTHING).queues == {
        "default": "everything else",
        "late": "answers that never came",
        "by-hand": "what only people can do",
        "b-exceptions": None,
        "seniors": None,
        "spare": None,
    }


def test_several_mistakes_about_people_are_all_reported(refuse) -> None:
    problems = refuse("""\
[groups]
g = ["a", "a", ""]
[queues]
q = []
[[allocation]]
when = "a b"
owner = []
group = "gg"
qeue = "x"
""")
    assert [(problem.line, problem.key) for problem in problems] == [
        (2, "groups.g[1]"),
        (2, "groups.g[2]"),
        (4, "queues.q"),
        (6, "allocation[0].when"),
        (7, "allocation[0].owner"),
        (8, "allocation[0].group"),
        (9, "allocation[0].qeue"),
    ]


DOCUMENT: dict[str, Any] = {
    "id": "01J",
    "reason": "timeout",
    "owner": None,
    "data": {"amount": 1500, "currency": "EUR", "lines": [{"vendor": "x"}, {"vendor": "y"}], "none": [], "zero": 0},
    "response": {},
}


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ("data.amount > `1000`", True),
        ("data.amount > `2000`", False),
        ("data.amount > `1000` && reason == 'timeout'", True),
        ("data.lines[?vendor == 'y']", True),
        ("data.lines[?vendor == 'z']", False),
        ("length(data.lines) == `2`", True),
        ("contains(['EUR', 'CHF'], data.currency)", True),
        ("starts_with(id, '01')", True),
        ("type(reason) == 'string'", True),
        ("\n  data.amount > `1`\n", True),
        # JMESPath's own truth: null, false, and what is empty are not true; 0 is
        ("owner", False),
        ("nothing.of.the.kind", False),
        ("response", False),
        ("data.none", False),
        ("''", False),
        ("`false`", False),
        ("data.zero", True),
        ("`0.0`", True),
        ("@", True),
    ],
)
def test_what_a_condition_matches(expression: str, matches: bool) -> None:
    assert compile_expression(expression, "allocation[0].when").matches(DOCUMENT) is matches


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("length(data.amount)", "In function length(), invalid type for value: 1500"),
        ("contains(data.currency, `5`)", "requires string as left operand"),
        ("sort_by(data.lines, &amount)", "invalid type for value"),
    ],
)
def test_a_condition_that_fails_does_not_match_and_is_logged_once_a_rule(expression: str, words: str) -> None:
    rules = [compile_expression(expression, f"allocation[{number}].when") for number in range(2)]
    with capture_logs() as logs:
        for _ in range(3):
            assert [rule.matches(DOCUMENT) for rule in rules] == [False, False]
    assert [entry["rule"] for entry in logs] == ["allocation[0].when", "allocation[1].when"]
    assert all(words in entry["error"] and entry["when"] == expression for entry in logs)


@pytest.mark.parametrize("value", [10**4_000, 10**5_000, ["x"] * 10_000], ids=["long", "endless", "many"])
def test_a_long_value_does_not_fill_the_log(value: object) -> None:
    with capture_logs() as logs:
        assert not compile_expression("abs(data)", "allocation[0].when").matches({"data": [value]})
    assert 0 < len(logs[0]["error"]) <= LONGEST_FAILURE + 3


def test_a_failure_does_not_make_two_equal_conditions_differ() -> None:
    failed, fresh = (compile_expression("length(data)", f"rule {number}") for number in range(2))
    failed.matches({})
    assert failed == fresh
    assert failed != compile_expression("length(id)", "rule 0")
