-- What somebody may show instead of a password, and rights given one by one.

CREATE TABLE tokens (
    id                UUID PRIMARY KEY,
    -- personal: acts for a user. deploy: for a group or project. job: the same, for one pipeline.
    kind              TEXT NOT NULL CHECK (kind IN ('personal', 'deploy', 'job')),
    user_id           UUID   REFERENCES users (id) ON DELETE CASCADE,
    path              BIGINT REFERENCES paths (number) ON DELETE CASCADE,
    -- What people call it.
    name              TEXT COLLATE "C" NOT NULL,
    -- Of deploy and job tokens, which have one of their own; free again once it is revoked.
    username          TEXT COLLATE "C",
    -- The token itself is shown once and never stored.
    token_sha256      BYTEA NOT NULL UNIQUE,
    -- Of personal tokens: `read_registry write_registry`, separated by spaces.
    scopes            TEXT,
    -- Of deploy and job tokens: `pull,push`.
    actions           TEXT,
    -- Of deploy and job tokens: the repositories, as a glob. NULL: all at and below the path.
    pattern           TEXT,
    created_by        UUID REFERENCES users (id) ON DELETE SET NULL,
    created_at        TIMESTAMPTZ NOT NULL,
    -- NULL: never.
    expires_at        TIMESTAMPTZ,
    -- Exact to a minute, as is the address.
    last_used_at      TIMESTAMPTZ,
    last_used_address TEXT,
    revoked_at        TIMESTAMPTZ,
    CHECK ((kind = 'personal') = (user_id IS NOT NULL)),
    CHECK ((kind = 'personal') = (path IS NULL)),
    CHECK ((kind = 'personal') = (scopes IS NOT NULL)),
    CHECK ((kind = 'personal') = (username IS NULL)),
    CHECK ((kind = 'personal') = (actions IS NULL))
);

CREATE UNIQUE INDEX tokens_by_username ON tokens (username) WHERE revoked_at IS NULL;
CREATE INDEX tokens_by_user ON tokens (user_id);
CREATE INDEX tokens_by_path ON tokens (path);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

-- Rights in a project beside the roles of its members.
CREATE TABLE grants (
    id         UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- To whom: one of the three.
    user_id    UUID REFERENCES users (id) ON DELETE CASCADE,
    group_id   UUID REFERENCES groups (id) ON DELETE CASCADE,
    token_id   UUID REFERENCES tokens (id) ON DELETE CASCADE,
    -- `pull,push`
    actions    TEXT NOT NULL,
    -- Which repositories of the project, as a glob over their whole name.
    pattern    TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    version    BIGINT NOT NULL DEFAULT 1,
    CHECK (num_nonnulls(user_id, group_id, token_id) = 1)
);

CREATE INDEX grants_by_project ON grants (project_id);
CREATE INDEX grants_by_user ON grants (user_id);
CREATE INDEX grants_by_group ON grants (group_id);
CREATE INDEX grants_by_token ON grants (token_id);

-- Browsers that have logged in.
CREATE TABLE sessions (
    id           UUID PRIMARY KEY,
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_sha256 BYTEA NOT NULL UNIQUE,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ,
    address      TEXT,
    user_agent   TEXT,
    revoked_at   TIMESTAMPTZ
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

ALTER TABLE refresh_tokens ADD COLUMN address TEXT;
