"""What a submission answers is what ``show`` says of the action."""

from __future__ import annotations

from typing import Any

import msgspec
from connectord.control.views import NewActionViews, action_view
from connectord.lifecycle.action import Action, replace
from connectord.store.base import ActionRecord

NOW = 1_764_000_000_000
FIRST = Action("01", "billing", NOW, due_at=NOW, scheduled_at=NOW)
LIMITS = {"billing": 5, "stock": 2}


def test_actions_that_are_submitted_together_are_shown_each_as_it_is() -> None:
    submitted: list[tuple[Action, dict[str, Any]]] = [
        (FIRST, {"n": 1}),
        (replace(FIRST, id="02"), {"n": [2]}),
        (replace(FIRST, id="03", system="stock"), {}),
        (replace(FIRST, id="04", case_id="C-1"), {"n": 4}),
        (replace(FIRST, id="05", case_id="C-1", owner="olga"), {"n": 5}),
        (replace(FIRST, id="06", due_at=NOW + 1, scheduled_at=NOW + 1), {"n": 6}),
        (replace(FIRST, id="07", submitted_at=NOW + 2), {"n": 7}),
        (replace(FIRST, id="08", system="gone"), {"n": 8}),
        (replace(FIRST, id="09", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01"), {"n": 9}),
        (replace(FIRST, id="10"), {"n": 10}),
    ]
    views = NewActionViews(LIMITS.get)
    for action, data in submitted:
        record = ActionRecord(action, None, None, msgspec.json.encode(data).decode(), "{}")
        assert views.of(action, data) == action_view(record, LIMITS.get)
