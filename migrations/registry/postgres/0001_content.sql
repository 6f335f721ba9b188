-- What is in the registry: repositories, the blobs they show, manifests and tags; uploads under way;
-- and what waits for a review by the collector. The same tables as in ../sqlite.

-- Created with the first content, so that a failed push leaves no name in the catalog.
CREATE TABLE repositories (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL
);

-- Content in the blob store, or about to be. A row alone shows nothing to anybody.
CREATE TABLE blobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    size BIGINT NOT NULL CHECK (size >= 0),
    created_at TIMESTAMPTZ NOT NULL
);

-- Through which repositories a blob may be seen.
CREATE TABLE repository_blobs (
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    blob_id BIGINT NOT NULL REFERENCES blobs ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
);
CREATE INDEX repository_blobs_by_blob ON repository_blobs (blob_id);

CREATE TABLE manifests (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT COLLATE "C" NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    artifact_type TEXT COLLATE "C",
    subject_digest TEXT COLLATE "C",
    -- A JSON object, for the list of referrers.
    annotations TEXT,
    size BIGINT NOT NULL CHECK (size >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    -- The bytes as they were pushed.
    payload BYTEA NOT NULL,
    UNIQUE (repository_id, digest)
);
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject_digest, digest)
    WHERE subject_digest IS NOT NULL;

-- Config and layers: the blobs that a manifest cannot do without. NO ACTION: whatever a collector
-- does, the database does not let go of them.
CREATE TABLE manifest_blobs (
    manifest_id BIGINT NOT NULL REFERENCES manifests ON DELETE CASCADE,
    blob_id BIGINT NOT NULL REFERENCES blobs ON DELETE NO ACTION,
    PRIMARY KEY (manifest_id, blob_id)
);
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (blob_id);

-- What a manifest names and keeps if it is there, but need not be there: the manifests of an index
-- (or the layers of a build cache), layers that are to be had from elsewhere.
CREATE TABLE manifest_references (
    manifest_id BIGINT NOT NULL REFERENCES manifests ON DELETE CASCADE,
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (manifest_id, digest)
);
CREATE INDEX manifest_references_by_digest ON manifest_references (repository_id, digest);

CREATE TABLE tags (
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    manifest_id BIGINT NOT NULL REFERENCES manifests ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (repository_id, name)
);
CREATE INDEX tags_by_manifest ON tags (manifest_id);

CREATE TABLE uploads (
    id UUID PRIMARY KEY,
    -- By name: the repository may not exist before its first upload is complete.
    repository TEXT COLLATE "C" NOT NULL,
    -- Who opened the session, as the token calls them; NULL for anonymous.
    subject TEXT COLLATE "C",
    algorithm TEXT COLLATE "C" NOT NULL,
    -- Acknowledged bytes, the hash state behind them, and the blob store's own notes.
    received BIGINT NOT NULL CHECK (received >= 0),
    midstate BYTEA NOT NULL,
    backend BYTEA NOT NULL,
    -- The request that is writing, and until when others must believe that.
    writer UUID,
    writer_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK ((writer IS NULL) = (writer_until IS NULL))
);
CREATE INDEX uploads_by_age ON uploads (updated_at, id);

-- Online collection: what may have become superfluous, and when to look again.
CREATE TABLE blob_reviews (
    blob_id BIGINT PRIMARY KEY REFERENCES blobs ON DELETE CASCADE,
    due_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX blob_reviews_by_due ON blob_reviews (due_at);

CREATE TABLE manifest_reviews (
    manifest_id BIGINT PRIMARY KEY REFERENCES manifests ON DELETE CASCADE,
    due_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX manifest_reviews_by_due ON manifest_reviews (due_at);
