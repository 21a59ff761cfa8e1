"""What all tables of the adapter's settings have in common."""

from __future__ import annotations

import pydantic


class SettingsTable(pydantic.BaseModel):
    """A table within ``[systems.NAME.http]``: an unknown key is an error, and no error shows what may be a secret."""

    # what no system uses is never built, so that a start does not wait for it
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)
