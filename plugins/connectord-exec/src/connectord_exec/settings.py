"""The table ``[systems.NAME.exec]``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import pydantic
from connectord.adapters import AdapterSettings
from connectord.config import DurationMs

MEBIBYTE = 1_048_576
EX_UNAVAILABLE, EX_TEMPFAIL = 69, 75

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have a NUL character")
    return text


def _program(command: list[str]) -> list[str]:
    if not command[0].strip():
        raise ValueError("the program's name must not be empty")
    if not command[0].startswith("/"):
        raise ValueError("must begin with the whole path of the program, such as /usr/local/bin/post-invoice")
    return command


def _variable_name(name: str) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise ValueError("is not the name of an environment variable")
    if name.startswith("CONNECTORD_"):
        raise ValueError("names that begin with CONNECTORD_ are set by the adapter")
    return name


def _variable_value(value: pydantic.SecretStr) -> pydantic.SecretStr:
    _no_nul(value.get_secret_value())
    return value


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


ExitCode: TypeAlias = Annotated[int, pydantic.Field(ge=0, le=255)]
VariableName: TypeAlias = Annotated[str, pydantic.AfterValidator(_variable_name)]


class Limits(AdapterSettings):
    """What one run of the command may use, as setrlimit(2) has it. What is left out has the daemon's own limit."""

    cpu_seconds: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Processor time; the process is killed when it is used up."""

    memory_bytes: Annotated[int, pydantic.Field(ge=MEBIBYTE)] | None = None
    """Address space of each process."""

    file_bytes: Annotated[int, pydantic.Field(ge=0)] | None = None
    """The size of a file that it writes."""

    open_files: Annotated[int, pydantic.Field(ge=8)] | None = None
    """How many files each process may have open."""


class ExecSettings(AdapterSettings):
    """Settings of the ``exec`` adapter. Times are milliseconds here, durations such as ``"10s"`` in the file."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    command: Annotated[
        list[Annotated[str, pydantic.AfterValidator(_no_nul)]],
        pydantic.Field(min_length=1),
        pydantic.AfterValidator(_program),
    ]
    """The program and its arguments. No shell is involved, and nothing of an action is put into them: it comes on
    standard input."""

    directory: Annotated[Path, pydantic.AfterValidator(_absolute)] = Path("/")
    """The working directory."""

    env: dict[VariableName, Annotated[pydantic.SecretStr, pydantic.AfterValidator(_variable_value)]] = pydantic.Field(
        default_factory=dict
    )
    """Environment variables. Nothing else is inherited but ``PATH``, ``LANG``, ``LC_ALL``, ``TZ`` and ``pass_env``."""

    pass_env: list[VariableName] = pydantic.Field(default_factory=list)
    """Variables of the daemon's own environment that are passed on."""

    timeout: DurationMs = 60_000
    """How long it may run. Then its whole process group is asked to end (SIGTERM)."""

    kill_after: DurationMs = 5_000
    """How long it may take to end when asked; then it is killed (SIGKILL)."""

    output: Literal["json", "text", "ignore"] = "json"
    """What standard output is: a response, a text for ``data.output``, or nothing of interest."""

    max_output_bytes: int = pydantic.Field(default=MEBIBYTE, ge=1, le=64 * MEBIBYTE)
    """A command that prints more is stopped, and its attempt has failed."""

    taken_codes: list[ExitCode] = pydantic.Field(default_factory=list)
    """Exit codes that say: taken, the response comes by callback (rule 1)."""

    retry_codes: list[ExitCode] = pydantic.Field(default_factory=lambda: [EX_UNAVAILABLE, EX_TEMPFAIL])
    """Exit codes that say: not now, try again later (rule 12). sysexits(3) has 69 and 75 for it."""

    limits: Limits = pydantic.Field(default_factory=Limits)

    @pydantic.model_validator(mode="after")
    def _no_code_twice(self) -> ExecSettings:
        both = sorted({*self.taken_codes} & {*self.retry_codes})
        if both:
            raise ValueError(f"the exit code {both[0]} stands in taken_codes and in retry_codes")
        return self
