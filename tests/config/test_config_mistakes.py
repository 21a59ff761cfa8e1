"""Every kind of mistake, one by one: one mistake, one problem, on its own line, with its own words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

FAX = '[systems.f]\nadapter = "fax"\nfax.number = "1"\n'
"""Three lines with a sound system, for mistakes that need one."""


@dataclass(frozen=True)
class Mistake:
    text: str
    line: int
    key: str
    says: str

    def __str__(self) -> str:
        return f"{self.key}: {self.says}"[:60]


def in_system(line: str, key: str, says: str) -> Mistake:
    return Mistake(FAX + line, 4, f"systems.f.{key}", says)


MISTAKES = [
    # TOML itself
    Mistake("\n[daemon\n", 2, "syntax", "Expected ']'"),
    Mistake("a = 1\na = 2\n", 2, "syntax", "Cannot overwrite a value"),
    Mistake('\n\na = """\n\n', 4, "syntax", "(the file ends there)"),
    Mistake("a = " + "[" * 100_000, 0, "syntax", "nested too deeply"),
    Mistake("a = " + "9" * 5_000, 0, "syntax", "limit"),
    # the top
    Mistake("\n[demon]\n", 2, "demon", 'unknown key "demon"; did you mean "daemon"?'),
    Mistake("limit = 3", 1, "limit", 'unknown key "limit"; known keys: daemon, callbacks, retry, systems, allocation'),
    Mistake("daemon = 3", 1, "daemon", "must be a table, not 3"),
    Mistake("[[daemon]]", 1, "daemon", "must be a table, not an array"),
    Mistake("systems = 0x" + "F" * 5_000, 1, "systems", "must be a table, not a number of very many digits"),
    Mistake("[allocation]", 1, "allocation", "write [[allocation]] as the header"),
    Mistake("allocation = [1]", 1, "allocation[0]", "must be a table, not 1"),
    # [daemon]
    Mistake(
        '[daemon]\nlog_format = "jsn"', 2, "daemon.log_format", 'one of "json", "console", not "jsn"; did you mean'
    ),
    Mistake("[daemon]\nlog_level = 3", 2, "daemon.log_level", '"debug", "info", "warning", "error", not 3'),
    Mistake('[daemon]\ndrain = "0s"', 2, "daemon.drain", 'must be at least "1ms", not "0s"'),
    Mistake('[daemon]\nstate_directory = ""', 2, "daemon.state_directory", "must not be empty"),
    Mistake("[daemon]\nstate_directory = true", 2, "daemon.state_directory", "must be a string"),
    Mistake(f'[daemon]\ncontrol_socket = "/{"x" * 107}"', 2, "daemon.control_socket", "at most 107 bytes"),
    Mistake('[daemon]\nlog_levle = "info"', 2, "daemon.log_levle", 'did you mean "log_level"?'),
    # [callbacks]
    Mistake('[callbacks]\nbind = "8470"', 2, "callbacks.bind", "must be HOST:PORT"),
    Mistake("[callbacks]\nbind = 8470", 2, "callbacks.bind", "must be a string"),
    Mistake('[callbacks]\nbind = "0.0.0.0:8470"', 1, "callbacks.public_url", "nobody can connect to 0.0.0.0"),
    Mistake('[callbacks]\nbind = "[::]:8470"', 1, "callbacks.public_url", "nobody can connect to ::"),
    Mistake('[callbacks]\npublic_url = "example.org"', 2, "callbacks.public_url", "http or https URL"),
    Mistake('[callbacks]\npublic_url = "http://a/?b"', 2, "callbacks.public_url", "no query"),
    Mistake("[callbacks]\nport = 1", 2, "callbacks.port", "unknown key"),
    Mistake("[callbacks]\nmax_connections = 0", 2, "callbacks.max_connections", "a whole number from 1 to 100000"),
    Mistake("[callbacks]\nguesses_per_minute = true", 2, "callbacks.guesses_per_minute", "a whole number from 1"),
    Mistake('[callbacks]\ntrusted_proxies = ["10.0.0.1/8"]', 2, "callbacks.trusted_proxies[0]", "or a network such as"),
    Mistake('[callbacks]\ntrusted_proxies = "10.0.0.1"', 2, "callbacks.trusted_proxies", "must be an array"),
    # [retry]
    Mistake("[retry]\nlimit = 0", 2, "retry.limit", "must be a whole number from 1 to 1000000, not 0"),
    Mistake("[retry]\nlimit = 1000001", 2, "retry.limit", "from 1 to 1000000"),
    Mistake("[retry]\nlimit = 5.0", 2, "retry.limit", "must be a whole number"),
    Mistake("[retry]\nlimit = true", 2, "retry.limit", "must be a whole number from 1 to 1000000, not true"),
    Mistake('[retry]\nlimit = "5"', 2, "retry.limit", 'must be a whole number from 1 to 1000000, not "5"'),
    Mistake("[retry]\nfactor = 0.9", 2, "retry.factor", "must be a number from 1 to 100, not 0.9"),
    Mistake("[retry]\nfactor = 100.1", 2, "retry.factor", "must be a number from 1 to 100"),
    Mistake("[retry]\nfactor = true", 2, "retry.factor", "must be a number from 1 to 100, not true"),
    Mistake("[retry]\nfactor = nan", 2, "retry.factor", "must be a number from 1 to 100"),
    Mistake("[retry]\njitter = -0.1", 2, "retry.jitter", "must be a number from 0 to 1, not -0.1"),
    Mistake("[retry]\njitter = 1.1", 2, "retry.jitter", "must be a number from 0 to 1"),
    Mistake('[retry]\ndelay = "30"', 2, "retry.delay", 'the unit is missing; "30s"'),
    Mistake("[retry]\ndelay = 30", 2, "retry.delay", 'must be a string with a unit: "30s"'),
    Mistake("[retry]\ndelay = true", 2, "retry.delay", 'must be a duration such as "30s", not true'),
    Mistake('[retry]\ndelay = "2h"', 2, "retry.delay", 'must be at most max_delay, which is "1h"'),
    Mistake('[retry]\nmax_delay = "29s"', 2, "retry.max_delay", 'must be at least delay, which is "30s"'),
    Mistake('[retry]\nmax_delay = "0s"', 2, "retry.max_delay", 'must be at least "1ms"'),
    Mistake('[retry]\nmax_delay = "3651d"', 2, "retry.max_delay", 'must be at most "3650d", not "3651d"'),
    Mistake("[retry]\nlimits = 1", 2, "retry.limits", 'did you mean "limit"?'),
    # [systems]
    Mistake("systems = []", 1, "systems", "must be a table, not an array"),
    Mistake("[systems]\nf = 1", 2, "systems.f", "must be a table, not 1"),
    Mistake('[systems."a b"]\nadapter = "post"', 1, 'systems."a b"', "a system's name has 1 to 64"),
    Mistake('[systems.-a]\nadapter = "post"', 1, "systems.-a", "a system's name has 1 to 64"),
    Mistake(f'[systems.{"a" * 65}]\nadapter = "post"', 1, f"systems.{'a' * 65}", "a system's name has 1 to 64"),
    Mistake("\n[systems.f]\n", 2, "systems.f.adapter", "missing: say what serves this system; installed adapters: fax"),
    Mistake('[systems.f.fax]\nnumber = "1"\n[systems.f]\n', 3, "systems.f.adapter", "missing"),
    Mistake('[systems.f]\nadapter = "fix"', 2, "systems.f.adapter", 'unknown adapter "fix"; did you mean "fax"?'),
    Mistake('[systems.f]\nadapter = "http"', 2, "systems.f.adapter", "installed adapters: fax, post"),
    Mistake('[systems.f]\nadapter = "fix"\nfax.what = 1\nfix.who = 2', 2, "systems.f.adapter", "unknown adapter"),
    Mistake("[systems.f]\nadapter = 1", 2, "systems.f.adapter", "must be a string"),
    in_system('timeout = "0s"', "timeout", 'must be at least "1ms"'),
    in_system('timeout = "for ever"', "timeout", '"for ever" is not a duration'),
    in_system("concurency = 3", "concurency", 'unknown key "concurency"; did you mean "concurrency"?'),
    in_system("concurrency = 0", "concurrency", "must be a whole number from 1 to 1000, not 0"),
    in_system("concurrency = 1001", "concurrency", "must be a whole number from 1 to 1000, not 1001"),
    in_system("concurrency = true", "concurrency", "must be a whole number from 1 to 1000, not true"),
    in_system('rate = "50"', "rate", 'such as "50/s"'),
    in_system("rate = 50", "rate", "must be a string"),
    in_system('attempt_timeout = "0ms"', "attempt_timeout", 'must be at least "1ms"'),
    in_system('response_expected = "no"', "response_expected", 'must be true or false, not "no"'),
    in_system("heartbeat_extends = 1", "heartbeat_extends", "must be true or false, not 1"),
    in_system(
        'on_timeout = "closed"', "on_timeout", 'must be one of "todo", "close", not "closed"; did you mean "close"?'
    ),
    in_system("retry = 3", "retry", "must be a table, not 3"),
    in_system("retry.limit = 0", "retry.limit", "must be a whole number from 1 to 1000000, not 0"),
    in_system("retry.lmit = 1", "retry.lmit", 'unknown key "lmit"; did you mean "limit"?'),
    in_system('retry.delay = "2h"', "retry.delay", 'must be at most max_delay, which is "1h"'),
    in_system('allocation = "q"', "allocation", 'must be a table, not "q"'),
    in_system("allocation = {}", "allocation", 'queue = "...", user = "...", group = "..." or to_owner = true'),
    in_system('allocation = { queue = "a", user = "b" }', "allocation.user", "name one of queue and user, not 2"),
    in_system('allocation = { group = "a" }', "allocation.group", 'there is no group "a"; groups: none'),
    in_system("allocation = { to_owner = false }", "allocation.to_owner", "must be true, or left out, not false"),
    in_system('allocation = { queue = "a", when = "id" }', "allocation.when", 'unknown key "when"'),
    in_system('allocation = { queue = "" }', "allocation.queue", "must not be empty"),
    in_system('allocation = { queue = "a\\u0000" }', "allocation.queue", "no control characters"),
    in_system(f'allocation = {{ queue = "{"a" * 201}" }}', "allocation.queue", "at most 200 characters"),
    in_system('allocation = { quue = "a", queue = "b" }', "allocation.quue", 'did you mean "queue"?'),
    in_system("[systems.f.post]\nbox = 1", "post", "settings of the adapter post, but this system uses fax"),
    in_system("[systems.f.smtp]\nbox = 1", "smtp", 'unknown key "smtp"'),
    # [[allocation]]
    Mistake('[[allocation]]\nreason = "timeout"', 1, "allocation[0]", 'group = "..." or to_owner = true'),
    Mistake('[[allocation]]\nqueue = "a"\nuser = "b"', 3, "allocation[0].user", "one of queue and user, not 2 of them"),
    Mistake(
        '[groups]\ng = ["a"]\n[[allocation]]\ngroup = "g"\nto_owner = true\nqueue = "a"',
        5,
        "allocation[0].to_owner",
        "name one of group and to_owner and queue, not 3 of them",
    ),
    Mistake('[[allocation]]\nqueue = "a"\n[[allocation]]\nuser = 1', 4, "allocation[1].user", "must be a string"),
    Mistake('[[allocation]]\nqueue = "a"\nreason = "timeuot"', 3, "allocation[0].reason", 'did you mean "timeout"?'),
    Mistake(FAX + '[[allocation]]\nqueue = "a"\nsystem = "ff"', 6, "allocation[0].system", 'did you mean "f"?'),
    Mistake('[[allocation]]\nqueue = "a"\nsystem = "x"', 3, "allocation[0].system", "configured systems: none"),
    Mistake('[[allocation]]\nqueue = "a"\nwen = "id"', 3, "allocation[0].wen", 'did you mean "when"?'),
    Mistake('[[allocation]]\nqueue = "a"\nto_ower = true', 3, "allocation[0].to_ower", 'did you mean "to_owner"?'),
    Mistake("[[allocation]]\nto_owner = 1", 2, "allocation[0].to_owner", "must be true, or left out, not 1"),
    Mistake('[[allocation]]\nqueue = "a"\nowner = 1', 3, "allocation[0].owner", "must be a string"),
    Mistake('[[allocation]]\nqueue = "a"\nowner = []', 3, "allocation[0].owner", "must name at least one case owner"),
    Mistake('[[allocation]]\nqueue = "a"\nowner = ["x", ""]', 3, "allocation[0].owner", "must not be empty"),
    Mistake(
        '[groups]\nseniors = ["a"]\n[[allocation]]\ngroup = "senoirs"',
        4,
        "allocation[0].group",
        'there is no group "senoirs"; did you mean "seniors"?',
    ),
    Mistake('[[allocation]]\nqueue = "a"\nwhen = 1', 3, "allocation[0].when", "a string with a JMESPath expression"),
    Mistake('[[allocation]]\nqueue = "a"\nwhen = ""', 3, "allocation[0].when", "JMESPath expression: cannot be empty"),
    Mistake('[[allocation]]\nqueue = "a"\nwhen = "a b"', 3, "allocation[0].when", "Unexpected token: b: Parse error"),
    Mistake('[[allocation]]\nqueue = "a"\nwhen = "a = 1"', 3, "allocation[0].when", "Unknown token '=' at column 2"),
    Mistake('[[allocation]]\nqueue = "a"\nwhen = "a[?"', 3, "allocation[0].when", "Incomplete expression"),
    Mistake('[[allocation]]\nqueue = "a"\nwhen = "lenght(a)"', 3, "allocation[0].when", "Unknown function: lenght()"),
    Mistake(
        '[[allocation]]\nqueue = "a"\nwhen = "a[?length(b, c)]"',
        3,
        "allocation[0].when",
        "Expected 1 argument for function length(), received 2",
    ),
    Mistake(
        '[[allocation]]\nqueue = "a"\nwhen = "sort_by(a, &not_null())"',
        3,
        "allocation[0].when",
        "Expected at least 1 argument for function not_null(), received 0",
    ),
    Mistake(
        f'[[allocation]]\nqueue = "a"\nwhen = "{"(" * 4_000}"', 3, "allocation[0].when", "is nested too deeply for a"
    ),
    Mistake(f'[[allocation]]\nqueue = "a"\nwhen = "{"a" * 4_097}"', 3, "allocation[0].when", "at most 4096 characters"),
    # [groups] and [queues]
    Mistake("groups = []", 1, "groups", "must be a table"),
    Mistake('[groups]\ng = "anna"', 2, "groups.g", 'must be an array of 1 or more names, such as ["anna", "ben"]'),
    Mistake("[groups]\ng = []", 2, "groups.g", "must be an array of 1 or more names"),
    Mistake('[groups]\ng = [\n"a",\n1]', 4, "groups.g[1]", "must be a string"),
    Mistake('[groups]\ng = ["a", "b", "a"]', 2, "groups.g[2]", '"a" stands twice in the group'),
    Mistake('[groups]\n"" = ["a"]', 2, 'groups.""', "a group's name must not be empty"),
    Mistake('[groups]\ng = []\n[[allocation]]\ngroup = "g"', 2, "groups.g", "must be an array"),
    Mistake("[queues]\nq = 1", 2, "queues.q", "must be a string"),
    Mistake('[queues]\nq = ""', 2, "queues.q", "must not be empty"),
    Mistake(f'[queues]\n{"q" * 201} = "x"', 2, f"queues.{'q' * 201}", "a queue's name must have at most 200"),
    # [notify]
    Mistake(
        '[notify]\nvia = "mail"', 2, "notify.via", 'must be one of "log", "command", "webhook", "smtp", not "mail"'
    ),
    Mistake('[notify]\nurl = "http://a"', 2, "notify.url", 'belongs to via = "webhook", but this is via = "log"'),
    Mistake('[notify]\nvia = "webhook"', 1, "notify.url", 'missing: via = "webhook" needs it'),
    Mistake('[notify]\nvia = "webhook"\nurl = "a"', 3, "notify.url", "http or https URL"),
    Mistake('[notify]\nvia = "command"', 1, "notify.command", 'missing: via = "command" needs it'),
    Mistake('[notify]\nvia = "command"\ncommand = "ls -l"', 3, "notify.command", "must be an array"),
    Mistake('[notify]\nvia = "command"\ncommand = []', 3, "notify.command", "must name a program"),
    Mistake('[notify]\nvia = "command"\ncommand = [\n"a",\n1]', 5, "notify.command[1]", "must be a string"),
    Mistake('[notify]\nvia = "smtp"\nsender = "a@b"', 1, "notify.host", "missing"),
    Mistake('[notify]\nvia = "smtp"\nhost = "h"', 1, "notify.sender", "missing"),
    Mistake('[notify]\nvia = "smtp"\nhost = "h:25"\nsender = "a@b"', 3, "notify.host", "the port stands in port"),
    Mistake('[notify]\nvia = "smtp"\nhost = "h"\nsender = "a"', 4, "notify.sender", "must be a mail address"),
    Mistake('[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nport = 0', 5, "notify.port", "from 1 to 65535, not 0"),
    Mistake('[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nusername = "u"', 1, "notify.password", "go together"),
    Mistake(
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\npassword = { env = "P" }',
        1,
        "notify.username",
        "go together",
    ),
    Mistake(
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nusername = "u"\npassword = "hunter2"',
        6,
        "notify.password",
        "must not stand in the file",
    ),
    Mistake(
        '[notify]\nvia = "smtp"\nhost = "h"\nsender = "a@b"\nstarttls = "yes"', 5, "notify.starttls", "true or false"
    ),
    Mistake('[notify]\nvai = "log"', 2, "notify.vai", 'did you mean "via"?'),
    # [control]
    Mistake("[control]\nrole = 1", 2, "control.role", 'did you mean "roles"?'),
    Mistake("[control.roles]\nadmins = []", 2, "control.roles.admins", 'did you mean "admin"?'),
    Mistake('[control.roles]\nadmin = "uid:0"', 2, "control.roles.admin", "must be an array"),
    Mistake('[control.roles]\nadmin = [\n"uid:0",\n"root"]', 4, "control.roles.admin[1]", 'must be "user:NAME"'),
    Mistake("[control.roles]\nviewer = [0]", 2, "control.roles.viewer[0]", 'must be "user:NAME"'),
    Mistake('[control.roles]\nviewer = ["uid:x"]', 2, "control.roles.viewer[0]", "a uid is a number from 0"),
    Mistake('[control.roles]\nviewer = ["gid:4294967295"]', 2, "control.roles.viewer[0]", "a gid is a number from 0"),
    Mistake('[control.roles]\nviewer = ["user:n0body-h3re"]', 2, "control.roles.viewer[0]", 'no user "n0body-h3re"'),
    Mistake('[control.roles]\nviewer = ["group:n0body-h3re"]', 2, "control.roles.viewer[0]", 'no group "n0body-h3re"'),
    # the adapter's own settings
    Mistake('\n[systems.f]\nadapter = "fax"', 2, "systems.f.fax.number", "missing: the adapter needs it"),
    Mistake(
        '[systems.f]\nadapter = "fax"\n[systems.f.fax]', 3, "systems.f.fax.number", "missing: the adapter needs it"
    ),
    Mistake('[systems.f]\nadapter = "fax"\nfax = 1', 3, "systems.f.fax", "must be a table"),
    in_system("fax.page = 1", "fax.page", 'unknown key "page"; did you mean "pages"?'),
    in_system("fax.pages = true", "fax.pages", "must be a whole number"),
    in_system('fax.pages = "x"', "fax.pages", "must be a whole number"),
    in_system("fax.pages = 1.5", "fax.pages", "must be a whole number"),
    in_system("fax.scale = false", "fax.scale", "must be a number"),
    in_system('fax.kind = "papr"', "fax.kind", "must be 'paper' or 'mail'"),
    in_system('fax.pause = "1"', "fax.pause", "the unit is missing"),
    in_system("fax.pause = 1", "fax.pause", 'must be a string with a unit: "1s"'),
    in_system('fax.seal = "cracked"', "fax.seal", "this seal is broken: 'cracked'"),
    in_system("fax.labels = 1", "fax.labels", "must be a table"),
    in_system("fax.labels.a = 1", "fax.labels.a", "must be a string"),
    in_system("fax.headers.a = 1", "fax.headers.a", "must be a string"),
    in_system("fax.copies = 1", "fax.copies", "must be an array"),
    Mistake(FAX + 'fax.copies = ["a",\n2]', 5, "systems.f.fax.copies[1]", "must be a string"),
    in_system('fax.limits.size = "x"', "fax.limits.size", "must be a whole number"),
    in_system("fax.limits.size = true", "fax.limits.size", "must be a whole number"),
    in_system("fax.limits.sise = 1", "fax.limits.sise", 'unknown key "sise"; did you mean "size"?'),
    in_system('fax.limits.strict = "perhaps"', "fax.limits.strict", "must be true or false"),
    Mistake(FAX + "[[systems.f.fax.lines]]\nsize = 1\nstrikt = 1", 6, "systems.f.fax.lines[0].strikt", '"strict"?'),
    in_system('fax.seal = { credental = "x" }', "fax.seal", 'must be a string, { credential = "NAME" }'),
    in_system('fax.seal = { credential = "x", env = "y" }', "fax.seal", 'must be a string, { credential = "NAME" }'),
    Mistake('[systems.p]\nadapter = "post"\n[systems.p.post]\nbox = 13', 3, "systems.p.post", "box 13 is walled up"),
    Mistake(
        '[systems.p]\nadapter = "post"\n[systems.p.post]\nbox = 14',
        3,
        "systems.p.post",
        "the adapter 'post' failed to check its settings: RuntimeError",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_one_mistake_is_one_problem(mistake: Mistake, refuse) -> None:
    [problem] = refuse(mistake.text, environ={"P": "p"})
    assert (problem.line, problem.key) == (mistake.line, mistake.key)
    assert mistake.says in problem.message


def test_the_sound_system_that_the_mistakes_use_is_sound(load) -> None:
    assert list(load(FAX).systems) == ["f"]


def test_a_problem_reads_as_a_compiler_would_say_it(refuse, tmp_path) -> None:
    [problem] = refuse(FAX + "concurency = 3")
    assert str(problem) == (
        f'{tmp_path}/connectord.toml:4: systems.f.concurency: unknown key "concurency"; did you mean "concurrency"?'
    )


def test_ten_mistakes_are_ten_problems(refuse) -> None:
    problems = refuse("""\
[daemon]
log_level = "loud"
drain = 30
[callbacks]
bind = "localhost"
[retry]
jitter = 2
[systems.billing]
adapter = "fax"
concurency = 3
retry.limit = 0
[systems.billing.fax]
pages = "many"
[systems.shipping]
adapter = "post"
[[allocation]]
queue = "late"
system = "biling"
[control.roles]
admin = ["root"]
""")
    assert [(problem.line, problem.key) for problem in problems] == [
        (2, "daemon.log_level"),
        (3, "daemon.drain"),
        (5, "callbacks.bind"),
        (7, "retry.jitter"),
        (10, "systems.billing.concurency"),
        (11, "systems.billing.retry.limit"),
        (12, "systems.billing.fax.number"),
        (13, "systems.billing.fax.pages"),
        (18, "allocation[0].system"),
        (20, "control.roles.admin[0]"),
    ]


def test_a_wrong_default_is_not_reported_again_where_it_is_used(refuse) -> None:
    problems = refuse('[retry]\ndelay = "2h"\n' + FAX + 'retry.max_delay = "30m"\n')
    assert [problem.key for problem in problems] == ["retry.delay"]


def test_every_alternative_of_a_value_is_named_in_one_problem(refuse) -> None:
    [problem] = refuse(FAX + "fax.headers = { a = [] }")
    assert problem.key == "systems.f.fax.headers.a"
    assert problem.message == "must be a string"


def test_settings_are_checked_although_the_system_has_other_mistakes(refuse) -> None:
    problems = refuse('[systems.f]\ntimeout = 1\nadapter = "fax"\nfax.pages = []\n')
    assert {problem.key for problem in problems} == {
        "systems.f.timeout",
        "systems.f.fax.number",
        "systems.f.fax.pages",
    }
