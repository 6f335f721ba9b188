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
    redis: "there is nothing to cache in Redis: metadata is in the database. Remove `redis`";
    middleware: "middleware is code of distribution and cannot be loaded here: remove `middleware`";
    object_storage: "this version stores blobs on a file system only: use `storage.filesystem`";
    in_memory: "data that must last cannot live in memory: use `storage.filesystem`";
    silly: "`auth.silly` lets everybody in; say `auth: none` if that is meant";
}

/// Notifications that nobody is to get are none.
pub fn notifications<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Notifications {
        events: IgnoredAny,
        endpoints: Vec<Endpoint>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Endpoint {
        name: IgnoredAny,
        url: IgnoredAny,
        disabled: bool,
        headers: IgnoredAny,
        timeout: IgnoredAny,
        threshold: IgnoredAny,
        backoff: IgnoredAny,
        ignoredmediatypes: IgnoredAny,
        ignore: IgnoredAny,
    }

    let notifications = Notifications::deserialize(deserializer)?;
    let wanted = |endpoint: &Endpoint| !endpoint.disabled;
    if notifications.endpoints.iter().any(wanted) {
        return Err(D::Error::custom(
            "this version sends no notifications yet: remove the endpoints, or disable them",
        ));
    }
    Ok(())
}

/// `false` is what GitLab writes for a registry without.
pub fn gitlab_database<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    if bool::deserialize(deserializer)? {
        return Err(D::Error::custom(
            "the metadata database of GitLab's own registry cannot be read: name a database of \
             this server's own in `database.url`, or leave the section out",
        ));
    }
    Ok(())
}
