"""``[metrics]`` and ``[tracing]``: what other programs may see of the daemon at work."""

from __future__ import annotations

import importlib.util
from urllib.parse import urlsplit

from connectord.config.addresses import parse_bind, parse_target_url
from connectord.config.scalars import number, parsed, text
from connectord.config.secrets import Secrets
from connectord.config.tables import Problems, Table
from connectord.config.values import MetricsSettings, TracingSettings

TRACES_PATH = "/v1/traces"
"""Where an OTLP/HTTP receiver takes spans, unless the endpoint has a path of its own."""

_LIBRARY = "opentelemetry.proto"


def read_metrics(table: Table) -> MetricsSettings | None:
    """The ``[metrics]`` table; None where it names no address."""
    bind = table.read("bind", parsed(parse_bind), None)
    table.finish()
    return None if bind is None else MetricsSettings(*bind)


def read_tracing(table: Table, secrets: Secrets, problems: Problems) -> TracingSettings | None:
    """The ``[tracing]`` table, with ``secrets`` put into its headers; None where it names no endpoint."""
    endpoint = table.read("endpoint", parsed(_endpoint), None)
    header_table = table.table("headers")
    headers = Table(
        {name: secrets.resolve(value, header_table.at(name)) for name, value in header_table.values.items()},
        header_table.path,
        problems,
    )
    given = {name: value for name in headers.values if (value := headers.read(name, _header, None)) is not None}
    for name in headers.values:
        if not (name.isascii() and name.replace("-", "").isalnum()):
            headers.problem(name, "is no name of a header: letters, digits and hyphens")
    sample = table.read("sample", number(0, 1), 1.0)
    service_name = table.read("service_name", text, "connectord")
    table.finish()
    if endpoint is None:
        if table.values and table.sound("endpoint"):
            table.problem("endpoint", 'missing: where the spans go, such as "http://127.0.0.1:4318"')
        return None
    if not _installed():
        table.problem("endpoint", 'traces need what the extra brings: install "connectord[tracing]"')
    return TracingSettings(endpoint, given, sample, service_name)


def _endpoint(address: str) -> str:
    url = parse_target_url(address)
    return url.rstrip("/") + TRACES_PATH if urlsplit(url).path in ("", "/") else url


def _header(value: object) -> str:
    header = text(value)
    if not header.isascii():
        raise ValueError("must be plain ASCII")
    return header


def _installed() -> bool:
    try:
        return importlib.util.find_spec(_LIBRARY) is not None
    except ModuleNotFoundError:
        return False
