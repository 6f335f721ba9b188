-- Wrong passwords, so that guessing them takes for ever: kept here, to outlive a restart and to be
-- shared by replicas.

CREATE TABLE login_failures (
    -- account: of the name that was tried, whether somebody is called so or not.
    -- address: from a network, whatever the name.
    -- known: of a name, from a network where that user has logged in before.
    kind            TEXT    NOT NULL CHECK (kind IN ('account', 'address', 'known')),
    key             TEXT    NOT NULL,
    failures        INTEGER NOT NULL,
    last_failure_at TEXT    NOT NULL,
    -- Until then nobody is heard.
    blocked_until   TEXT,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_by_time ON login_failures (last_failure_at);

-- From where users have logged in: those are not locked out by what others do.
CREATE TABLE known_networks (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- An IPv4 address, or the /64 of an IPv6 address.
    network TEXT NOT NULL,
    -- Exact to a day.
    seen_at TEXT NOT NULL,
    PRIMARY KEY (user_id, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_networks_by_time ON known_networks (seen_at);
