"""What each key of connectord.toml is for. What it takes and its default come from the code, but for what cannot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """The meaning, an example's value, and where the code cannot say them: what is taken, and the default."""

    meaning: str
    example: str
    takes: str | None = None
    default: str | None = None


_RETRY = {
    "limit": Words("How many attempts an action may have in all, the first and the manual ones counted (rule 9).", "7"),
    "delay": Words("How long until the first retry.", '"10s"'),
    "factor": Words("How much longer each further retry takes.", "3"),
    "max_delay": Words("But never longer than this.", '"30m"'),
    "jitter": Words("Which part of the delay is added at random, at most; 0.1 adds up to 10 %.", "0.2"),
    "budget": Words(
        "Which part of a system's places and rate retries may take while new actions are due, too; 0 lets them wait.",
        "0.3",
    ),
}
_TARGET = {
    "queue": Words("The queue that it goes to.", '"late-answers"', "a name of at most 200 characters"),
    "user": Words("The person whom it goes to.", '"maria"', "a name of at most 200 characters"),
    "group": Words("The group whose members get its actions in turn.", '"seniors"', "a name from [groups]"),
    "to_owner": Words("To the case's owner; does not match a case without one.", "true", "true"),
}
_PEERS = 'an array of "user:NAME", "group:NAME", "uid:NUMBER" and "gid:NUMBER"'

WORDS: dict[str, Words] = {
    "daemon.state_directory": Words(
        "Where the database, its key and its lock are. Relative to the file's own directory.",
        '"/var/lib/connectord"', "a path", '$STATE_DIRECTORY, else "/var/lib/connectord"',
    ),
    "daemon.control_socket": Words(
        "Where connectorctl finds the daemon. Relative to the file's own directory.",
        '"/run/connectord/control.sock"', "a path of at most 107 bytes",
        'control.sock in $RUNTIME_DIRECTORY, else in "/run/connectord"',
    ),
    "daemon.log_format": Words('How log lines look: for programs, or for people ("console").', '"console"'),
    "daemon.log_level": Words("What is logged: this and what is worse.", '"warning"'),
    "daemon.drain": Words("How long a stop waits for the attempts under way.", '"1m"'),
    "daemon.loop_warning": Words(
        "Name in the log who keeps everything else waiting for so long.", '"250ms"',
        'a duration, "10ms" or more, or "off"', '"500ms"',
    ),
    "callbacks.bind": Words(
        "Where callbacks are taken; port 0 is any free one.", '"[::1]:8470"', '"ADDRESS:PORT"', '"127.0.0.1:8470"'
    ),
    "callbacks.public_url": Words(
        "The address under which external systems reach the listener.", '"https://connectord.example.org"',
        "an http or https URL", "http://HOST:PORT of bind",
    ),
    "callbacks.max_connections": Words(
        "How many connections of external systems may be open at once; a full listener drops what waits longest.",
        "4096",
    ),
    "callbacks.max_connections_per_address": Words(
        "How many of these one address may have; an IPv6 address counts as its /64.", "64"
    ),
    "callbacks.guesses_per_minute": Words(
        "How many unknown tokens and bad signatures of one address are answered as such; more are told to wait (429).",
        "60",
    ),
    "callbacks.trusted_proxies": Words(
        "Whose X-Forwarded-For says which address a guess came from.", '["127.0.0.1"]',
        "an array of addresses and networks", "none",
    ),
    "metrics.bind": Words(
        "Where Prometheus and probes may ask; off where it is left out.", '"127.0.0.1:9470"', '"ADDRESS:PORT"',
    ),
    "tracing.endpoint": Words(
        "The OTLP/HTTP receiver of one trace an action; off where it is left out.", '"http://127.0.0.1:4318"',
        "an http or https URL",
    ),
    "tracing.headers.NAME": Words(
        "What is sent along as the header of that name, such as a token.", '"Bearer abc"',
        "plain ASCII text", "none",
    ),
    "tracing.sample": Words("The share of actions that are traced.", "0.1"),
    "tracing.service_name": Words("What traces call this daemon.", '"connectord-test"'),
    "retention.done_successfully": Words(
        "How long an action is kept once it is closed as done successfully.", '"90d"',
        'a duration, "1h" or more, or "forever"', '"forever"',
    ),
    "retention.not_done_successfully": Words(
        "How long an action is kept once it is closed as not done successfully.", '"365d"',
        'a duration, "1h" or more, or "forever"', '"forever"',
    ),
    "retention.keys": Words(
        "How long an action with a key is kept at least, so that a repeated submit finds it.", '"30d"'
    ),
    **{f"retry.{key}": words for key, words in _RETRY.items()},
    "systems.NAME.adapter": Words(
        "Which adapter serves it; its own settings stand in [systems.NAME.ADAPTER].", '"http"',
        "the name of an installed adapter", "must be there",
    ),
    "systems.NAME.concurrency": Words("How many attempts and polls may be under way at once.", "16"),
    "systems.NAME.rate": Words(
        "How many attempts and polls may begin in a second, minute or hour.", '"50/s"',
        'a number and "/s", "/m" or "/h"'
    ),
    "systems.NAME.attempt_timeout": Words("The hard limit on one call of the adapter.", '"2m"'),
    "systems.NAME.timeout": Words("How long the system may take to respond (rule 4).", '"4h"'),
    "systems.NAME.response_expected": Words("false: closed as done once the system has taken it (rule 19).", "false"),
    "systems.NAME.on_timeout": Words(
        "No response in time: a person must look, or it is closed as unsuccessful (rule 20).", '"close"'
    ),
    "systems.NAME.heartbeat_extends": Words("Whether a progress report starts the timeout again (rule 21).", "true"),
    "systems.NAME.healthcheck": Words(
        "Where the adapter has one: how long the system may be silent before it is looked after.", '"1m"',
        'a duration, "1s" or more, or "off"', '"30s"',
    ),
    **{
        f"systems.NAME.retry.{key}": Words(words.meaning, words.example, words.takes, "as [retry] has it")
        for key, words in _RETRY.items()
    },
    "systems.NAME.circuit.failures": Words(
        "So many different actions in a row that could not connect open the circuit: no attempt is made and none is "
        "counted until trials show that the system is back. circuit = false switches it off.", "20",
    ),
    "systems.NAME.circuit.ratio": Words(
        "So many within the window open it, too, where at least this part of all attempts there failed.", "0.8"
    ),
    "systems.NAME.circuit.window": Words("Over how long that is counted.", '"30s"'),
    "systems.NAME.circuit.pause": Words("How long it is open before the first trial.", '"5s"'),
    "systems.NAME.circuit.max_pause": Words("The pause doubles with each trial that fails, up to this.", '"1m"'),
    "systems.NAME.circuit.trials": Words("So many trials that go well close it.", "3"),
    **{f"systems.NAME.allocation.{key}": words for key, words in _TARGET.items()},
    "systems.NAME.poll.interval": Words("How long after the system took the action it is asked first.", '"10s"'),
    "systems.NAME.poll.factor": Words("How much longer it is until each further question.", "2"),
    "systems.NAME.poll.max_interval": Words("But never longer than this.", '"5m"'),
    "systems.NAME.poll.jitter": Words("Which part is added at random, at most.", "0.1"),
    "allocation[].reason": Words("Only To Do actions for this reason.", '"timeout"'),
    "allocation[].system": Words("Only those of this system.", '"billing"', "the name of a system"),
    "allocation[].owner": Words(
        "Only those of this case owner, or of one of these.", '["olga", "otto"]', "a name, or an array of names"
    ),
    "allocation[].when": Words(
        "JMESPath on id, system, case, owner, reason, rejected_reason, data, case_data and response.",
        "\"data.amount > `10000`\"", "a JMESPath expression",
    ),
    **{f"allocation[].{key}": words for key, words in _TARGET.items()},
    "groups.NAME": Words("Who takes turns in it.", '["anna", "ben"]', "an array of 1 or more names", "no group"),
    "queues.NAME": Words("What the queue is for, for people.", '"what others hand on"'),
    "notify.via": Words(
        "How case owners hear that an action was given up.", '"smtp"',
        'one of "log", "command", "webhook", "smtp", or the name of a notifier that a plugin brought',
    ),
    "notify.command": Words(
        "Via command: the program, and its arguments.", '["/usr/local/bin/notify-owner"]', "an array of strings", "none"
    ),
    "notify.url": Words("Via webhook: where to.", '"https://chat.example.org/hook"', "an http or https URL"),
    "notify.host": Words("Via smtp: the mail server.", '"mail.example.org"', "a host name or an address"),
    "notify.port": Words("Via smtp: its port.", "587"),
    "notify.sender": Words("Via smtp: whom mails are from.", '"connectord@example.org"', "a mail address"),
    "notify.username": Words("Via smtp: the name to log in with; goes with password.", '"connectord"'),
    "notify.password": Words(
        "Via smtp: never in the file itself.", '{ credential = "smtp-password" }',
        '{ credential = "NAME" } or { env = "NAME" }',
    ),
    "notify.starttls": Words(
        "Via smtp: encrypt, and check the certificate.", "true", default="true where there is a password, else false"
    ),
    "control.roles.viewer": Words("Who may look.", '["group:staff"]', _PEERS),
    "control.roles.operator": Words(
        "Who may also submit, retry and work on To Do actions.", '["group:operators"]', _PEERS
    ),
    "control.roles.admin": Words(
        "Who may also pause, reload and stop. Without a rule root and the daemon's user are admin.",
        '["user:root"]', _PEERS,
    ),
}  # fmt: skip
"""By key; ``[]`` stands for an element of an array of tables, NAME for what the operator calls it."""
