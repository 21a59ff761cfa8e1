"""The Python client of a running connectord, for programs such as workflow products; docs/client.md has examples.

:class:`Client` blocks, :class:`AsyncClient` runs under trio. Both have every method of the control socket, typed. What
goes wrong is a :class:`connectord.errors.ControlError`; see that module for what it can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectord.client.sync_client import Client
from connectord.control.params import Submit

if TYPE_CHECKING:
    from connectord.client.trio_client import AsyncClient

__all__ = ["AsyncClient", "Client", "Submit"]


def __getattr__(name: str) -> Any:
    # who blocks need not load trio
    if name == "AsyncClient":
        from connectord.client.trio_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
