-- What an upload's bytes were found to be, from before they are moved to the blob's place until the
-- session ends: a crash in between leaves a session whose bytes are there already.
ALTER TABLE uploads ADD COLUMN verified_digest TEXT;
ALTER TABLE uploads ADD COLUMN verified_size INTEGER
    CHECK ((verified_digest IS NULL) = (verified_size IS NULL));

-- How much somebody has in unfinished uploads.
CREATE INDEX uploads_by_subject ON uploads (subject, received);
