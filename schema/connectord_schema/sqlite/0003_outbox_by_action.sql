-- Whether a case owner was told of an action is asked by action.

CREATE INDEX IF NOT EXISTS outbox_action ON outbox (action_id);
