"""Secrets: never in the file, only named there.

``{ credential = "NAME" }`` reads ``$CREDENTIALS_DIRECTORY/NAME``, as systemd's LoadCredential= provides it, and
``{ env = "NAME" }`` an environment variable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from connectord.config.annotations import field_types, is_list, is_model, is_table, item_type, options_of, value_type
from connectord.config.positions import KeyPath
from connectord.config.tables import Problems
from connectord.observability import spellings

STARS = "**********"
"""What is shown in a secret's place."""

LARGEST_CREDENTIAL = 1_048_576
"""The most bytes that a credential's file may have."""

_KINDS = ("credential", "env")
_PLACEHOLDER = "unavailable"
_WITHHELD = "the adapter refuses this; its reason is not shown, for it seems to repeat a part of a secret"

# so many characters in a row, found in a secret too, count as a part of it
_LONGEST_PIECE = 4


class SecretText(str):
    """A secret where it was put into settings, so that a validator that takes any text can tell it from the others.

    A field that pydantic validates as ``str`` or ``SecretStr`` holds a plain string. Encoders such as msgspec take no
    subclass of one, so whoever keeps this hands out ``str(secret)``.
    """

    __slots__ = ()


class Secrets:
    """Puts secrets into values and remembers them."""

    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self._problems = problems
        self._values: dict[str, None] = {}
        self.resolved: set[KeyPath] = set()
        """Where secrets were put in."""

    @property
    def values(self) -> tuple[str, ...]:
        """Every secret that was read, each once."""
        return tuple(self._values)

    def resolve(self, value: Any, path: KeyPath, expected: Any = Any) -> Any:
        """``value`` with each secret put in where ``expected``, the annotation of a field, wants no table.

        A table named for what it holds, such as ``headers = { env = "test" }``, stays a table where the model wants
        one. A secret that cannot be read becomes a problem at its key, and some text in its place.
        """
        options = options_of(expected)
        if isinstance(value, list):
            items = next((item_type(option) for option in options if is_list(option)), Any)
            return [self.resolve(item, (*path, index), items) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and next(iter(value)) in _KINDS and not all(is_table(option) for option in options):
            return self._read(value, path)
        models = [option for option in options if is_model(option)]
        fields = {key: kind for model in models for key, kind in field_types(model).items()}
        if models:
            # an unknown key is left alone: it is reported as such, whatever it holds
            return {
                key: self.resolve(item, (*path, key), fields[key]) if key in fields else item
                for key, item in value.items()
            }
        for option in options:
            if is_table(option):
                items = value_type(option)
                return {key: self.resolve(item, (*path, key), items) for key, item in value.items()}
        return value

    def hide(self, text: str) -> str:
        """``text`` with stars in the place of every secret; something else if it shows a piece of one even then."""
        hidden = hide_secrets(text, self._values)
        pieces = {hidden[start : start + _LONGEST_PIECE] for start in range(len(hidden) - _LONGEST_PIECE + 1)}
        if any(piece in secret for piece in pieces for secret in self._values):
            return _WITHHELD
        return hidden

    def _read(self, reference: Mapping[str, Any], path: KeyPath) -> str:
        [(kind, name)] = reference.items()
        try:
            value = self._credential(_name(name)) if kind == "credential" else self._variable(_name(name))
        except ValueError as error:
            self._problems.add(path, str(error))
            return _PLACEHOLDER
        self._values[value] = None
        self.resolved.add(path)
        return SecretText(value)

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise ValueError(f"the environment variable {name} is not set: set it for the daemon")
        if not value:
            raise ValueError(f"the environment variable {name} is empty: set it to the secret")
        return value

    def _credential(self, name: str) -> str:
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ValueError(
                f"$CREDENTIALS_DIRECTORY is not set: add LoadCredential={name}:FILE to the systemd unit, or set "
                f"it to a directory that holds a file {name}"
            )
        file = Path(directory, name)
        try:
            with file.open("rb") as stream:
                content = stream.read(LARGEST_CREDENTIAL + 1)
        except FileNotFoundError:
            raise ValueError(
                f"there is no file {name} in $CREDENTIALS_DIRECTORY ({directory}): add LoadCredential={name}:FILE "
                "to the systemd unit"
            ) from None
        except OSError as error:
            raise ValueError(f"{file} cannot be read: {error.strerror}") from error
        if len(content) > LARGEST_CREDENTIAL:
            raise ValueError(f"{file} has more than {LARGEST_CREDENTIAL} bytes")
        try:
            value = content.decode().removesuffix("\n")
        except UnicodeDecodeError:
            # the error would carry the secret's bytes along
            raise ValueError(f"{file} is not UTF-8 text") from None
        if not value:
            raise ValueError(f"{file} is empty: put the secret into it")
        return value


def hide_secrets(text: str, secrets: Collection[str]) -> str:
    """``text`` with stars in the place of every one of ``secrets``, also where it stands there quoted."""
    # the longest first, for one may be part of another
    for secret in sorted(secrets, key=len, reverse=True):
        for spelling in sorted(spellings(secret), key=len, reverse=True):
            text = text.replace(spelling, STARS)
    return text


def _name(name: object) -> str:
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError("the name of a secret must be a string, and not empty")
    if "/" in name or name in (".", ".."):
        raise ValueError(f'"{name}" is no name of a secret: it names a file or a variable, and may not contain "/"')
    return name
