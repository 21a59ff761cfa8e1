"""Cannot be imported."""

from __future__ import annotations

import no_such_module  # type: ignore[import-not-found]  # noqa: F401 - at fault
