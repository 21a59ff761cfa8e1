"""How long a proof is: short in ``make test``, and as long as its make target says."""

from __future__ import annotations

import os


def size(name: str, short: int) -> int:
    """How often, from the environment's ``PROVE_<name>``; ``short`` without it."""
    return int(os.environ.get(f"PROVE_{name}", short))
