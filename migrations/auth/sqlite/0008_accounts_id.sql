-- Which accounts these are: the folder of the signing keys has the same id in a file, so that neither is
-- taken for another's.

CREATE TABLE accounts_id (
    -- There is one row.
    id    INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    value BLOB    NOT NULL
) STRICT;
