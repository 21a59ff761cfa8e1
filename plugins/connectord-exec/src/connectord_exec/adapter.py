"""The ``exec`` adapter: one run of a local command per attempt."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec
from connectord.adapters import Adapter, AdapterContext, Call, NotConnected, Outcome, call_document

from connectord_exec.outcomes import judge
from connectord_exec.processes import Command, limited, run
from connectord_exec.settings import ExecSettings, Limits

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_FILE_BLOCK = 512
_KIBIBYTE = 1024


class ExecAdapter(Adapter):
    """Hands an action to a command on its standard input, and reads the response from its standard output."""

    name = "exec"
    Settings = ExecSettings
    settings: ExecSettings

    def __init__(
        self, settings: ExecSettings, context: AdapterContext, *, environ: Mapping[str, str] = os.environ
    ) -> None:
        super().__init__(settings, context)
        self._arguments = limited(settings.command, _ulimits(settings.limits))
        self._environment = {"PATH": _DEFAULT_PATH}
        for name in (*_INHERITED, *settings.pass_env):
            if name in environ:
                self._environment[name] = environ[name]
        self._environment.update({name: value.get_secret_value() for name, value in settings.env.items()})

    async def trigger(self, call: Call) -> Outcome:
        settings = self.settings
        command = Command(
            arguments=self._arguments,
            directory=str(settings.directory),
            environment={**self._environment, **_variables(call)},
            timeout_seconds=settings.timeout / 1000,
            kill_after_seconds=settings.kill_after / 1000,
            max_output_bytes=settings.max_output_bytes,
        )
        try:
            done = await run(command, msgspec.json.encode(call_document(call)))
        except OSError as error:
            raise NotConnected(f"{settings.command[0]} cannot be started: {error.strerror or error}") from error
        return judge(done, settings)


def _variables(call: Call) -> dict[str, str]:
    values = {
        "CONNECTORD_ACTION_ID": call.action_id,
        "CONNECTORD_SYSTEM": call.system,
        "CONNECTORD_ATTEMPT": str(call.attempt),
        "CONNECTORD_IDEMPOTENCY_KEY": call.idempotency_key,
    }
    if call.case_id is not None:
        values["CONNECTORD_CASE"] = call.case_id.replace("\0", "")
    if call.callback_url is not None:
        values["CONNECTORD_CALLBACK_URL"] = call.callback_url
    return values


def _ulimits(limits: Limits) -> dict[str, int]:
    values = {
        "t": limits.cpu_seconds,
        "v": None if limits.memory_bytes is None else limits.memory_bytes // _KIBIBYTE,
        "f": None if limits.file_bytes is None else limits.file_bytes // _FILE_BLOCK,
        "n": limits.open_files,
    }
    chosen = {letter: value for letter, value in values.items() if value is not None}
    # a command that is killed for its limits leaves no memory image behind
    return {**chosen, "c": 0} if chosen else {}
