-- The keys that tokens are signed with: what all servers of one database agree on. What state a key
-- is in follows from these times; the private halves are in files, or here and encrypted.

CREATE TABLE signing_keys (
    -- The `kid` of its tokens.
    kid            TEXT COLLATE "C" PRIMARY KEY,
    algorithm      TEXT NOT NULL,
    -- Who has made it: generated, imported, mounted, adopted (found in a file).
    origin         TEXT NOT NULL CHECK (origin IN ('generated', 'imported', 'mounted', 'adopted')),
    -- PEM, its own certificate first.
    certificate    TEXT NOT NULL,
    -- Nonce and AES-256-GCM. NULL: the private key is in a file, or gone.
    private_sealed BYTEA,
    -- Since when verifiers can know it.
    published_at   TIMESTAMPTZ NOT NULL,
    -- NULL: not before its private key turns up.
    signs_from     TIMESTAMPTZ,
    -- When somebody noticed that it signs.
    activated_at   TIMESTAMPTZ,
    -- Somebody was still signing with it then, although another key does now.
    last_signed_at TIMESTAMPTZ,
    -- The longest lifetime of the tokens that any server signs with it, in seconds.
    token_lifetime BIGINT NOT NULL,
    -- Since when its tokens are refused.
    retired_at     TIMESTAMPTZ
);
