"""Where custom data came from: which answer of which action set it, when, and who brought it."""

from __future__ import annotations

from typing import Any

import msgspec

from connectord.control import results as r
from connectord.store.base import MergeRecord
from connectord.times import rfc3339


def origin_view(merge: MergeRecord) -> r.Origin:
    """Where a field, or an action's ``response_data``, came from."""
    return r.Origin(**_origin(merge))


def merge_view(merge: MergeRecord) -> r.Merge:
    """One merge, as ``case_merges`` returns it."""
    return r.Merge(**_origin(merge), data=msgspec.json.decode(merge.data))


def _origin(merge: MergeRecord) -> dict[str, Any]:
    by_hand = merge.event == "Completed"
    return {
        "seq": merge.seq,
        "action": merge.action_id,
        "at": rfc3339(merge.at),
        "by": "person" if by_hand else "callback" if merge.who == "callback" else "attempt",
        "attempt": merge.attempt,
        "who": merge.who,
    }
