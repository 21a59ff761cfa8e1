"""One OpenTelemetry trace an action, made from what was committed.

What sends them needs the extra ``tracing``; it is imported only where ``[tracing]`` is set.
"""

from connectord.tracing.keeper import TraceKeeper

__all__ = ["TraceKeeper"]
