"""The parameters of the control socket's methods. JSON Schemas are made from these types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Ids = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=10_000)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base: an unknown parameter is an error."""


class Nothing(Params, frozen=True):
    """No parameters."""


class Submit(Params, frozen=True):
    """A new action. ``due_at`` is RFC 3339; without it the action is due now.

    ``traceparent`` names the trace that it is to belong to, as W3C Trace Context has it.
    """

    system: Name
    case: Name | None = None
    owner: Name | None = None
    key: Name | None = None
    data: dict[str, Any] | None = None
    due_at: str | None = None
    traceparent: str | None = None


class SubmitMany(Params, frozen=True):
    """New actions: all of them or none, in one transaction."""

    actions: Annotated[list[Submit], msgspec.Meta(min_length=1, max_length=10_000)]


class ById(Params, frozen=True):
    """One action or case."""

    id: Name


class List(Params, frozen=True):
    """A page of actions, the newest first; ``after`` is the ``next`` of the page before.

    ``queue`` and ``user`` find only what people have to do: To Do and In Progress actions.
    """

    state: Literal["pending", "attempting", "waiting", "todo", "in_progress", "closed"] | None = None
    system: Name | None = None
    case: Name | None = None
    reason: Literal["updated_by_integration", "timeout"] | None = None
    resolution: Literal["done_successfully", "not_done_successfully"] | None = None
    since: str | None = None
    queue: Name | None = None
    user: Name | None = None
    retrying: bool = False
    """only pending ones whose last attempt failed"""
    after: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class Take(Params, frozen=True):
    """Take a To Do action as ``user``."""

    id: Name
    user: Name


class Assign(Params, frozen=True):
    """Hand a To Do action on, to a queue or to a user."""

    id: Name
    queue: Name | None = None
    user: Name | None = None


class Complete(Params, frozen=True):
    """Close a To Do action by hand."""

    id: Name
    resolution: Literal["done_successfully", "not_done_successfully"] = "done_successfully"
    data: dict[str, Any] | None = None
    note: Text | None = None


class Cancel(Params, frozen=True):
    """Close a pending or waiting action as done unsuccessfully."""

    id: Name
    note: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]


class Case(Params, frozen=True):
    """A case, with a page of its actions; ``after`` is the ``next`` of the page before."""

    id: Name
    after: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000


class CaseMerges(Params, frozen=True):
    """A page of what was merged into a case, the oldest first; ``after`` is the ``next`` of the page before."""

    id: Name
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Notifications(Params, frozen=True):
    """A page of notifications, the newest first: those not delivered yet; with ``all`` the others too.

    ``after`` is the ``next`` of the page before.
    """

    all: bool = False
    owner: Name | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class RerunFilters(Params, frozen=True):
    """Which closed actions to run again; those that were run again already are left out.

    ``since`` and ``until`` (not included) are about when they were submitted.
    """

    system: Name | None = None
    case: Name | None = None
    reason: Literal["updated_by_integration", "timeout"] | None = None
    since: str | None = None
    until: str | None = None
    resolution: Literal["done_successfully", "not_done_successfully"] | None = None


class Rerun(Params, frozen=True):
    """New actions from closed ones: by ids, or by filters; ``dry_run`` only counts.

    ``expect`` is the count that was seen before: where it is another one by now, nothing is done.
    """

    ids: Ids | None = None
    filters: RerunFilters | None = None
    dry_run: bool = False
    expect: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None


class System(Params, frozen=True):
    """One system."""

    system: Name


class Reload(Params, frozen=True):
    """``plan`` only says what a reload would do. ``to`` takes the text of an older version instead of the file."""

    plan: bool = False
    to: Version | None = None


class ReloadEffects(Params, frozen=True):
    """A page of the actions that the last reload concerned or, with ``plan``, that the next one would.

    ``after`` is the ``next`` of the page before. ``limit`` is how many live actions a page looks through.
    """

    plan: bool = False
    to: Version | None = None
    after: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000


class ConfigHistory(Params, frozen=True):
    """The configurations that were in force, the newest first; with ``before`` those older than that version."""

    before: Version | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class ConfigShow(Params, frozen=True):
    """The text of one version; of the running one without ``version``."""

    version: Version | None = None


class ConfigDiff(Params, frozen=True):
    """What has changed from version ``a`` to version ``b``."""

    a: Version
    b: Version


class Retention(Params, frozen=True):
    """How long what is kept, what was removed, what is due. ``plan`` goes by what connectord.toml says now."""

    plan: bool = False


class WatchFilters(Params, frozen=True):
    """Which changes to hear of."""

    id: Name | None = None
    system: Name | None = None
    case: Name | None = None
    state: Literal["pending", "attempting", "waiting", "todo", "in_progress", "closed"] | None = None
    """the one that the action comes to"""


class Watch(Params, frozen=True):
    """The stream of changes: from now on, or all that came ``after`` that number and then from now on."""

    filters: WatchFilters | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class Doctor(Params, frozen=True):
    """Examine the daemon and all that it needs; each check for at most ``timeout_seconds``, all at the same time."""

    timeout_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=300)] = 10.0


class Shutdown(Params, frozen=True):
    """``now`` does not wait for the attempts under way."""

    now: bool = False
