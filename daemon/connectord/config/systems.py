"""``[systems.NAME]``: the external systems."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectord.adapters import Adapter, AdapterSettings
from connectord.config.allocations import AllocationReader
from connectord.config.asking import read_healthcheck, read_poll
from connectord.config.circuits import read_circuit
from connectord.config.rates import parse_rate
from connectord.config.retries import read_retry
from connectord.config.scalars import Reader, boolean, choice, duration, parsed, text, whole_number
from connectord.config.secrets import Secrets
from connectord.config.settings import read_settings
from connectord.config.tables import Problems, Table, shown, suggestion
from connectord.config.values import DEFAULT_ATTEMPT_TIMEOUT_MS, DEFAULT_CONCURRENCY, SystemConfig
from connectord.lifecycle.policy import AllocationRule, OnTimeout, Policy, RetryPolicy

HIGHEST_CONCURRENCY = 1_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_DEFAULTS = Policy()
_on_timeout: Reader[OnTimeout] = choice("todo", "close")


class SystemsReader:
    """Reads the tables under ``[systems]`` with what all of them share."""

    def __init__(
        self,
        adapters: Mapping[str, type[Adapter]],
        retry: tuple[Table, RetryPolicy],
        allocation: AllocationReader,
        problems: Problems,
        secrets: Secrets,
    ) -> None:
        self._adapters = adapters
        self._retry_table, self._retry = retry
        self._allocation = allocation
        self._problems = problems
        self._secrets = secrets

    def read(self, systems: Table) -> dict[str, SystemConfig]:
        """Every system whose adapter and settings could be read, in the order of the file."""
        found = {}
        for name, value in systems.values.items():
            if not _NAME.fullmatch(name):
                systems.problem(
                    name,
                    "a system's name has 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a "
                    "letter or a digit",
                )
            table = systems.table(name)
            if isinstance(value, dict) and (system := self._system(name, table)) is not None:
                found[name] = system
        return found

    def _system(self, name: str, table: Table) -> SystemConfig | None:
        adapter = table.require("adapter", self._adapter, f"missing: say what serves this system; {self._installed()}")
        concurrency = table.read("concurrency", whole_number(1, HIGHEST_CONCURRENCY), DEFAULT_CONCURRENCY)
        rate = table.read("rate", parsed(parse_rate), None)
        attempt_timeout_ms = table.read("attempt_timeout", duration(), DEFAULT_ATTEMPT_TIMEOUT_MS)
        settings = None if adapter is None else self._settings(adapter, table)
        policy = Policy(
            timeout_ms=table.read("timeout", duration(), _DEFAULTS.timeout_ms),
            response_expected=table.read("response_expected", boolean, _DEFAULTS.response_expected),
            on_timeout=table.read("on_timeout", _on_timeout, _DEFAULTS.on_timeout),
            heartbeat_extends=table.read("heartbeat_extends", boolean, _DEFAULTS.heartbeat_extends),
            retry=read_retry(table.table("retry"), self._retry, self._retry_table),
            allocation=self._allocation.rules + self._own_rule(name, table),
            poll=read_poll(table, adapter, settings),
            probe=adapter is not None and settings is not None and adapter.offers("probe", settings),
        )
        healthcheck_ms = read_healthcheck(table, adapter, settings)
        circuit = read_circuit(table)
        self._expect_other_adapters(adapter, table)
        table.finish()
        if adapter is None or settings is None:
            return None
        return SystemConfig(
            name=name,
            adapter=adapter.name,
            settings=settings,
            concurrency=concurrency,
            rate=rate,
            attempt_timeout_ms=attempt_timeout_ms,
            policy=policy,
            healthcheck_ms=healthcheck_ms,
            circuit=circuit,
        )

    def _adapter(self, value: object) -> type[Adapter]:
        name = text(value)
        if name not in self._adapters:
            hint = suggestion(name, self._adapters, "installed adapters")
            raise ValueError(f"unknown adapter {shown(name)}; {hint}")
        return self._adapters[name]

    def _installed(self) -> str:
        return f"installed adapters: {', '.join(self._adapters) or 'none'}"

    def _own_rule(self, name: str, table: Table) -> tuple[AllocationRule, ...]:
        own = table.table("allocation")
        if not isinstance(table.values.get("allocation"), dict):
            return ()
        return (self._allocation.own_rule(name, own),)

    def _settings(self, adapter: type[Adapter], table: Table) -> AdapterSettings | None:
        table.expect(adapter.name)
        values = table.values.get(adapter.name, {})
        return read_settings(adapter, values, table.at(adapter.name), self._problems, self._secrets)

    def _expect_other_adapters(self, adapter: type[Adapter] | None, table: Table) -> None:
        named = table.values.get("adapter")
        for key in table.unknown():
            if adapter is None and (key in self._adapters or key == named):
                # whose settings these are is settled once the adapter is
                table.expect(key)
            elif adapter is not None and key in self._adapters:
                table.expect(key)
                table.problem(key, f"these are settings of the adapter {key}, but this system uses {adapter.name}")
