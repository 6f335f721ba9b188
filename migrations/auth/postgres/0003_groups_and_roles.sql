-- Groups, who belongs to what, and one register of all paths.

-- Counts changes: what a client has read is still so if the number is the same.
ALTER TABLE users ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE projects ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

CREATE TABLE groups (
    id             UUID        PRIMARY KEY,
    -- Nests: the group `platform/backend` lies in `platform`.
    path           TEXT        COLLATE "C" NOT NULL UNIQUE,
    -- Whether a push to a path that no project covers makes a project.
    create_on_push BOOLEAN     NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    version        BIGINT      NOT NULL DEFAULT 1
);

-- Every path belongs to one user, group or project; that they share a table keeps two of them from
-- taking the same path at once. Paths never change: images are stored under them.
CREATE TABLE paths (
    -- What tokens call the namespace, in GitLab's field `root_namespace_id`. Never given twice.
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path       TEXT   COLLATE "C" NOT NULL UNIQUE,
    user_id    UUID   UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    group_id   UUID   UNIQUE REFERENCES groups (id) ON DELETE CASCADE,
    project_id UUID   UNIQUE REFERENCES projects (id) ON DELETE CASCADE,
    CHECK (num_nonnulls(user_id, group_id, project_id) = 1)
);

INSERT INTO paths (path, user_id) SELECT username, id FROM users ORDER BY created_at, id;
-- A project of a user's very name was possible once. It keeps working, but has no members.
INSERT INTO paths (path, project_id)
SELECT path, id FROM projects WHERE path NOT IN (SELECT path FROM paths) ORDER BY number;

-- What a user is in a group, and in all that lies below it, or in a project.
CREATE TABLE memberships (
    path       BIGINT      NOT NULL REFERENCES paths (number) ON DELETE CASCADE,
    user_id    UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       TEXT        NOT NULL
               CHECK (role IN ('guest', 'reporter', 'developer', 'maintainer', 'owner')),
    -- NULL: for good.
    expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    version    BIGINT      NOT NULL DEFAULT 1,
    PRIMARY KEY (path, user_id)
);

CREATE INDEX memberships_by_user ON memberships (user_id);

INSERT INTO memberships (path, user_id, role, created_at)
SELECT p.number, o.owner_id, 'owner', o.created_at
FROM projects o JOIN paths p ON p.project_id = o.id WHERE o.owner_id IS NOT NULL;

ALTER TABLE projects DROP COLUMN owner_id;
