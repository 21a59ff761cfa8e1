"""connectord.toml: applying it, saying beforehand what that would do, and going back to an older version."""

from __future__ import annotations

from collections.abc import Mapping

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify


class ConfigurationMethods(MethodGroup):
    """The methods about the configuration."""

    def calls(self) -> Mapping[str, Call]:
        return {
            "reload": self._reload,
            "reload_effects": self._reload_effects,
            "retention": self._retention,
            "config_history": self._history,
            "config_show": self._show,
            "config_diff": self._diff,
        }

    async def _reload(self, params: p.Reload, caller: Caller, notify: Notify) -> r.Reload:
        return await self._services.reload(caller, plan=params.plan, to=params.to)

    async def _reload_effects(self, params: p.ReloadEffects, caller: Caller, notify: Notify) -> r.EffectPage:
        return await self._services.reload_effects(
            caller, plan=params.plan, to=params.to, after=params.after, limit=params.limit
        )

    async def _retention(self, params: p.Retention, caller: Caller, notify: Notify) -> r.Retention:
        return await self._services.retention(plan=params.plan)

    async def _history(self, params: p.ConfigHistory, caller: Caller, notify: Notify) -> r.ConfigVersions:
        return await self._services.config_history(before=params.before, limit=params.limit)

    async def _show(self, params: p.ConfigShow, caller: Caller, notify: Notify) -> r.ConfigText:
        return await self._services.config_show(caller, params.version)

    async def _diff(self, params: p.ConfigDiff, caller: Caller, notify: Notify) -> r.ConfigDifference:
        return await self._services.config_diff(caller, params.a, params.b)
