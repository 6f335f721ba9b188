-- Accounts, projects and refresh tokens. The same tables as ../postgres/0001_accounts.sql, column
-- for column; a test compares them.
--
-- Names compare bytewise (SQLite's default). Times are RFC 3339 in UTC, which sorts as text.

CREATE TABLE users (
    id            BLOB    PRIMARY KEY NOT NULL,
    username      TEXT    NOT NULL UNIQUE,
    email         TEXT,
    -- A PHC string, `$argon2id$v=19$…`. NULL: cannot log in with a password.
    password_hash TEXT,
    is_admin      INTEGER NOT NULL CHECK (is_admin IN (0, 1)),
    created_at    TEXT    NOT NULL,
    -- Set: every credential of the user is refused.
    disabled_at   TEXT,
    last_login_at TEXT
) STRICT;

-- Two accounts must not share an address, however it is written.
CREATE UNIQUE INDEX users_by_email ON users (lower(email));

CREATE TABLE projects (
    -- What tokens call the project: GitLab's field for it is a number. Never given twice.
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE,
    -- Covers the repository of this name and all below it, unless a longer path covers them.
    path       TEXT NOT NULL UNIQUE,
    owner_id   BLOB REFERENCES users (id) ON DELETE SET NULL,
    visibility TEXT NOT NULL CHECK (visibility IN ('private', 'internal', 'public')),
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX projects_by_owner ON projects (owner_id);

CREATE TABLE refresh_tokens (
    id           BLOB PRIMARY KEY NOT NULL,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The token itself is shown once and never stored.
    token_sha256 BLOB NOT NULL UNIQUE,
    -- What the client called itself: `docker`, `containerd-client`. Grants nothing.
    client_id    TEXT NOT NULL,
    service      TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    last_used_at TEXT,
    revoked_at   TEXT
) STRICT;

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
