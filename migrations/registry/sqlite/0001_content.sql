-- What is in the registry: repositories, the blobs they show, manifests and tags; uploads under way;
-- and what waits for a review by the collector. The same tables as in ../postgres.

-- Created with the first content, so that a failed push leaves no name in the catalog.
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
) STRICT;

-- Content in the blob store, or about to be. A row alone shows nothing to anybody.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL CHECK (size >= 0),
    created_at TEXT NOT NULL
) STRICT;

-- Through which repositories a blob may be seen.
CREATE TABLE repository_blobs (
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    blob_id INTEGER NOT NULL REFERENCES blobs ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blobs_by_blob ON repository_blobs (blob_id);

CREATE TABLE manifests (
    id INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    subject_digest TEXT,
    -- A JSON object, for the list of referrers.
    annotations TEXT,
    size INTEGER NOT NULL CHECK (size >= 0),
    created_at TEXT NOT NULL,
    -- The bytes as they were pushed. Last: SQLite reads a row no further than it must.
    payload BLOB NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject_digest, digest)
    WHERE subject_digest IS NOT NULL;

-- Config and layers: the blobs that a manifest cannot do without. NO ACTION: whatever a collector
-- does, the database does not let go of them.
CREATE TABLE manifest_blobs (
    manifest_id INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    blob_id INTEGER NOT NULL REFERENCES blobs ON DELETE NO ACTION,
    PRIMARY KEY (manifest_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (blob_id);

-- What a manifest names and keeps if it is there, but need not be there: the manifests of an index
-- (or the layers of a build cache), layers that are to be had from elsewhere.
CREATE TABLE manifest_references (
    manifest_id INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (manifest_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_references_by_digest ON manifest_references (repository_id, digest);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    name TEXT NOT NULL,
    manifest_id INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_manifest ON tags (manifest_id);

CREATE TABLE uploads (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    -- By name: the repository may not exist before its first upload is complete.
    repository TEXT NOT NULL,
    -- Who opened the session, as the token calls them; NULL for anonymous.
    subject TEXT,
    algorithm TEXT NOT NULL,
    -- Acknowledged bytes, the hash state behind them, and the blob store's own notes.
    received INTEGER NOT NULL CHECK (received >= 0),
    midstate BLOB NOT NULL,
    backend BLOB NOT NULL,
    -- The request that is writing, and until when others must believe that.
    writer BLOB,
    writer_until TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK ((writer IS NULL) = (writer_until IS NULL))
) STRICT;
CREATE INDEX uploads_by_age ON uploads (updated_at, id);

-- Online collection: what may have become superfluous, and when to look again.
CREATE TABLE blob_reviews (
    blob_id INTEGER PRIMARY KEY NOT NULL REFERENCES blobs ON DELETE CASCADE,
    due_at TEXT NOT NULL
) STRICT;
CREATE INDEX blob_reviews_by_due ON blob_reviews (due_at);

CREATE TABLE manifest_reviews (
    manifest_id INTEGER PRIMARY KEY NOT NULL REFERENCES manifests ON DELETE CASCADE,
    due_at TEXT NOT NULL
) STRICT;
CREATE INDEX manifest_reviews_by_due ON manifest_reviews (due_at);
