"""The callback listener: ``POST /callback/{token}``, the open door to the network."""

from connectord.callbacks.answers import CallbackAnswer
from connectord.callbacks.connection import CallbackHandler
from connectord.callbacks.door import socket_address
from connectord.callbacks.limits import Limits
from connectord.callbacks.listener import open_callback_listeners, serve_callbacks, serve_http
from connectord.callbacks.tokens import TokenKey

__all__ = [
    "CallbackAnswer",
    "CallbackHandler",
    "Limits",
    "TokenKey",
    "open_callback_listeners",
    "serve_callbacks",
    "serve_http",
    "socket_address",
]
