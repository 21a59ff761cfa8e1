"""``connectorctl doctor`` where no daemon answers: the checks that a configuration file is enough for."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import trio

from connectord.clock import SystemClock
from connectord.config import find_config, load_config
from connectord.control import results as r
from connectord.doctor.examination import Subject, examine
from connectord.doctor.findings import diagnosis, error, fine, warning
from connectord.errors import ConfigurationRefused
from connectord.network import SystemNetwork
from connectord.plugins import load_plugins

_NO_DAEMON_ADVICE = "start it: systemctl start connectord, or connectord run; its log says why it ended"


def examine_without_daemon(why: str, socket: str, config_file: Path | None, limit_seconds: float) -> str:
    """The diagnosis as the daemon's answer would have it, in JSON; its first finding is that no daemon answers."""
    findings = [error("daemon", why, _NO_DAEMON_ADVICE)]
    plugins = load_plugins()
    try:
        path = find_config(config_file, os.environ, Path.cwd())
        config = load_config(path, adapters=plugins.adapters, notifiers=plugins.notifiers, environ=os.environ)
    except ConfigurationRefused as refused:
        findings += [
            error("configuration", str(problem), "mend it: connectord check shows when it is right")
            for problem in refused.problems
        ]
        findings += [
            error("plugins", f"not loaded: {problem}", "install it anew, or a version that fits this connectord")
            for problem in plugins.problems
        ]
        return _json(diagnosis(findings))
    findings.append(fine("configuration", f"{path} can be used"))
    if socket != str(config.daemon.control_socket):
        words = f"the control socket of {path} is {config.daemon.control_socket}, but {socket} was asked"
        findings.append(warning("daemon", words, f"connectorctl --socket {config.daemon.control_socket} doctor"))
    subject = Subject(config, plugins, SystemNetwork(), SystemClock().now_ms())
    found = trio.run(examine, subject, limit_seconds)
    return _json(diagnosis([*findings, *found.findings]))


def _json(found: r.Diagnosis) -> str:
    return msgspec.json.encode(found).decode()
