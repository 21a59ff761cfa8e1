"""HTTP/1.1 out: the transport that adapters' httpx clients run on, fast with many requests in flight."""

from connectord.http_out.pool import TransportStatistics
from connectord.http_out.slots import SlottedTransport
from connectord.http_out.transport import PooledTransport

__all__ = ["PooledTransport", "SlottedTransport", "TransportStatistics"]
