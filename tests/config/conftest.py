"""What the tests of the configuration share: an adapter to configure, and a file to configure it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest
from connectord.adapters import Adapter, AdapterSettings
from connectord.config import Config, DurationMs, load_config
from connectord.errors import ConfigurationRefused, Problem

Load = Callable[..., Config]
Refuse = Callable[..., list[Problem]]


def _sealed(value: str) -> str:
    if value.startswith("cracked"):
        raise ValueError(f"this seal is broken: {value!r}")
    return value


class Limits(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    size: int = 10
    strict: bool = False
    note: str | None = None


class FaxSettings(AdapterSettings):
    number: str
    kind: Literal["paper", "mail"] = "paper"
    pages: int = 1
    scale: float = 1.0
    pause: DurationMs = 1_000
    token: pydantic.SecretStr | None = None
    seal: Annotated[str, pydantic.AfterValidator(_sealed)] = "whole"
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    headers: dict[str, str | pydantic.SecretStr] = pydantic.Field(default_factory=dict)
    copies: tuple[str, ...] = ()
    limits: Limits = Limits()
    lines: list[Limits] = pydantic.Field(default_factory=list)


class Fax(Adapter):
    name = "fax"
    Settings = FaxSettings


class PostSettings(AdapterSettings):
    box: int = 1

    @pydantic.model_validator(mode="after")
    def _no_box_thirteen(self) -> PostSettings:
        if self.box == 13:
            raise ValueError("box 13 is walled up")
        if self.box == 14:
            raise RuntimeError("box 14 bites")
        return self


class Post(Adapter):
    name = "post"
    Settings = PostSettings


ADAPTERS: Mapping[str, type[Adapter]] = {"fax": Fax, "post": Post}


@pytest.fixture
def adapters() -> Mapping[str, type[Adapter]]:
    return ADAPTERS


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a configuration from a text; ``environ`` may be given."""

    def load(text: str, *, environ: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "connectord.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, adapters=ADAPTERS, environ=environ or {})

    return load


@pytest.fixture
def refuse(load: Load, tmp_path: Path) -> Refuse:
    """Loads a configuration that must be refused, and gives its problems."""

    def refuse(text: str, *, environ: Mapping[str, str] | None = None) -> list[Problem]:
        with pytest.raises(ConfigurationRefused) as refused:
            load(text, environ=environ)
        problems = list(refused.value.problems)
        assert problems
        assert {problem.file for problem in problems} == {str(tmp_path / "connectord.toml")}
        assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)
        return problems

    return refuse
