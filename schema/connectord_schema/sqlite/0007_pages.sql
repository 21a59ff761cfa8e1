-- Pages of a list by system and state: no question looks at what other systems, or other states, have.

-- In the place of (state, id): as many writes for an action, and whatever asks for one system finds it alone.
DROP INDEX actions_live;
CREATE INDEX actions_live ON actions (system, state, id) WHERE state <> 'closed';

-- In the place of (system, id) over everything: what is live stands in the other one.
DROP INDEX actions_system;
CREATE INDEX actions_done ON actions (system, id) WHERE state = 'closed';
