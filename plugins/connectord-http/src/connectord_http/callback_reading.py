"""What a callback means that is not in the dialect's format."""

from __future__ import annotations

from connectord.adapters import CallbackRequest, InvalidCallback, Response

from connectord_http.conditions import Conditions
from connectord_http.documents import decode_json
from connectord_http.expressions import MappingFailed
from connectord_http.reading_settings import CallbackSettings
from connectord_http.values import Values


class MappedCallbacks:
    """Reads callbacks by the conditions of a :class:`CallbackSettings`."""

    def __init__(self, settings: CallbackSettings) -> None:
        self._conditions = Conditions(
            {name: getattr(settings, name) for name in ("failure_when", "success_when", "progress_when")}
        )
        self._values = Values(data=settings.data, reason=settings.reason, text=settings.text, percent=settings.percent)

    def read(self, request: CallbackRequest) -> Response:
        """What ``request`` says. Raises :class:`InvalidCallback` where no condition holds or one fails."""
        try:
            document = {"headers": dict(request.headers), "body": decode_json(request.body)}
        except ValueError as error:
            raise InvalidCallback(f"the body is not JSON: {error}") from error
        try:
            match self._conditions.first(document):
                case "failure_when":
                    return self._values.rejected(document)
                case "success_when":
                    return self._values.succeeded(document)
                case "progress_when":
                    return self._values.progress(document)
        except MappingFailed as failed:
            raise InvalidCallback(f"the body does not fit: {failed}") from failed
        raise InvalidCallback("the body is neither a success nor a failure nor progress, as this system is configured")
