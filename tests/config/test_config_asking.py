"""``poll`` and ``healthcheck``: what an adapter can do decides whether they may stand there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from connectord.adapters import Adapter, Call, Deliver, NotThere, PollAnswer, ProbeAnswer, has_method
from connectord.config import Config, diff, load_config
from connectord.errors import ConfigurationRefused
from connectord.lifecycle.policy import PollPolicy

SYSTEM = '[systems.f]\nadapter = "asking"\n'


class Asking(Adapter):
    name = "asking"

    async def poll(self, call: Call) -> PollAnswer:
        return None

    async def probe(self, call: Call) -> ProbeAnswer:
        return NotThere()

    async def healthcheck(self) -> None:
        return None


class Heir(Asking):
    name = "heir"


class Plain(Adapter):
    name = "plain"


ADAPTERS: Mapping[str, type[Adapter]] = {each.name: each for each in (Asking, Heir, Plain)}


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "connectord.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, adapters=ADAPTERS, environ={})


def refuse(tmp_path: Path, text: str) -> tuple[int, str, str]:
    with pytest.raises(ConfigurationRefused) as refused:
        load(tmp_path, text)
    (problem,) = refused.value.problems
    return problem.line, problem.key, problem.message


def test_what_a_class_overrides_it_has() -> None:
    methods = ("poll", "probe", "listen", "healthcheck")
    assert [has_method(Plain, name) for name in methods] == [False] * 4
    assert [has_method(Heir, name) for name in methods] == [True, True, False, True]

    class Listening(Plain):
        async def listen(self, deliver: Deliver) -> None:
            raise NotImplementedError

    assert [has_method(Listening, name) for name in methods] == [False, False, True, False]


@pytest.mark.parametrize("adapter", ["asking", "heir"])
def test_the_defaults_of_an_adapter_that_asks(tmp_path: Path, adapter: str) -> None:
    system = load(tmp_path, f'[systems.f]\nadapter = "{adapter}"\n').systems["f"]
    assert system.policy.poll == PollPolicy(10_000, 1.5, 300_000, 0.1)
    assert (system.policy.probe, system.healthcheck_ms) == (True, 30_000)


def test_an_adapter_that_does_not_ask(tmp_path: Path) -> None:
    system = load(tmp_path, '[systems.f]\nadapter = "plain"\nhealthcheck = "off"\n').systems["f"]
    assert (system.policy.poll, system.policy.probe, system.healthcheck_ms) == (None, False, None)


def test_every_key(tmp_path: Path) -> None:
    text = f'{SYSTEM}poll = {{ interval = "1s", factor = 2, max_interval = "1h", jitter = 0 }}\nhealthcheck = "off"\n'
    system = load(tmp_path, text).systems["f"]
    assert system.policy.poll == PollPolicy(1_000, 2.0, 3_600_000, 0.0)
    assert system.healthcheck_ms is None


@pytest.mark.parametrize(
    ("line", "key", "says"),
    [
        ('poll.interval = "99ms"', "poll.interval", 'at least "100ms"'),
        ("poll.interval = 10", "poll.interval", 'a string with a unit: "10s"'),
        ("poll.factor = 0.5", "poll.factor", "from 1 to 100"),
        ("poll.jitter = 2", "poll.jitter", "from 0 to 1"),
        ('poll.intervall = "10s"', "poll.intervall", 'did you mean "interval"?'),
        (
            'poll.interval = "10m"',
            "poll.interval",
            'must be at most max_interval, which is "5m": lower it, or raise max_interval',
        ),
        ('poll.max_interval = "5s"', "poll.max_interval", 'must be at least interval, which is "10s": raise it'),
        ("poll = true", "poll", "must be a table, not true"),
        ('healthcheck = "100ms"', "healthcheck", 'must be at least "1s", not "100ms", or "off"'),
        ("healthcheck = false", "healthcheck", 'must be a duration such as "30s", not false, or "off"'),
    ],
)
def test_mistakes(tmp_path: Path, line: str, key: str, says: str) -> None:
    number, where, message = refuse(tmp_path, SYSTEM + line)
    assert (number, where) == (3, f"systems.f.{key}")
    assert says in message


def test_an_adapter_that_does_not_poll_may_have_no_schedule(tmp_path: Path) -> None:
    text = '[systems.f]\nadapter = "plain"\npoll.interval = "10s"\n'
    assert refuse(tmp_path, text) == (3, "systems.f.poll", "the adapter plain does not poll: leave this out")
    text = '[systems.f]\nadapter = "plain"\nhealthcheck = "10s"\n'
    assert refuse(tmp_path, text)[1:] == (
        "systems.f.healthcheck",
        'the adapter plain has none: leave this out, or say "off"',
    )


def test_an_unknown_adapter_is_one_problem(tmp_path: Path) -> None:
    text = '[systems.f]\nadapter = "askng"\npoll.interval = "10s"\nhealthcheck = "10s"\n'
    assert refuse(tmp_path, text)[1] == "systems.f.adapter"


def test_a_change_is_named(tmp_path: Path) -> None:
    old = load(tmp_path, SYSTEM)
    new = load(tmp_path, SYSTEM + 'poll.interval = "20s"\nhealthcheck = "off"\n')
    assert [(change.key, change.old, change.new) for change in diff(old, new).changed["f"]] == [
        ("healthcheck", "30s", "(not set)"),
        ("poll.interval", "10s", "20s"),
    ]
