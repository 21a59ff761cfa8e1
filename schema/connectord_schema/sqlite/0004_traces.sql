-- The trace that the submitter wants an action to belong to (W3C Trace Context).

ALTER TABLE actions ADD COLUMN traceparent TEXT;
