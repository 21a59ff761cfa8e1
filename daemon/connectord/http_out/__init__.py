"""HTTP/1.1 out: the transport that adapters' httpx clients run on, fast with many requests in flight."""

from connectord.http_out.pool import TransportStatistics
from connectord.http_out.slots import SlottedTransport
from connectord.http_out.transport import PooledTransport
from connectord.http_out.watch import ExchangeWatch

__all__ = ["ExchangeWatch", "PooledTransport", "SlottedTransport", "TransportStatistics"]
