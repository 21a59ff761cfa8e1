"""``[notify]``: how case owners hear of rule 9."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pydantic

from connectord.config.addresses import is_host, is_ipv6, parse_mail_address, parse_target_url
from connectord.config.scalars import boolean, choice, parsed, text, whole_number
from connectord.config.secrets import Secrets
from connectord.config.settings import read_settings
from connectord.config.tables import Problems, Table
from connectord.config.values import DEFAULT_SMTP_PORT, NotifyKind, NotifySettings, SmtpSettings
from connectord.extensions import Notifier

_BUILT_IN = ("log", "command", "webhook", "smtp")
_KEYS: dict[NotifyKind, tuple[str, ...]] = {
    "log": (),
    "command": ("command",),
    "webhook": ("url",),
    "smtp": ("host", "port", "sender", "username", "password", "starttls"),
}
_REQUIRED: dict[str, str] = {
    "command": 'command = ["/path/to/program", "argument"]',
    "url": 'url = "https://..."',
    "host": 'host = "mail.example.org"',
    "sender": 'sender = "connectord@example.org"',
}


# a secret anywhere else would show in the message that refuses it
_TEXTS = ("command", "url", "host", "sender", "username", "password")


def read_notify(
    table: Table, secrets: Secrets, problems: Problems, notifiers: Mapping[str, type[Notifier]]
) -> NotifySettings:
    """The ``[notify]`` table, with ``secrets`` put into its texts. ``notifiers`` are those that plugins brought."""
    kind_of: Callable[[object], NotifyKind] = choice(*_BUILT_IN, *notifiers)
    table = table.with_values(
        {key: secrets.resolve(value, table.at(key)) if key in _TEXTS else value for key, value in table.values.items()}
    )
    kind: NotifyKind = table.read("via", kind_of, "log")
    settings = None
    for name in notifiers:
        if name == kind and table.sound("via"):
            table.expect(name)
            values = table.values.get(name, {})
            settings = read_settings(notifiers[name], values, table.at(name), problems, secrets, kind="notifier")
        elif name in table:
            table.expect(name)
            if table.sound("via"):
                table.problem(name, f'these are settings of the notifier {name}, but this is via = "{kind}"')
    if table.sound("via"):
        _check_keys(table, kind)
    command = table.read_each("command", text)
    url = table.read("url", parsed(parse_target_url), None)
    smtp = _read_smtp(table, secrets)
    table.finish()
    if "command" in table and table.sound("command") and not command:
        table.problem("command", f"must name a program: {_REQUIRED['command']}")
    return NotifySettings(kind=kind, command=command, url=url, smtp=smtp if kind == "smtp" else None, settings=settings)


def _check_keys(table: Table, kind: NotifyKind) -> None:
    for owner, keys in _KEYS.items():
        for key in keys:
            if owner != kind and key in table:
                table.problem(key, f'belongs to via = "{owner}", but this is via = "{kind}"')
    for key in _KEYS.get(kind, ()):
        if key in _REQUIRED and key not in table:
            table.problem(key, f'missing: via = "{kind}" needs it, such as {_REQUIRED[key]}')


def _read_smtp(table: Table, secrets: Secrets) -> SmtpSettings:
    password = table.read("password", text, None)
    if password is not None and table.at("password") not in secrets.resolved:
        table.problem(
            "password", 'must not stand in the file: write { credential = "NAME" } or { env = "NAME" } instead'
        )
    username = table.read("username", text, None)
    for key, other in (("username", "password"), ("password", "username")):
        if key in table and other not in table and table.sound(key):
            table.problem(other, f"missing: {key} is set, and the two go together")
    return SmtpSettings(
        host=table.read("host", _host, None) or "",
        port=table.read("port", whole_number(1, 65_535), DEFAULT_SMTP_PORT),
        sender=table.read("sender", _sender, None) or "",
        username=username,
        password=None if password is None else pydantic.SecretStr(password),
        # nobody's password goes over the wire in the clear unless the file says so
        starttls=table.read("starttls", boolean, "password" in table),
    )


def _host(value: object) -> str:
    host = text(value)
    if not is_host(host) and not is_ipv6(host):
        raise ValueError("must be a host name or an IP address; the port stands in port")
    return host


def _sender(value: object) -> str:
    sender = text(value)
    try:
        parse_mail_address(sender)
    except ValueError as error:
        raise ValueError(f"must be a mail address, such as connectord@example.org: {error}") from error
    return sender
