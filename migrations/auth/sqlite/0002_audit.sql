-- Who did what, when, from where, and how it ended. Written in the transaction of the change
-- itself; never changed afterwards, and deleted only when its time is over.

CREATE TABLE audit_events (
    -- The order in which things happened.
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    at           TEXT NOT NULL,
    -- `user.create`, `login`, `token.refuse`, …
    action       TEXT NOT NULL,
    outcome      TEXT NOT NULL CHECK (outcome IN ('success', 'failure')),
    actor_kind   TEXT NOT NULL,
    actor_id     BLOB,
    -- As it was then: names outlive the rows they belong to.
    actor_name   TEXT NOT NULL,
    subject_kind TEXT,
    subject_id   BLOB,
    subject_name TEXT,
    address      TEXT,
    user_agent   TEXT,
    request_id   TEXT,
    -- Why it failed, or was done, in a sentence.
    reason       TEXT,
    -- JSON objects; never with a secret in them.
    state_before TEXT,
    state_after  TEXT
) STRICT;

CREATE INDEX audit_events_by_time ON audit_events (at, number);
-- With what else may be asked for, so that counting needs no other row.
CREATE INDEX audit_events_by_actor ON audit_events (actor_name, number, at, action, outcome);
CREATE INDEX audit_events_by_subject ON audit_events (subject_name, number, at, action, outcome);
CREATE INDEX audit_events_by_action ON audit_events (action, number, at, outcome);
CREATE INDEX audit_events_by_address ON audit_events (address, number, at, action, outcome);
CREATE INDEX audit_events_by_outcome ON audit_events (outcome, number, at);

CREATE TRIGGER audit_events_are_final BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events cannot be changed');
END;
