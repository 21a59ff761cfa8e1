"""Settings that cannot be, what an action becomes, the plugin's registration, and its README."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from connectord.adapters import OptionalMethod
from connectord.plugins import load_plugins
from connectord_amqp.adapter import AmqpAdapter
from connectord_amqp.messages import Unusable, publication_of
from connectord_amqp.settings import AmqpSettings
from helpers.calls import make_call

GOOD: dict[str, Any] = {"host": "rabbit", "username": "u", "password": "p", "routing_key": "jobs"}


def made(**changes: Any) -> AmqpSettings:
    values = {**GOOD, **changes}
    return AmqpSettings.model_validate({name: value for name, value in values.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "amqp://rabbit"}, "a host name or an address alone"),
        ({"host": ""}, "a host name or an address alone"),
        ({"port": 70_000}, "less than or equal to 65535"),
        ({"password": None}, "username and password belong together"),
        ({"username": None, "password": None}, "must have username and password, or a client certificate"),
        ({"username": None, "password": None, "tls": {}}, "must have username and password, or a client certificate"),
        ({"routing_key": None}, "must have routing_key or routing_key_from"),
        ({"routing_key": "k" * 256}, "at most 255 bytes"),
        ({"routing_key_from": "action.["}, "is not JMESPath: Invalid jmespath expression"),
        ({"routing_key_from": "upper(action.id)"}, r"JMESPath has no function upper\(\)"),
        ({"routing_key_from": "[" * 5000}, "at most 4096 characters"),
        ({"exchange": "work\n"}, "letters, digits, spaces"),
        ({"exchange": "w" * 128}, "at most 127 characters"),
        ({"headers": {"attempt": "1"}}, "the header attempt is set by the adapter"),
        ({"headers": {"": "1"}}, "1 to 128 bytes"),
        ({"heartbeat": "500ms"}, "greater than or equal to 1000"),
        ({"tls": {"key": "/etc/key.pem"}}, "of no use without certificate"),
        ({"tls": {"roots": "roots.pem"}}, "must be an absolute path"),
        ({"replies": {}}, "queue"),
        ({"replies": {"queue": ""}}, "at least 1 item"),
        ({"replies": {"queue": "a", "prefetch": 0}}, "greater than or equal to 1"),
        ({"replies": {"queue": "a", "response": "{"}}, "is not JMESPath"),
        ({"replies": {"queue": "a", "declare_queue": False, "queue_type": "quorum"}}, "belongs to who makes the queue"),
        ({"replies": {"queue": "a", "dead_letter_routing_key": "b"}}, "of no use without dead_letter_exchange"),
        ({"exchang": "work"}, "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_with_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**changes)


@pytest.mark.parametrize(
    ("changes", "port"), [({}, 5672), ({"tls": {}}, 5671), ({"port": 1}, 1), ({"port": 1, "tls": {}}, 1)]
)
def test_the_port_follows_from_tls(changes: dict[str, Any], port: int) -> None:
    assert made(**changes).effective_port == port


def test_a_secret_shows_nowhere() -> None:
    settings = made(password="canary-1", headers={"token": "canary-2"})
    assert "canary" not in repr(settings) + settings.model_dump_json()
    with pytest.raises(ValueError, match="must have routing_key") as caught:
        made(password="canary-1", headers={"token": "canary-2"}, routing_key=None)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "data", "expected"),
    [
        ("action.data.country", {"country": "de"}, "de"),
        ("join('.', ['jobs', action.system])", {}, "jobs.billing"),
        ("action.data.country", {}, "fallback"),
        ("action.data.country", {"country": "k" * 256}, "the routing key is longer than 255 bytes"),
        ("action.data.country", {"country": ["de"]}, "'action.data.country' gives list, not a text"),
        ("abs(action.data.country)", {"country": "de"}, r"failed: "),
    ],
)
def test_a_routing_key_out_of_the_action(expression: str, data: dict[str, Any], expected: str) -> None:
    settings = made(routing_key="fallback", routing_key_from=expression)
    try:
        found = publication_of(make_call(data=data), settings)[0].routing_key
    except Unusable as error:
        found = str(error)
    assert expected in found


def test_without_a_fallback_an_action_without_a_routing_key_is_unusable() -> None:
    with pytest.raises(Unusable, match="'action.data.country' gives nothing, not a text"):
        publication_of(make_call(), made(routing_key=None, routing_key_from="action.data.country"))


def test_the_entry_point_registers_the_adapter() -> None:
    assert [point.value for point in entry_points(group="connectord", name="amqp")] == ["connectord_amqp"]
    assert load_plugins().adapters["amqp"] is AmqpAdapter


@pytest.mark.parametrize(
    ("replies", "expected"), [(None, ["healthcheck"]), ({"queue": "a"}, ["listen", "healthcheck"])]
)
def test_without_a_reply_queue_it_does_not_listen(replies: dict[str, Any] | None, expected: list[str]) -> None:
    methods: tuple[OptionalMethod, ...] = ("poll", "probe", "listen", "healthcheck")
    assert [name for name in methods if AmqpAdapter.offers(name, made(replies=replies))] == expected


README = Path(__file__).parent.parent / "README.md"


def test_the_readme_configuration_is_good(check_configuration: Callable[[str], None]) -> None:
    blocks = README.read_text(encoding="utf-8").split("```toml\n")[1:]
    assert len(blocks) >= 2
    for block in blocks:
        check_configuration(block.partition("```")[0])


def test_the_readme_names_every_setting_and_its_default() -> None:
    text = README.read_text(encoding="utf-8")
    tables = {
        "": AmqpSettings,
        "tls.": AmqpSettings.model_fields["tls"],
        "replies.": AmqpSettings.model_fields["replies"],
    }
    for prefix, found in tables.items():
        model = found if isinstance(found, type) else next(each for each in found.annotation.__args__ if each)
        for name, field in model.model_fields.items():
            (line,) = [each for each in text.splitlines() if each.startswith(f"| `{prefix}{name}` |")]
            default = line.split("|")[2].strip()
            if isinstance(field.default, bool):
                assert default == f"`{str(field.default).lower()}`", line
            elif isinstance(field.default, int) and name not in ("heartbeat", "connect_timeout", "confirm_timeout"):
                assert default == f"`{field.default}`", line
