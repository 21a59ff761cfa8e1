from __future__ import annotations

import pytest
from connectord.config import Change, ConfigDiff, diff

SYSTEM = '[systems.f]\nadapter = "fax"\nfax.number = "1"\n'


def test_the_same_twice_is_no_difference(load) -> None:
    difference = diff(load(SYSTEM), load(SYSTEM + "# a comment\n"))
    assert difference == ConfigDiff()
    assert not difference


def test_systems_come_and_go(load) -> None:
    old = load('[systems.a]\nadapter = "post"\n[systems.b]\nadapter = "post"\n')
    new = load('[systems.b]\nadapter = "post"\n[systems.c]\nadapter = "post"\n')
    assert diff(old, new) == ConfigDiff(added=("c",), removed=("a",))
    assert diff(old, new)


@pytest.mark.parametrize(
    ("old", "new", "key", "before", "after"),
    [
        ("", 'timeout = "5h"', "timeout", "4h", "5h"),
        ("", "concurrency = 1", "concurrency", "16", "1"),
        ("", 'rate = "50/s"', "rate", "(not set)", "50/s"),
        ('rate = "50/s"', 'rate = "50/m"', "rate", "50/s", "50/m"),
        ("", 'attempt_timeout = "90s"', "attempt_timeout", "2m", "90s"),
        ("", "response_expected = false", "response_expected", "true", "false"),
        ("", 'on_timeout = "close"', "on_timeout", "todo", "close"),
        ("", "heartbeat_extends = true", "heartbeat_extends", "false", "true"),
        ("", 'retry.delay = "0s"', "retry.delay", "30s", "0s"),
        ("", "retry.factor = 3", "retry.factor", "2.0", "3.0"),
        ("", 'retry.max_delay = "2h"', "retry.max_delay", "1h", "2h"),
        ("", "retry.jitter = 0.5", "retry.jitter", "0.1", "0.5"),
        ("", '[[allocation]]\nqueue = "q"', "allocation", "(not set)", "any reason to queue q"),
        (
            'allocation = { queue = "a" }',
            'allocation = { user = "b" }\n[[allocation]]\nqueue = "q"\nreason = "timeout"',
            "allocation",
            "any reason to queue a",
            "timeout to queue q; any reason to user b",
        ),
        (
            "allocation = { to_owner = true }",
            'allocation.to_owner = true\n[[allocation]]\nowner = ["a", "b"]\nwhen = """\nid >\n  `9`"""\ngroup = "g"',
            "allocation",
            "any reason to the case's owner",
            "any reason of owner a or b where id > `9` to group g; any reason to the case's owner",
        ),
        ("", '[[allocation]]\nowner = "a"\nuser = "u"', "allocation", "(not set)", "any reason of owner a to user u"),
        ("", "fax.pages = 2", "fax.pages", "1", "2"),
        ("", 'fax.pause = "2s"', "fax.pause", "1s", "2s"),
        ("", "fax.limits.size = 3", "fax.limits.size", "10", "3"),
        ("", 'fax.labels.a = "b"', "fax.labels.a", "(not set)", "b"),
        ("", 'fax.copies = ["a", "b"]', "fax.copies", "[]", "[a, b]"),
        ("", "[[systems.f.fax.lines]]\nsize = 1", "fax.lines", "[]", "[{size = 1, strict = false, note = (not set)}]"),
    ],
)
def test_every_key_of_a_system_shows_its_change(old, new, key, before, after, load) -> None:
    group = '[groups]\ng = ["anna"]\n' + SYSTEM
    difference = diff(load(group + old), load(group + new))
    assert difference == ConfigDiff(changed={"f": (Change(key, before, after),)})


def test_a_changed_default_shows_in_the_systems_that_it_changes(load) -> None:
    old = load('[systems.a]\nadapter = "post"\n[systems.b]\nadapter = "post"\nretry.limit = 3\n')
    new = load('[retry]\nlimit = 7\n[systems.a]\nadapter = "post"\n[systems.b]\nadapter = "post"\nretry.limit = 3\n')
    difference = diff(old, new)
    assert difference.changed == {"a": (Change("retry.limit", "5", "7"),)}


def test_another_adapter_brings_other_settings(load) -> None:
    difference = diff(load('[systems.f]\nadapter = "post"'), load(SYSTEM))
    changes = difference.changed["f"]
    assert Change("adapter", "post", "fax") in changes
    assert Change("post.box", "1", "(not set)") in changes
    assert Change("fax.number", "(not set)", "1") in changes


def test_a_rule_for_another_system_changes_nothing_here(load) -> None:
    both = '[systems.a]\nadapter = "post"\n[systems.b]\nadapter = "post"\n'
    difference = diff(load(both), load(both + '[[allocation]]\nsystem = "a"\nqueue = "q"\n'))
    assert list(difference.changed) == ["a"]


def test_a_changed_group_shows_once_and_not_in_every_system_that_uses_it(load) -> None:
    text = '[[allocation]]\ngroup = "g"\n[systems.a]\nadapter = "post"\n[systems.b]\nadapter = "post"\n[groups]\ng = '
    difference = diff(load(text + '["anna"]'), load(text + '["anna", "ben"]'))
    assert difference == ConfigDiff(other=(Change("groups.g", "[anna]", "[anna, ben]"),))


def test_the_same_condition_read_again_is_no_difference(load) -> None:
    text = SYSTEM + '[[allocation]]\nwhen = "{}"\nqueue = "q"\n'
    assert load(text.format("data.a")).systems == load(text.format("data.a")).systems
    assert load(text.format("data.a")).systems != load(text.format("data.b")).systems


def test_a_changed_secret_shows_as_changed_and_nothing_more(load) -> None:
    text = SYSTEM + (
        'fax.token = { env = "S" }\nfax.seal = { env = "S" }\nfax.headers.Authorization = { env = "S" }\n'
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nusername = "u"\npassword = { env = "S" }\n'
    )
    difference = diff(load(text, environ={"S": "0ld-s3cret"}), load(text, environ={"S": "n3w-s3cret"}))
    stars = "**********"
    assert set(difference.changed["f"]) == {
        Change("fax.token", stars, stars),
        Change("fax.seal", stars, stars),
        Change("fax.headers.Authorization", stars, stars),
    }
    assert difference.other == (Change("notify.password", stars, stars),)
    assert "s3cret" not in repr(difference)


def test_a_secret_that_was_a_plain_string_stays_hidden_on_both_sides(load) -> None:
    # the value was moved out of the file: it is known to be secret now
    old = load(SYSTEM + 'fax.seal = "plain-s3cret"\n')
    new = load(SYSTEM + 'fax.seal = { env = "S" }\nfax.pages = 2\n', environ={"S": "plain-s3cret"})
    assert diff(old, new).changed == {"f": (Change("fax.pages", "1", "2"),)}
    new = load(SYSTEM + 'fax.seal = "x plain-s3cret"\nfax.token = { env = "S" }', environ={"S": "plain-s3cret"})
    assert "s3cret" not in repr(diff(old, new))


@pytest.mark.parametrize(
    ("new", "changes", "restart"),
    [
        (
            '[daemon]\nstate_directory = "/s"',
            [Change("daemon.state_directory", "/var/lib/connectord", "/s")],
            ["daemon.state_directory"],
        ),
        (
            '[daemon]\ncontrol_socket = "/c"',
            [Change("daemon.control_socket", "/run/connectord/control.sock", "/c")],
            ["daemon.control_socket"],
        ),
        (
            '[callbacks]\nbind = "[::1]:1"',
            [Change("callbacks.bind", "127.0.0.1:8470", "[::1]:1")],
            ["callbacks.bind"],
        ),
        (
            '[callbacks]\nguesses_per_minute = 5\ntrusted_proxies = ["10.0.0.0/8"]',
            [
                Change("callbacks.guesses_per_minute", "600", "5"),
                Change("callbacks.trusted_proxies", "(not set)", "[10.0.0.0/8]"),
            ],
            [],
        ),
        (
            '[callbacks]\npublic_url = "http://a"',
            [Change("callbacks.public_url", "http://127.0.0.1:8470", "http://a")],
            [],
        ),
        ('[daemon]\nlog_format = "console"', [Change("daemon.log_format", "json", "console")], []),
        ('[daemon]\nlog_level = "debug"', [Change("daemon.log_level", "info", "debug")], []),
        ('[daemon]\ndrain = "1m"', [Change("daemon.drain", "30s", "1m")], []),
        (
            '[notify]\nvia = "command"\ncommand = ["a", "b"]',
            [Change("notify.via", "log", "command"), Change("notify.command", "(not set)", "[a, b]")],
            [],
        ),
        ('[groups]\ng = ["anna", "ben"]', [Change("groups.g", "(not set)", "[anna, ben]")], []),
        ('[queues]\nq = "for all"', [Change("queues.q", "(not set)", "for all")], []),
        ('[control.roles]\nadmin = ["uid:1"]', [Change("control.roles.admin", "(not set)", "[uid:1]")], []),
    ],
)
def test_what_stands_outside_the_systems(new, changes, restart, load) -> None:
    assert diff(load(""), load(new)) == ConfigDiff(other=tuple(changes), restart_required=tuple(restart))
