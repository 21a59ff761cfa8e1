"""What Prometheus and probes may ask: ``GET /metrics``, ``/healthz`` and ``/readyz``, on an address of their own.

prometheus_client is imported only where metrics are configured: :mod:`connectord.metrics.exposition`.
"""

from connectord.metrics.dispatching import measured
from connectord.metrics.listener import serve_metrics
from connectord.metrics.sources import Sources

__all__ = ["Sources", "measured", "serve_metrics"]
