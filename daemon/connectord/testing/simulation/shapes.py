"""The configurations that simulated daemons run with: a fixed pool, so that each text is read once in a process."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from connectord.adapters import Adapter
from connectord.config import Config, load_config
from connectord.extensions import Notifier

SYSTEMS = ("alpha", "beta", "gamma")
POOL = 40
"""How many configurations there are. The first ones have every system; of the others some lack one or two."""
COMPLETE = 10
CONFIG_FILE = Path("/simulated/connectord.toml")
PUBLIC_URL = "http://callbacks.simulated"
QUEUES = ("exceptions", "late-answers")

_PREAMBLE = f"""
[daemon]
state_directory = "/simulated"
control_socket = "/simulated/control.sock"
drain = "5s"
[callbacks]
bind = "127.0.0.1:8470"
public_url = "{PUBLIC_URL}"
[notify]
via = "owners"
[queues]
exceptions = "what went wrong"
late-answers = "what took too long"
[groups]
desk = ["ann", "ben"]
[[allocation]]
reason = "timeout"
queue = "late-answers"
"""
_BETA = """
[[allocation]]
system = "beta"
group = "desk"
"""


@dataclass(frozen=True, slots=True)
class SystemShape:
    """One system as it is configured. Times are whole milliseconds."""

    adapter: str
    limit: int
    delay_ms: int
    factor: float
    max_delay_ms: int
    jitter: float
    timeout_ms: int
    response_expected: bool
    closes_on_timeout: bool
    heartbeat_extends: bool
    concurrency: int
    rate: str | None
    attempt_timeout_ms: int

    @property
    def probes(self) -> bool:
        """Whether the adapter can ask what became of an attempt."""
        return self.adapter == "asked"


@dataclass(frozen=True, slots=True)
class Shape:
    """One configuration: its number in the pool, its text, and what it says."""

    number: int
    text: bytes
    systems: Mapping[str, SystemShape]

    @property
    def widest(self) -> int:
        """How many attempts at once the system bears that bears the most, of those without a rate."""
        return max((each.concurrency for each in self.systems.values() if each.rate is None), default=0)


@cache
def shape(number: int) -> Shape:
    """The configuration of that number in the pool."""
    rng = random.Random(number)  # noqa: S311 - to be the same for ever, not to be secret
    names = list(SYSTEMS)
    if number >= COMPLETE and rng.random() < 0.7:
        for _ in range(rng.choice((1, 1, 2))):
            names.remove(rng.choice(names))
    systems = {name: _system(name, rng) for name in names}
    rules = _PREAMBLE + (_BETA if "beta" in systems else "")
    text = f"# {number}{rules}" + "".join(_toml(name, each) for name, each in systems.items())
    return Shape(number, text.encode(), systems)


def _system(name: str, rng: random.Random) -> SystemShape:
    usual = {"alpha": "plain", "beta": "asked", "gamma": "queued"}[name]
    delay_ms = rng.choice((500, 1_000, 2_000, 5_000))
    return SystemShape(
        adapter=usual if rng.random() < 0.8 else rng.choice(("plain", "asked", "queued")),
        limit=rng.choice((1, 2, 3, 3, 4, 5, 7)),
        delay_ms=delay_ms,
        factor=rng.choice((1.0, 1.5, 2.0)),
        max_delay_ms=delay_ms * rng.choice((1, 2, 4)),
        jitter=rng.choice((0.0, 0.1, 0.5)),
        timeout_ms=rng.choice((5_000, 10_000, 20_000, 40_000)),
        response_expected=rng.random() < 0.85,
        closes_on_timeout=rng.random() < 0.3,
        heartbeat_extends=rng.random() < 0.5,
        concurrency=rng.choice((1, 2, 4, 8)),
        rate=rng.choice((None, None, None, "5/s", "10/m")),
        attempt_timeout_ms=rng.choice((2_000, 4_000)),
    )


def _toml(name: str, system: SystemShape) -> str:
    lines = [
        f"[systems.{name}]",
        f'adapter = "{system.adapter}"',
        f"retry.limit = {system.limit}",
        f'retry.delay = "{system.delay_ms}ms"',
        f"retry.factor = {system.factor}",
        f'retry.max_delay = "{system.max_delay_ms}ms"',
        f"retry.jitter = {system.jitter}",
        f'timeout = "{system.timeout_ms}ms"',
        f"response_expected = {str(system.response_expected).lower()}",
        f'on_timeout = "{"close" if system.closes_on_timeout else "todo"}"',
        f"heartbeat_extends = {str(system.heartbeat_extends).lower()}",
        f"concurrency = {system.concurrency}",
        f'attempt_timeout = "{system.attempt_timeout_ms}ms"',
        f'allocation = {{ queue = "{QUEUES[0]}" }}',
    ]
    if system.rate is not None:
        lines.append(f'rate = "{system.rate}"')
    if system.adapter == "asked":
        lines.append('poll = { interval = "1s", factor = 2.0, max_interval = "8s" }')
    return "\n".join(lines) + "\n"


_read: dict[bytes, Config] = {}


class ConfigurationFile:
    """Reads connectord.toml from a simulated disk, as :func:`connectord.config.load_config` would; each text once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def load(
        self,
        path: Path,
        *,
        adapters: Mapping[str, type[Adapter]],
        environ: Mapping[str, str],
        text: bytes | None = None,
        name: str | None = None,
        notifiers: Mapping[str, type[Notifier]],
    ) -> Config:
        """A :func:`connectord.config.load_config`."""
        content = self._files[path.name] if text is None else text
        config = _read.get(content)
        if config is None:
            more: dict[str, Any] = {"adapters": adapters, "environ": environ, "notifiers": notifiers}
            config = load_config(path, text=content, name=name, **more)
            _read[content] = config
        return config
