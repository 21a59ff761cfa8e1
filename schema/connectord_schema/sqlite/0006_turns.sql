-- Whose turn it is among what is due: what a person asked for, then what was never tried, then retries. A lane takes from
-- each, so that after an outage retries do not keep new actions waiting.

DROP INDEX actions_due;
CREATE INDEX actions_due ON actions (system, CASE WHEN manual THEN 0 WHEN attempts = 0 THEN 1 ELSE 2 END, due_at) WHERE state = 'pending';
