-- People's work: since when an action needs a person, which configuration decided, which response set which field.

ALTER TABLE actions ADD COLUMN todo_at INTEGER;         -- since when it needs a person (rules 3 and 4)
UPDATE actions SET todo_at = (SELECT min(at) FROM history WHERE action_id = actions.id AND to_state = 'todo')
    WHERE state IN ('todo', 'in_progress');
ALTER TABLE history ADD COLUMN config_version INTEGER;  -- the configuration that was in force

-- The configurations that were in force, oldest first. Secrets are not in the text: the file only names them.
CREATE TABLE config_versions (
    version   INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    who       TEXT NOT NULL,
    digest    TEXT NOT NULL,            -- SHA-256 of the text's bytes, in hex
    text      BLOB,                     -- null once it is too old to be kept
    back_to   INTEGER                   -- the older version whose text this is, where somebody went back
);

-- Custom data as it was merged (rules 2, 3 and 5): the row of the history that brought it says when and who.
CREATE TABLE merges (
    seq      INTEGER PRIMARY KEY REFERENCES history (seq),
    data     TEXT NOT NULL,
    case_id  TEXT
);

CREATE INDEX merges_case ON merges (case_id, seq) WHERE case_id IS NOT NULL;

-- Round robin over a group: who had the last turn.
CREATE TABLE group_turns (
    group_name  TEXT PRIMARY KEY,
    member      TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX actions_people ON actions (queue, user, state, todo_at) WHERE state IN ('todo', 'in_progress');
CREATE INDEX actions_retrying_newest ON actions (id, system) WHERE state = 'pending' AND attempts > 0;
CREATE INDEX actions_rerun ON actions (rerun_of) WHERE rerun_of IS NOT NULL;
CREATE INDEX outbox_action ON outbox (action_id);
CREATE INDEX outbox_owner ON outbox (owner, seq);
CREATE INDEX outbox_undelivered ON outbox (seq) WHERE delivered_at IS NULL;
CREATE INDEX history_limit_changed ON history (config_version, seq) WHERE event = 'LimitChanged';
