"""The table ``[systems.NAME.sftp]``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import jmespath
import pydantic
from connectord.adapters import AdapterSettings
from connectord.config import DurationMs
from jmespath.exceptions import JMESPathError

from connectord_sftp.names import NameTemplate

MEBIBYTE = 1_048_576
SSH_PORT = 22
MARKER = ".done"

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)
_MODE = re.compile(r"0?[0-7]{3}", re.ASCII)


def _directory(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be the path of a directory on the server")
    return text.rstrip("/") or "/"


def _fingerprint(text: str) -> str:
    text = text.rstrip("=")
    if _FINGERPRINT.fullmatch(text) is None:
        raise ValueError("is not a fingerprint, as in SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s")
    return text


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _mode(text: str) -> str:
    if _MODE.fullmatch(text) is None:
        raise ValueError('must be a file mode in octal, such as "0640"')
    return text


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except (JMESPathError, RecursionError, ValueError) as error:
        raise ValueError(f"is not JMESPath: {error}") from None
    return text


def _line(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("must be one line of text, and not be empty")
    return text


Directory: TypeAlias = Annotated[str, pydantic.AfterValidator(_directory)]
Line: TypeAlias = Annotated[str, pydantic.AfterValidator(_line)]


class Content(AdapterSettings):
    """What a file holds: connectord's own document of the action, unless this says otherwise."""

    expr: Annotated[str, pydantic.AfterValidator(_expression)] | None = None
    """A value chosen from that document by JMESPath, such as ``action.data.payments``."""

    format: Literal["json", "text", "csv"] = "json"
    """How the value is written: ``text`` is a string as it is, ``csv`` a list of objects."""

    columns: list[str] = pydantic.Field(default_factory=list)
    """The columns of a csv, in this order: keys of the objects."""

    header: bool = True
    """Whether a csv begins with the names of its columns."""

    delimiter: Literal[",", ";", "\t", "|"] = ","

    line_end: Literal["\r\n", "\n"] = "\r\n"
    """RFC 4180 has ``\\r\\n``."""

    encoding: Literal["utf-8", "utf-8-sig", "iso-8859-1", "iso-8859-15", "windows-1252"] = "utf-8"
    """Of text and csv; JSON is UTF-8."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Content:
        if self.format != "json" and self.expr is None:
            raise ValueError(f"{self.format} needs expr: what of the action is written")
        if self.format == "csv" and not self.columns:
            raise ValueError("csv needs columns")
        if self.format != "csv" and self.columns:
            raise ValueError('columns belong to format = "csv"')
        if self.format == "json" and self.encoding != "utf-8":
            raise ValueError('JSON is UTF-8: encoding belongs to format = "text" and "csv"')
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns must not name one twice")
        return self


class ResponseFiles(AdapterSettings):
    """Where the system puts its responses, and what becomes of them."""

    directory: Directory

    name: NameTemplate = NameTemplate.parse("{id}.response.json")

    complete: Literal["stable", "renamed", "marker"] = "stable"
    """When a file is whole: ``stable``, once its size and time have not changed for ``stable_for`` and it is whole
    JSON; ``renamed``, at once, for systems that write under another name and rename; ``marker``, once a file of the
    same name with ``.done`` behind it is there."""

    stable_for: DurationMs = 2_000

    max_bytes: int = pydantic.Field(default=MEBIBYTE, ge=1, le=64 * MEBIBYTE)
    """A larger file is not read: the action is To Do (rule 3)."""

    after: Literal["keep", "archive", "delete"] = "keep"
    """What becomes of a file whose response is on disk."""

    archive: Directory | None = None
    """Where to, for ``after = "archive"``: a directory on the same file system of the server."""

    sweep: DurationMs = 10_000
    """How often the directory is looked through for files to archive or delete, and for late responses (rule 15)."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> ResponseFiles:
        if (self.after == "archive") != (self.archive is not None):
            raise ValueError('archive and after = "archive" belong together')
        if self.archive == self.directory:
            raise ValueError("archive must be another directory than directory")
        return self


class SftpSettings(AdapterSettings):
    """Settings of the ``sftp`` adapter. Times are milliseconds here, durations such as ``"10s"`` in the file."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    host: Line

    port: int = pydantic.Field(default=SSH_PORT, ge=1, le=65_535)

    user: Line

    private_key: pydantic.SecretStr | None = None
    """Ed25519, ECDSA or RSA, as ``ssh-keygen`` writes it."""

    passphrase: pydantic.SecretStr | None = None
    """Of the private key, where it is encrypted."""

    password: pydantic.SecretStr | None = None
    """Used where there is no key, the key is not accepted, or the server wants both."""

    known_hosts: Annotated[Path, pydantic.AfterValidator(_absolute)] | None = None
    """A file with the server's host keys, as ssh has it; read anew for each connection."""

    host_key: (
        Annotated[list[Annotated[str, pydantic.AfterValidator(_fingerprint)]], pydantic.Field(min_length=1)] | None
    ) = None
    """The server's host keys, as fingerprints; more than one while a key is being changed."""

    insecure_accept_any_host_key: bool = False
    """Whether to talk to whoever answers, instead. Never across a network."""

    connect_timeout: DurationMs = 10_000
    """How long connecting may take: name lookup, TCP, keys and login together."""

    timeout: DurationMs = 30_000
    """How long handing over one file, or one look, may take."""

    keepalive: DurationMs = 15_000
    """How often an idle connection is kept alive."""

    connections: int = pydantic.Field(default=4, ge=1, le=64)
    """How many connections there are at most; ``concurrency`` bounds them too."""

    directory: Directory
    """Where files for the system are put."""

    name: NameTemplate = NameTemplate.parse("{id}.json")

    mode: Annotated[str, pydantic.AfterValidator(_mode)] | None = None
    """The file's mode in octal, such as ``"0640"``; what the server gives it if left out."""

    content: Content = pydantic.Field(default_factory=Content)

    taken_directories: list[Directory] = pydantic.Field(default_factory=list)
    """Where the system moves files that it has taken, under the same name: there they count as handed over."""

    if_missing: Literal["retry", "hold"] = "retry"
    """What to do where the daemon cannot know whether a file was handed over (rule 14) and it is not there."""

    response: Literal["none"] | ResponseFiles
    """``"none"``: no response files; for ``response_expected = false``, or a response by callback."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> SftpSettings:
        if self.private_key is None and self.password is None:
            raise ValueError("needs private_key or password")
        if self.passphrase is not None and self.private_key is None:
            raise ValueError("passphrase is the private key's: set private_key, or leave it out")
        ways = (self.known_hosts is not None, self.host_key is not None, self.insecure_accept_any_host_key)
        if sum(ways) != 1:
            raise ValueError("needs one of known_hosts and host_key: who the server is must be checked")
        if self.private_key is not None:
            from connectord_sftp.keys import KeyUnusable, read_private_key

            passphrase = None if self.passphrase is None else self.passphrase.get_secret_value()
            try:
                read_private_key(self.private_key.get_secret_value(), passphrase)
            except KeyUnusable as error:
                raise ValueError(str(error)) from None
        if self.response != "none":
            self._check_response(self.response)
        return self

    def _check_response(self, response: ResponseFiles) -> None:
        if self.directory == response.directory and self.name == response.name:
            raise ValueError("response.name must be another one than name, or response.directory another directory")
