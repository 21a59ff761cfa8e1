"""Every method of the control socket: the role it needs, what it takes, what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectord.callers import Role
from connectord.control import params as p
from connectord.control import results as r


@dataclass(frozen=True, slots=True)
class Signature:
    """One method. ``result`` is None where there is no answer but a stream of notifications."""

    role: Role
    params: type[p.Params]
    result: Any


_VIEWER, _OPERATOR, _ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN

SIGNATURES: dict[str, Signature] = {
    "submit": Signature(_OPERATOR, p.Submit, r.Action),
    "submit_many": Signature(_OPERATOR, p.SubmitMany, r.Actions),
    "list": Signature(_VIEWER, p.List, r.ActionPage),
    "show": Signature(_VIEWER, p.ById, r.Action),
    "why": Signature(_VIEWER, p.ById, r.Explanation),
    "history": Signature(_VIEWER, p.ById, r.History),
    "attempts": Signature(_VIEWER, p.ById, r.Attempts),
    "case": Signature(_VIEWER, p.Case, r.Case),
    "case_merges": Signature(_VIEWER, p.CaseMerges, r.MergePage),
    "retry": Signature(_OPERATOR, p.ById, r.Action),
    "take": Signature(_OPERATOR, p.Take, r.Action),
    "release": Signature(_OPERATOR, p.ById, r.Action),
    "assign": Signature(_OPERATOR, p.Assign, r.Action),
    "complete": Signature(_OPERATOR, p.Complete, r.Action),
    "cancel": Signature(_OPERATOR, p.Cancel, r.Action),
    "queues": Signature(_VIEWER, p.Nothing, r.Queues),
    "rerun": Signature(_OPERATOR, p.Rerun, r.Rerun),
    "notifications": Signature(_VIEWER, p.Notifications, r.NotificationPage),
    "notifications_retry": Signature(_OPERATOR, p.Nothing, r.Hastened),
    "systems": Signature(_VIEWER, p.Nothing, r.Systems),
    "pause": Signature(_ADMIN, p.System, r.System),
    "resume": Signature(_ADMIN, p.System, r.System),
    "reload": Signature(_ADMIN, p.Reload, r.Reload),
    "reload_effects": Signature(_ADMIN, p.ReloadEffects, r.EffectPage),
    "config_history": Signature(_VIEWER, p.ConfigHistory, r.ConfigVersions),
    "config_show": Signature(_ADMIN, p.ConfigShow, r.ConfigText),
    "config_diff": Signature(_ADMIN, p.ConfigDiff, r.ConfigDifference),
    "retention": Signature(_VIEWER, p.Retention, r.Retention),
    "status": Signature(_VIEWER, p.Nothing, r.Status),
    "doctor": Signature(_ADMIN, p.Doctor, r.Diagnosis),
    "watch": Signature(_VIEWER, p.Watch, None),
    "shutdown": Signature(_ADMIN, p.Shutdown, r.Stopping),
}
"""The methods by name. What each one does stands in :mod:`connectord.control.methods`."""

NOTIFICATIONS: dict[str, type[r.Result]] = {"event": r.Event}
"""What the daemon says of its own accord, by the notification's method."""
