"""The table ``[systems.NAME.amqp]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import pydantic
from connectord.adapters import AdapterSettings
from connectord.config import DurationMs
from pamqp.constants import DOMAIN_REGEX

from connectord_amqp.expressions import check_expression

MEBIBYTE = 1_048_576
PORT, TLS_PORT = 5672, 5671

_LONGEST_SHORT_STRING = 255
_LONGEST_NAME = 127
_LONGEST_HEADER_NAME = 128
_OWN_HEADERS = frozenset({"attempt", "system", "case"})


def _short(text: str) -> str:
    if len(text.encode()) > _LONGEST_SHORT_STRING:
        raise ValueError(f"must have at most {_LONGEST_SHORT_STRING} bytes")
    return text


def _broker_name(text: str) -> str:
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"must have at most {_LONGEST_NAME} characters")
    if DOMAIN_REGEX["queue-name"].fullmatch(text) is None:
        raise ValueError("may have letters, digits, spaces and - _ . : @ # , / + only")
    return text


def _host(text: str) -> str:
    if not text.strip() or any(each in text for each in "/@ ") or "://" in text:
        raise ValueError("must be a host name or an address alone, as in rabbit.internal")
    return text


def _header_name(name: str) -> str:
    if not name or len(name.encode()) > _LONGEST_HEADER_NAME:
        raise ValueError(f"a header's name must have 1 to {_LONGEST_HEADER_NAME} bytes")
    if name in _OWN_HEADERS:
        raise ValueError(f"the header {name} is set by the adapter")
    return name


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


ShortText: TypeAlias = Annotated[str, pydantic.AfterValidator(_short)]
BrokerName: TypeAlias = Annotated[str, pydantic.AfterValidator(_broker_name)]
AbsolutePath: TypeAlias = Annotated[Path, pydantic.AfterValidator(_absolute)]
Expression: TypeAlias = Annotated[str, pydantic.AfterValidator(check_expression)]


class TlsSettings(AdapterSettings):
    """How the connection is secured. The files are read again for every new connection."""

    roots: AbsolutePath | None = None
    """Authorities that the broker's certificate may come from, PEM; None: the machine's own."""

    certificate: AbsolutePath | None = None
    """The certificate that connectord shows, PEM, with the ones between it and its root."""

    key: AbsolutePath | None = None
    """Its private key, PEM; None: it stands in the same file."""

    key_password: pydantic.SecretStr | None = None

    server_name: str | None = None
    """The name that the broker's certificate must bear; None: the host."""

    verify: bool = True
    """Whether the broker's certificate must be valid."""

    @pydantic.model_validator(mode="after")
    def _key_needs_a_certificate(self) -> TlsSettings:
        if self.certificate is None and not (self.key is None and self.key_password is None):
            raise ValueError("key and key_password are of no use without certificate")
        return self


class ReplySettings(AdapterSettings):
    """Where responses come from: a queue that belongs to this system alone."""

    queue: Annotated[BrokerName, pydantic.Field(min_length=1)]

    declare_queue: bool = True
    """Make the queue, durable, where there is none; False: it must be there."""

    queue_type: Literal["classic", "quorum"] | None = None
    """What kind of queue is made; None: what the broker makes by default."""

    prefetch: Annotated[int, pydantic.Field(ge=1, le=1000)] = 64
    """How many responses the broker hands over before the first of them is on disk and acknowledged."""

    dead_letter_exchange: BrokerName | None = None
    """Where a response goes that cannot be used; None: it is dropped. It is an argument of the queue that is made."""

    dead_letter_routing_key: ShortText | None = None
    """The routing key that it gets there; None: the one that it came with."""

    max_body_bytes: Annotated[int, pydantic.Field(ge=1, le=64 * MEBIBYTE)] = MEBIBYTE
    """A longer response cannot be used."""

    response: Expression | None = None
    """JMESPath that makes connectord's own format of a response out of the JSON that came; None: it is that already."""

    @pydantic.model_validator(mode="after")
    def _arguments_need_a_queue_that_is_made(self) -> ReplySettings:
        if not self.declare_queue:
            for name in ("queue_type", "dead_letter_exchange", "dead_letter_routing_key"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} is of no use with declare_queue = false: it belongs to who makes the queue"
                    )
        if self.dead_letter_routing_key is not None and self.dead_letter_exchange is None:
            raise ValueError("dead_letter_routing_key is of no use without dead_letter_exchange")
        return self


class AmqpSettings(AdapterSettings):
    """Settings of the ``amqp`` adapter. Times are milliseconds here, durations such as ``"10s"`` in the file."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    host: Annotated[str, pydantic.AfterValidator(_host)]
    port: Annotated[int, pydantic.Field(ge=1, le=65_535)] | None = None
    """None: 5672, with TLS 5671."""

    vhost: ShortText = "/"
    username: str | None = None
    password: pydantic.SecretStr | None = None
    """Both may be left out where the client certificate says who connects (EXTERNAL)."""

    tls: TlsSettings | None = None
    """None: no TLS."""

    heartbeat: Annotated[DurationMs, pydantic.Field(ge=1_000, le=3_600_000)] = 30_000
    """A connection on which nothing came for twice this time is lost. The broker may ask for less."""

    connect_timeout: DurationMs = 10_000
    """How long connecting may take: name lookup, TCP, TLS, logging in, looking up exchange or queue."""

    confirm_timeout: DurationMs = 30_000
    """How long the broker may take to confirm a message."""

    exchange: BrokerName = ""
    """The exchange that actions are published to; it must be there. Empty: the default one, which routes to the queue
    that bears the routing key as its name."""

    routing_key: ShortText | None = None
    routing_key_from: Expression | None = None
    """JMESPath that takes the routing key from the document that is sent; where it finds none, ``routing_key``."""

    content_type: ShortText = "application/json"
    headers: dict[Annotated[str, pydantic.AfterValidator(_header_name)], pydantic.SecretStr] = pydantic.Field(
        default_factory=dict
    )
    """More headers of every message."""

    max_message_bytes: Annotated[int, pydantic.Field(ge=1, le=512 * MEBIBYTE)] = 16 * MEBIBYTE
    """An action that is longer is rejected; the broker would close the connection over it."""

    replies: ReplySettings | None = None
    """None: responses come by callback, or none is expected."""

    @pydantic.model_validator(mode="after")
    def _somebody_logs_in(self) -> AmqpSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.username is None and (self.tls is None or self.tls.certificate is None):
            raise ValueError("must have username and password, or a client certificate in tls")
        return self

    @pydantic.model_validator(mode="after")
    def _there_is_a_routing_key(self) -> AmqpSettings:
        if self.routing_key is None and self.routing_key_from is None:
            raise ValueError("must have routing_key or routing_key_from")
        return self

    @property
    def where(self) -> str:
        """The broker's address, for people."""
        return f"{self.host}:{self.effective_port}"

    @property
    def effective_port(self) -> int:
        """The port, also where none is given."""
        return self.port or (PORT if self.tls is None else TLS_PORT)
