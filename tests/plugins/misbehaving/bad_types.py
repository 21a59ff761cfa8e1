"""Returns something else than an outcome, as the action's data says."""

from __future__ import annotations

from connectord.adapters import Adapter, Call, Outcome, Rejected, Succeeded, Taken
from connectord.hookspecs import RegisterAdapter, hookimpl


class BadTypesAdapter(Adapter):
    name = "bad_types"

    async def trigger(self, call: Call) -> Outcome:  # at fault
        answers: dict[str, object] = {
            "none": None,
            "class": Taken,
            "reason": Rejected(reason=7),  # type: ignore[arg-type]
            "data": Succeeded(data=[1]),  # type: ignore[arg-type]
            "object": Succeeded(data={"x": object()}),
            "surrogate": Rejected(reason="\ud800"),
            "reference": Taken(reference=b"x"),  # type: ignore[arg-type]
        }
        return answers[call.data["answer"]]  # type: ignore[return-value]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(BadTypesAdapter)
