-- Which storage this database speaks of: at most one row. The storage has the same id and counter, so that
-- neither is taken for another's partner, nor an older copy of either for the current one. The same tables as in ../sqlite.
CREATE TABLE storage_identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    storage_id UUID NOT NULL,
    -- Grows while content comes in, here first and in the storage afterwards.
    counter BIGINT NOT NULL CHECK (counter >= 0),
    -- Since when the two belong together. Nothing unknown that is in the storage is judged by what was before.
    since TIMESTAMPTZ NOT NULL
);
