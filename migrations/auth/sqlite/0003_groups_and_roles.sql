-- Groups, who belongs to what, and one register of all paths.

-- Counts changes: what a client has read is still so if the number is the same.
ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

CREATE TABLE groups (
    id             BLOB    PRIMARY KEY NOT NULL,
    -- Nests: the group `platform/backend` lies in `platform`.
    path           TEXT    NOT NULL UNIQUE,
    -- Whether a push to a path that no project covers makes a project.
    create_on_push INTEGER NOT NULL CHECK (create_on_push IN (0, 1)),
    created_at     TEXT    NOT NULL,
    version        INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Owners become members below; SQLite cannot drop a column that is a foreign key.
CREATE TABLE new_projects (
    -- What tokens call the project: GitLab's field for it is a number. Never given twice.
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE,
    -- Covers the repository of this name and all below it, unless a longer path covers them.
    path       TEXT NOT NULL UNIQUE,
    visibility TEXT NOT NULL CHECK (visibility IN ('private', 'internal', 'public')),
    created_at TEXT NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1
) STRICT;

INSERT INTO new_projects (number, id, path, visibility, created_at)
SELECT number, id, path, visibility, created_at FROM projects;

-- Every path belongs to one user, group or project; that they share a table keeps two of them from
-- taking the same path at once. Paths never change: images are stored under them.
CREATE TABLE paths (
    -- What tokens call the namespace, in GitLab's field `root_namespace_id`. Never given twice.
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    path       TEXT NOT NULL UNIQUE,
    user_id    BLOB UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    group_id   BLOB UNIQUE REFERENCES groups (id) ON DELETE CASCADE,
    project_id BLOB UNIQUE REFERENCES new_projects (id) ON DELETE CASCADE,
    CHECK ((user_id IS NOT NULL) + (group_id IS NOT NULL) + (project_id IS NOT NULL) = 1)
) STRICT;

INSERT INTO paths (path, user_id) SELECT username, id FROM users ORDER BY created_at, id;
-- A project of a user's very name was possible once. It keeps working, but has no members.
INSERT INTO paths (path, project_id)
SELECT path, id FROM new_projects WHERE path NOT IN (SELECT path FROM paths) ORDER BY number;

-- What a user is in a group, and in all that lies below it, or in a project.
CREATE TABLE memberships (
    path       INTEGER NOT NULL REFERENCES paths (number) ON DELETE CASCADE,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       TEXT    NOT NULL
               CHECK (role IN ('guest', 'reporter', 'developer', 'maintainer', 'owner')),
    -- NULL: for good.
    expires_at TEXT,
    created_at TEXT    NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (path, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_by_user ON memberships (user_id);

INSERT INTO memberships (path, user_id, role, created_at)
SELECT p.number, o.owner_id, 'owner', o.created_at
FROM projects o JOIN paths p ON p.project_id = o.id WHERE o.owner_id IS NOT NULL;

DELETE FROM sqlite_sequence WHERE name = 'new_projects';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'new_projects', seq FROM sqlite_sequence WHERE name = 'projects';
DROP TABLE projects;
ALTER TABLE new_projects RENAME TO projects;
