-- Wrong passwords, so that guessing them takes for ever: kept here, to outlive a restart and to be
-- shared by replicas.

CREATE TABLE login_failures (
    -- account: of the name that was tried, whether somebody is called so or not.
    -- address: from a network, whatever the name.
    -- known: of a name, from a network where that user has logged in before.
    kind            TEXT        NOT NULL CHECK (kind IN ('account', 'address', 'known')),
    key             TEXT        COLLATE "C" NOT NULL,
    failures        BIGINT      NOT NULL,
    last_failure_at TIMESTAMPTZ NOT NULL,
    -- Until then nobody is heard.
    blocked_until   TIMESTAMPTZ,
    PRIMARY KEY (kind, key)
);

CREATE INDEX login_failures_by_time ON login_failures (last_failure_at);

-- From where users have logged in: those are not locked out by what others do.
CREATE TABLE known_networks (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- An IPv4 address, or the /64 of an IPv6 address.
    network TEXT COLLATE "C" NOT NULL,
    -- Exact to a day.
    seen_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, network)
);

CREATE INDEX known_networks_by_time ON known_networks (seen_at);
