-- What somebody may show instead of a password, and rights given one by one.

CREATE TABLE tokens (
    id                BLOB PRIMARY KEY NOT NULL,
    -- personal: acts for a user. deploy: for a group or project. job: the same, for one pipeline.
    kind              TEXT NOT NULL CHECK (kind IN ('personal', 'deploy', 'job')),
    user_id           BLOB    REFERENCES users (id) ON DELETE CASCADE,
    path              INTEGER REFERENCES paths (number) ON DELETE CASCADE,
    -- What people call it.
    name              TEXT NOT NULL,
    -- Of deploy and job tokens, which have one of their own; free again once it is revoked.
    username          TEXT,
    -- The token itself is shown once and never stored.
    token_sha256      BLOB NOT NULL UNIQUE,
    -- Of personal tokens: `read_registry write_registry`, separated by spaces.
    scopes            TEXT,
    -- Of deploy and job tokens: `pull,push`.
    actions           TEXT,
    -- Of deploy and job tokens: the repositories, as a glob. NULL: all at and below the path.
    pattern           TEXT,
    created_by        BLOB REFERENCES users (id) ON DELETE SET NULL,
    created_at        TEXT NOT NULL,
    -- NULL: never.
    expires_at        TEXT,
    -- Exact to a minute, as is the address.
    last_used_at      TEXT,
    last_used_address TEXT,
    revoked_at        TEXT,
    CHECK ((kind = 'personal') = (user_id IS NOT NULL)),
    CHECK ((kind = 'personal') = (path IS NULL)),
    CHECK ((kind = 'personal') = (scopes IS NOT NULL)),
    CHECK ((kind = 'personal') = (username IS NULL)),
    CHECK ((kind = 'personal') = (actions IS NULL))
) STRICT;

CREATE UNIQUE INDEX tokens_by_username ON tokens (username) WHERE revoked_at IS NULL;
CREATE INDEX tokens_by_user ON tokens (user_id);
CREATE INDEX tokens_by_path ON tokens (path);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

-- Rights in a project beside the roles of its members.
CREATE TABLE grants (
    id         BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- To whom: one of the three.
    user_id    BLOB REFERENCES users (id) ON DELETE CASCADE,
    group_id   BLOB REFERENCES groups (id) ON DELETE CASCADE,
    token_id   BLOB REFERENCES tokens (id) ON DELETE CASCADE,
    -- `pull,push`
    actions    TEXT NOT NULL,
    -- Which repositories of the project, as a glob over their whole name.
    pattern    TEXT NOT NULL,
    expires_at TEXT,
    created_at TEXT NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1,
    CHECK ((user_id IS NOT NULL) + (group_id IS NOT NULL) + (token_id IS NOT NULL) = 1)
) STRICT;

CREATE INDEX grants_by_project ON grants (project_id);
CREATE INDEX grants_by_user ON grants (user_id);
CREATE INDEX grants_by_group ON grants (group_id);
CREATE INDEX grants_by_token ON grants (token_id);

-- Browsers that have logged in.
CREATE TABLE sessions (
    id           BLOB PRIMARY KEY NOT NULL,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_sha256 BLOB NOT NULL UNIQUE,
    created_at   TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    last_used_at TEXT,
    address      TEXT,
    user_agent   TEXT,
    revoked_at   TEXT
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

ALTER TABLE refresh_tokens ADD COLUMN address TEXT;
