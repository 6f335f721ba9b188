-- What the server was last told about its keys: a command on the machine of the database goes by
-- this, since it may be told something else.

CREATE TABLE key_settings (
    -- There is one row.
    id             INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    -- Of keys that are to be made.
    algorithm      TEXT    NOT NULL,
    -- How long a key is published before it signs, in seconds.
    publish_ahead  INTEGER NOT NULL,
    -- Of the tokens that the server makes, in seconds.
    token_lifetime INTEGER NOT NULL
) STRICT;
