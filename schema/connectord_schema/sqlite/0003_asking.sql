-- Asking a system: polls for the response of what it has, probes for what became of an attempt (rule 14).

ALTER TABLE actions ADD COLUMN reference TEXT;                      -- the system's own name for the work
ALTER TABLE actions ADD COLUMN probe INTEGER NOT NULL DEFAULT 0;    -- to be asked about before another try
ALTER TABLE actions ADD COLUMN next_poll_at INTEGER;                -- only while waiting, and only where it is polled
ALTER TABLE actions ADD COLUMN ask_step INTEGER NOT NULL DEFAULT 0; -- how often in a row a question brought nothing

-- What is waiting and polled. It does not name the state, so that no other update of an action has to look at it.
CREATE INDEX actions_poll ON actions (system, next_poll_at) WHERE next_poll_at IS NOT NULL;
