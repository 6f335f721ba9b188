//! Keys that distribution knows and this server cannot follow yet, or never will. Ignoring them
//! would be worse than not starting: whoever writes `proxy:` expects a mirror.

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// A field for each such key refuses whatever is written there, in a sentence of its own.
macro_rules! refused {
    ($($name:ident: $sentence:literal;)+) => { $(
        pub fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
            IgnoredAny::deserialize(deserializer)?;
            Err(D::Error::custom($sentence))
        }
    )+ };
}

refused! {
    proxy: "this version cannot mirror another registry yet: remove `proxy`";
    notifications: "this version sends no notifications yet: remove `notifications`";
    redis: "there is nothing to cache in Redis: metadata is in the database. Remove `redis`";
    middleware: "middleware is code of distribution and cannot be loaded here: remove `middleware`";
    object_storage: "this version stores blobs on a file system only: use `storage.filesystem`";
    in_memory: "data that must last cannot live in memory: use `storage.filesystem`";
    silly: "`auth.silly` lets everybody in; say `auth: none` if that is meant";
    schema_1: "images of schema 1 are from before 2016 and are not served: remove `compatibility`";
}
