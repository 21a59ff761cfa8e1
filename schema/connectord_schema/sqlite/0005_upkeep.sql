-- Upkeep: what is removed by age, who brought the schema here, and views that others may read.

-- Closed actions by how they were closed, whether they hold a key, and when: what retention looks for.
CREATE INDEX actions_closed ON actions (resolution, (key IS NOT NULL), closed_at) WHERE state = 'closed';

-- A system's actions, the newest first, whatever others there are.
CREATE INDEX actions_system ON actions (system, id);

-- One row: what retention has removed so far. Numbers that were given out are never given out again.
CREATE TABLE retention (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    actions          INTEGER NOT NULL DEFAULT 0,    -- how many in all
    history_through  INTEGER NOT NULL DEFAULT 0,    -- the highest number of a row of the history that is gone
    outbox_through   INTEGER NOT NULL DEFAULT 0,    -- the same for notifications
    last_at          INTEGER                        -- when one was removed last
);
INSERT INTO retention (one) VALUES (1);

-- Who brought the schema to where it is, so that an older daemon can say which one it needs.
CREATE TABLE migrated_by (
    migration   TEXT PRIMARY KEY,
    connectord  TEXT NOT NULL
) WITHOUT ROWID;

-- The public schema: docs/database.md. Columns are added, never renamed or removed. A comment says what each one is.

-- One row an action.
CREATE VIEW v_actions AS SELECT
    a.id,  -- its id, a ULID: ids sort by the time of submission
    a.system,  -- the system in connectord.toml
    a.case_id,  -- the case, or null
    coalesce(c.owner, a.owner) AS owner,  -- the case's owner
    a.key,  -- the caller's own key (rule 17), or null
    a.state,  -- pending, attempting, waiting, todo, in_progress or closed
    a.reason,  -- why a person must look: updated_by_integration or timeout
    a.resolution,  -- done_successfully or not_done_successfully, once closed
    a.rejected_reason,  -- what the system said against it (rule 3)
    a.attempts,  -- how many attempts there were
    strftime('%Y-%m-%dT%H:%M:%S', a.submitted_at / 1000, 'unixepoch') || printf('.%03dZ', a.submitted_at % 1000) AS submitted_at,  -- when it was submitted
    strftime('%Y-%m-%dT%H:%M:%S', a.due_at / 1000, 'unixepoch') || printf('.%03dZ', a.due_at % 1000) AS due_at,  -- when it is attempted next; only while pending
    strftime('%Y-%m-%dT%H:%M:%S', a.deadline / 1000, 'unixepoch') || printf('.%03dZ', a.deadline % 1000) AS deadline,  -- until when a response is awaited; only while waiting
    strftime('%Y-%m-%dT%H:%M:%S', a.todo_at / 1000, 'unixepoch') || printf('.%03dZ', a.todo_at % 1000) AS needs_person_since,  -- since when it needs a person
    strftime('%Y-%m-%dT%H:%M:%S', a.closed_at / 1000, 'unixepoch') || printf('.%03dZ', a.closed_at % 1000) AS closed_at,  -- when it was closed
    a.queue,  -- the queue that it is in, or null
    a.user,  -- the user who has it, or null
    strftime('%Y-%m-%dT%H:%M:%S', a.error_at / 1000, 'unixepoch') || printf('.%03dZ', a.error_at % 1000) AS error_at,  -- when an attempt failed last (rule 7)
    a.error_message,  -- how it failed
    strftime('%Y-%m-%dT%H:%M:%S', a.progress_at / 1000, 'unixepoch') || printf('.%03dZ', a.progress_at % 1000) AS progress_at,  -- when the system last reported progress (rule 21)
    a.progress_text,  -- what it reported
    a.progress_percent,  -- how far it was
    a.reference,  -- the system's own name for the work
    a.rerun_of,  -- the action that this one is a rerun of; that one may be gone
    a.data,  -- its custom data, JSON
    a.response_data  -- what its response carried, JSON
FROM actions a LEFT JOIN cases c ON c.id = a.case_id;

-- One row a case.
CREATE VIEW v_cases AS SELECT
    c.id,  -- the case
    c.owner,  -- who owns it
    c.data,  -- its custom data as responses have left it, JSON
    strftime('%Y-%m-%dT%H:%M:%S', c.created_at / 1000, 'unixepoch') || printf('.%03dZ', c.created_at % 1000) AS created_at,  -- when its first action was submitted
    strftime('%Y-%m-%dT%H:%M:%S', c.updated_at / 1000, 'unixepoch') || printf('.%03dZ', c.updated_at % 1000) AS updated_at  -- when owner or data changed last
FROM cases c;

-- One row a change of state (rule 18).
CREATE VIEW v_history AS SELECT
    h.seq,  -- the order in which everything happened; watch --after takes it
    h.action_id,  -- the action
    strftime('%Y-%m-%dT%H:%M:%S', h.at / 1000, 'unixepoch') || printf('.%03dZ', h.at % 1000) AS at,  -- when
    h.from_state,  -- the state before; null for the submission
    h.to_state,  -- the state after
    h.event,  -- what happened
    h.rules,  -- the rules that decided
    h.why,  -- in words
    h.who,  -- who did it
    h.note,  -- what a person wrote
    h.config_version  -- the configuration that was in force
FROM history h;

-- One row an attempt.
CREATE VIEW v_attempts AS SELECT
    t.action_id,  -- the action
    t.number,  -- counts from 1
    t.manual,  -- 1 for a manual retry (rule 8)
    strftime('%Y-%m-%dT%H:%M:%S', t.started_at / 1000, 'unixepoch') || printf('.%03dZ', t.started_at % 1000) AS started_at,  -- when it began
    strftime('%Y-%m-%dT%H:%M:%S', t.ended_at / 1000, 'unixepoch') || printf('.%03dZ', t.ended_at % 1000) AS ended_at,  -- when it ended; null while it is under way
    t.ended_at - t.started_at AS duration_ms,  -- how long it took, in milliseconds
    t.outcome,  -- taken, succeeded, rejected, not_connected or interrupted
    t.message  -- what it said
FROM attempts t;

-- One row a response that came too late to decide anything (rule 15).
CREATE VIEW v_late_responses AS SELECT
    l.action_id,  -- the action
    strftime('%Y-%m-%dT%H:%M:%S', l.at / 1000, 'unixepoch') || printf('.%03dZ', l.at % 1000) AS at,  -- when it came
    l.status,  -- what it said: success or failure
    l.reason,  -- the reason it gave
    l.data  -- what it carried, JSON
FROM late_responses l;

-- One row a merge of custom data (rules 2, 3 and 5).
CREATE VIEW v_merges AS SELECT
    m.seq,  -- the row of v_history that brought it
    h.action_id,  -- the action
    m.case_id,  -- the case whose data it went into as well, or null
    strftime('%Y-%m-%dT%H:%M:%S', h.at / 1000, 'unixepoch') || printf('.%03dZ', h.at % 1000) AS at,  -- when
    h.event,  -- what brought it
    h.who,  -- who brought it
    m.data  -- the fields that it set, JSON
FROM merges m JOIN history h ON h.seq = m.seq;

-- One row a notification to a case owner (rules 5 and 9).
CREATE VIEW v_notifications AS SELECT
    o.seq,  -- its number
    o.action_id,  -- the action
    o.case_id,  -- the case, or null
    o.owner,  -- who is to be told
    o.notice,  -- which kind it is
    o.text,  -- its text
    strftime('%Y-%m-%dT%H:%M:%S', o.at / 1000, 'unixepoch') || printf('.%03dZ', o.at % 1000) AS at,  -- when it was written
    o.tries,  -- how often it was tried
    strftime('%Y-%m-%dT%H:%M:%S', o.next_try_at / 1000, 'unixepoch') || printf('.%03dZ', o.next_try_at % 1000) AS next_try_at,  -- when it is tried next; null once nothing is tried by itself
    strftime('%Y-%m-%dT%H:%M:%S', o.delivered_at / 1000, 'unixepoch') || printf('.%03dZ', o.delivered_at % 1000) AS delivered_at,  -- when it was delivered
    o.last_error  -- why the last try failed
FROM outbox o;

-- One row a configuration that was in force; its text is not in it.
CREATE VIEW v_config_versions AS SELECT
    v.version,  -- its number
    strftime('%Y-%m-%dT%H:%M:%S', v.at / 1000, 'unixepoch') || printf('.%03dZ', v.at % 1000) AS at,  -- since when
    v.who,  -- who put it in force
    v.digest,  -- SHA-256 of the file, in hex
    v.back_to  -- the older version whose text this is, where somebody went back
FROM config_versions v;

-- One row a system that a person has stopped.
CREATE VIEW v_paused_systems AS SELECT
    p.system,  -- the system
    strftime('%Y-%m-%dT%H:%M:%S', p.at / 1000, 'unixepoch') || printf('.%03dZ', p.at % 1000) AS at,  -- since when
    p.who  -- who stopped it
FROM paused_systems p;
