"""What a check found: all right, worth a look, or wrong; what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from connectord.control import results as r


def fine(check: str, seen: str, about: str | None = None) -> r.Finding:
    """All right."""
    return r.Finding(check=check, about=about, level="ok", seen=seen, advice=None)


def warning(check: str, seen: str, advice: str, about: str | None = None) -> r.Finding:
    """Worth a look; nothing stands still because of it."""
    return r.Finding(check=check, about=about, level="warning", seen=seen, advice=advice)


def error(check: str, seen: str, advice: str, about: str | None = None) -> r.Finding:
    """Wrong: something does not work, or soon will not, or a secret lies open."""
    return r.Finding(check=check, about=about, level="error", seen=seen, advice=advice)


def diagnosis(findings: Iterable[r.Finding]) -> r.Diagnosis:
    """All findings, counted."""
    found = list(findings)
    return r.Diagnosis(
        findings=found,
        errors=sum(finding.level == "error" for finding in found),
        warnings=sum(finding.level == "warning" for finding in found),
    )
