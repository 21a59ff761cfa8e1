"""Spans as OTLP, the protocol that every collector of OpenTelemetry takes. Needs the extra ``tracing``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as proto

from connectord import __version__
from connectord.tracing.spans import Kind, Span, Value

_KINDS: Mapping[Kind, proto.Span.SpanKind.ValueType] = {
    "internal": proto.Span.SPAN_KIND_INTERNAL,
    "server": proto.Span.SPAN_KIND_SERVER,
    "client": proto.Span.SPAN_KIND_CLIENT,
}
_NANOSECONDS = 1_000_000
_SAMPLED = 1


def encode(spans: Iterable[Span], *, service_name: str, mask: Callable[[str], str]) -> bytes:
    """A request that exports ``spans``; ``mask`` takes secrets out of every text."""
    request = ExportTraceServiceRequest(
        resource_spans=[
            proto.ResourceSpans(
                resource=Resource(
                    attributes=_attributes({"service.name": service_name, "service.version": __version__}, mask)
                ),
                scope_spans=[
                    proto.ScopeSpans(
                        scope=InstrumentationScope(name="connectord", version=__version__),
                        spans=[_span(span, mask) for span in spans],
                    )
                ],
            )
        ]
    )
    encoded: bytes = request.SerializeToString()
    return encoded


def rejected(answer: bytes) -> tuple[int, str]:
    """How many spans a receiver did not take although it took the request, and why."""
    try:
        response = ExportTraceServiceResponse.FromString(answer)
    except DecodeError:
        return 0, ""  # whatever it is, it came with a 200
    return response.partial_success.rejected_spans, response.partial_success.error_message


def _span(span: Span, mask: Callable[[str], str]) -> proto.Span:
    code = proto.Status.STATUS_CODE_UNSET if span.error is None else proto.Status.STATUS_CODE_ERROR
    return proto.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=b"" if span.parent_id is None else bytes.fromhex(span.parent_id),
        flags=_SAMPLED,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start * _NANOSECONDS,
        end_time_unix_nano=span.end * _NANOSECONDS,
        attributes=_attributes(span.attributes, mask),
        events=[
            proto.Span.Event(
                time_unix_nano=event.at * _NANOSECONDS, name=event.name, attributes=_attributes(event.attributes, mask)
            )
            for event in span.events
        ],
        status=proto.Status(code=code, message="" if span.error is None else mask(span.error)),
    )


def _attributes(attributes: Mapping[str, Value], mask: Callable[[str], str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value, mask)) for key, value in attributes.items()]


def _value(value: Value, mask: Callable[[str], str]) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case _:
            # what a system said may hold a lone surrogate, which UTF-8 cannot carry
            return AnyValue(string_value=mask(value).encode("utf-8", "replace").decode("utf-8"))
