"""The helpers that decide whether a test runs at all."""

from __future__ import annotations

import pytest
from helpers.programs import require_program


def test_a_missing_program_skips_by_name_and_fails_where_services_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_program("sh").endswith("/sh")
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed; make services"):
        require_program("no-such-program")
    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        require_program("no-such-program")
