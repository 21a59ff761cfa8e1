"""What ``connectorctl doctor`` prints: what is wrong first, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectord.cli.colours import alarming, fine, warning
from connectord.cli.rendering import clean

_MARKS = {"error": "ERROR", "warning": "warning", "ok": "ok"}
_COLOURS = {"error": alarming, "warning": warning, "ok": fine}


def diagnosis_text(diagnosis: Mapping[str, Any], *, everything: bool) -> str:
    """The findings in the order of how bad they are; with ``everything`` those that are all right, too."""
    findings = diagnosis.get("findings") or []
    lines = [_summary(diagnosis, findings)]
    for level in ("error", "warning", *(("ok",) if everything else ())):
        for finding in findings:
            if finding.get("level") == level:
                lines += _finding(finding)
    return "\n".join(lines)


def _summary(diagnosis: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> str:
    errors, warnings = diagnosis.get("errors") or 0, diagnosis.get("warnings") or 0
    good = len(findings) - errors - warnings
    text = f"{errors} {'error' if errors == 1 else 'errors'}, {warnings} {'warning' if warnings == 1 else 'warnings'}"
    colour = alarming if errors else warning if warnings else fine
    return colour(f"{text}, {good} ok")


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    level = str(finding.get("level"))
    about = "" if finding.get("about") is None else f" ({clean(finding['about'])})"
    mark = _COLOURS.get(level, warning)(_MARKS.get(level, clean(level)).ljust(7))
    yield f"{mark}  {clean(finding.get('check'))}{about}: {clean(finding.get('seen'))}"
    if finding.get("advice"):
        yield f"         {clean(finding['advice'])}"
