-- Accounts, projects and refresh tokens. The same tables as ../sqlite/0001_accounts.sql, column
-- for column; a test compares them.
--
-- Names compare bytewise, whatever the locale of the database.

CREATE TABLE users (
    id            UUID        PRIMARY KEY,
    username      TEXT        COLLATE "C" NOT NULL UNIQUE,
    email         TEXT        COLLATE "C",
    -- A PHC string, `$argon2id$v=19$…`. NULL: cannot log in with a password.
    password_hash TEXT,
    is_admin      BOOLEAN     NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    -- Set: every credential of the user is refused.
    disabled_at   TIMESTAMPTZ,
    last_login_at TIMESTAMPTZ
);

-- Two accounts must not share an address, however it is written.
CREATE UNIQUE INDEX users_by_email ON users (lower(email));

CREATE TABLE projects (
    -- What tokens call the project: GitLab's field for it is a number. Never given twice.
    number     BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID        NOT NULL UNIQUE,
    -- Covers the repository of this name and all below it, unless a longer path covers them.
    path       TEXT        COLLATE "C" NOT NULL UNIQUE,
    owner_id   UUID        REFERENCES users (id) ON DELETE SET NULL,
    visibility TEXT        NOT NULL CHECK (visibility IN ('private', 'internal', 'public')),
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX projects_by_owner ON projects (owner_id);

CREATE TABLE refresh_tokens (
    id           UUID        PRIMARY KEY,
    user_id      UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The token itself is shown once and never stored.
    token_sha256 BYTEA       NOT NULL UNIQUE,
    -- What the client called itself: `docker`, `containerd-client`. Grants nothing.
    client_id    TEXT        NOT NULL,
    service      TEXT        NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ
);

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
