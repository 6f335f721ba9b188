//! Keys that distribution needs and this server does not: they are read as strictly as others, and
//! the start says once why nothing follows from them.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Configuration;

/// `storage.cache`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cache {
    blobdescriptor: Option<CacheKind>,
    blobdescriptorsize: Option<u64>,
    /// What `blobdescriptor` was called once.
    layerinfo: Option<CacheKind>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CacheKind {
    InMemory,
    Redis,
}

/// `storage.redirect`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Redirect {
    disable: bool,
    // Of GitLab's own registry.
    expirydelay: IgnoredAny,
    exceptions: IgnoredAny,
}

/// `storage.tag`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TagLookup {
    concurrencylimit: Option<u64>,
}

impl Configuration {
    /// For the log: each key that is set and changes nothing, and why.
    #[must_use]
    pub fn unneeded(&self) -> Vec<&'static str> {
        let storage = &self.storage;
        let keys = [
            (
                storage.cache.is_some(),
                "storage.cache changes nothing: what blobs are like is in the database",
            ),
            (
                storage.redirect.is_some(),
                "storage.redirect changes nothing: blobs on a file system are never redirected",
            ),
            (
                storage.tag.is_some(),
                "storage.tag changes nothing: the tags of a manifest are found by one query, so \
                 there is no concurrency to limit",
            ),
            (
                self.http.secret.is_some(),
                "http.secret changes nothing: the state of uploads is in the database and not in \
                 what clients send back, so there is nothing to sign",
            ),
        ];
        keys.into_iter()
            .filter_map(|(set, sentence)| set.then_some(sentence))
            .collect()
    }
}
