-- What connectord keeps. Times are whole milliseconds since the epoch, UTC; JSON is text.
-- Only the daemon writes; everybody may read while it runs (WAL).

CREATE TABLE cases (
    id           TEXT PRIMARY KEY,
    owner        TEXT,
    data         TEXT NOT NULL DEFAULT '{}',
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
);

CREATE TABLE actions (
    id               TEXT PRIMARY KEY,      -- a ULID: sorts by time
    system           TEXT NOT NULL,
    case_id          TEXT REFERENCES cases (id),
    owner            TEXT,
    key              TEXT,                  -- rule 17
    payload_digest   BLOB,                  -- of what was submitted under that key
    state            TEXT NOT NULL CHECK (state IN ('pending', 'attempting', 'waiting', 'todo', 'in_progress', 'closed')),
    reason           TEXT,
    resolution       TEXT,
    rejected_reason  TEXT,
    submitted_at     INTEGER NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    due_at           INTEGER,
    scheduled_at     INTEGER,               -- the next automatic try; a manual retry leaves it (rule 13)
    manual           INTEGER NOT NULL DEFAULT 0,
    backoff_step     INTEGER NOT NULL DEFAULT 0,
    limit_at_failure INTEGER,               -- rule 10
    error_at         INTEGER,
    error_message    TEXT,
    deadline         INTEGER,
    response_digest  TEXT,                  -- rule 15
    progress_at      INTEGER,
    progress_text    TEXT,
    progress_percent REAL,
    queue            TEXT,
    user             TEXT,
    closed_at        INTEGER,
    rerun_of         TEXT,
    data             TEXT NOT NULL DEFAULT '{}',
    response_data    TEXT NOT NULL DEFAULT '{}',
    CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CHECK ((state = 'waiting') = (deadline IS NOT NULL)),
    CHECK ((state = 'closed') = (resolution IS NOT NULL))
);

-- Partial indexes: they hold what is live, and stay small whatever is kept.
CREATE INDEX actions_due ON actions (system, due_at) WHERE state = 'pending';
CREATE INDEX actions_deadline ON actions (deadline, system) WHERE state = 'waiting';
CREATE INDEX actions_retrying ON actions (system, attempts) WHERE state = 'pending' AND attempts > 0;
CREATE INDEX actions_live ON actions (state, id) WHERE state <> 'closed';
CREATE INDEX actions_case ON actions (case_id, id) WHERE case_id IS NOT NULL;
CREATE UNIQUE INDEX actions_key ON actions (system, key) WHERE key IS NOT NULL;

CREATE TABLE attempts (
    action_id   TEXT NOT NULL REFERENCES actions (id),
    number      INTEGER NOT NULL,
    manual      INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    outcome     TEXT,
    message     TEXT,
    PRIMARY KEY (action_id, number)
) WITHOUT ROWID;

CREATE INDEX attempts_open ON attempts (action_id) WHERE ended_at IS NULL;

CREATE TABLE history (
    seq         INTEGER PRIMARY KEY,        -- the order in which everything happened
    action_id   TEXT NOT NULL REFERENCES actions (id),
    at          INTEGER NOT NULL,
    from_state  TEXT,
    to_state    TEXT NOT NULL,
    event       TEXT NOT NULL,
    rules       TEXT NOT NULL,
    why         TEXT NOT NULL,
    who         TEXT NOT NULL,
    note        TEXT
);

CREATE INDEX history_action ON history (action_id, seq);

CREATE TABLE late_responses (
    action_id   TEXT NOT NULL REFERENCES actions (id),
    digest      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT,
    data        TEXT NOT NULL,
    PRIMARY KEY (action_id, digest)
) WITHOUT ROWID;

CREATE TABLE outbox (
    seq           INTEGER PRIMARY KEY,
    action_id     TEXT NOT NULL REFERENCES actions (id),
    case_id       TEXT,
    owner         TEXT,
    notice        TEXT NOT NULL,
    at            INTEGER NOT NULL,
    text          TEXT NOT NULL,
    tries         INTEGER NOT NULL DEFAULT 0,
    next_try_at   INTEGER,                  -- null once delivered
    delivered_at  INTEGER,
    last_error    TEXT
);

CREATE INDEX outbox_due ON outbox (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE paused_systems (
    system  TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL
) WITHOUT ROWID;
