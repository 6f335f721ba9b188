//! The section `storage`: where blobs are, and what becomes of leftovers.

use std::path::PathBuf;

use serde::Deserialize;
use service::config::Duration;

use super::size::Size;
use super::unneeded::{Cache, Redirect, TagLookup};
use super::{HOUR, refused};

#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    reason = "some fields do all their work while they are read: they refuse, or warn"
)]
pub struct Storage {
    pub filesystem: Filesystem,
    #[serde(default)]
    pub delete: Deletion,
    #[serde(default)]
    pub maintenance: Maintenance,
    /// What uploads leave free.
    #[serde(default)]
    pub reserve: Option<Size>,

    #[serde(default)]
    pub(super) cache: Option<Cache>,
    #[serde(default)]
    pub(super) redirect: Option<Redirect>,
    #[serde(default)]
    pub(super) tag: Option<TagLookup>,
    #[serde(default, deserialize_with = "refused::in_memory")]
    inmemory: (),
    #[serde(default, deserialize_with = "refused::object_storage")]
    s3: (),
    #[serde(default, deserialize_with = "refused::object_storage")]
    azure: (),
    #[serde(default, deserialize_with = "refused::object_storage")]
    gcs: (),
    #[serde(default, deserialize_with = "refused::object_storage")]
    oss: (),
    #[serde(default, deserialize_with = "refused::object_storage")]
    swift: (),
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Filesystem {
    /// Blobs are at `docker/registry/v2/blobs` below it.
    pub rootdirectory: PathBuf,
    /// How many operations on files may wait for the disk at a time.
    pub maxthreads: Option<u64>,
}

impl Default for Filesystem {
    fn default() -> Self {
        Self {
            rootdirectory: PathBuf::from("/var/lib/registry"),
            maxthreads: None,
        }
    }
}

/// What distribution raises a smaller number to.
const FEWEST_THREADS: u64 = 25;

impl Filesystem {
    /// Threads that wait for the disk on behalf of requests, if somebody limits them.
    #[must_use]
    pub fn threads(&self) -> Option<usize> {
        let threads = self.maxthreads?.max(FEWEST_THREADS);
        Some(usize::try_from(threads).unwrap_or(usize::MAX))
    }
}

/// Whether tags, manifests and blobs may be deleted. As in distribution, they may not unless the
/// file says so.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Deletion {
    pub enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Maintenance {
    pub uploadpurging: UploadPurging,
    pub setaside: SetAside,
    pub readonly: ReadOnly,
}

/// What becomes of uploads that nobody goes on with.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct UploadPurging {
    pub enabled: bool,
    pub age: Duration,
    pub interval: Duration,
    pub dryrun: bool,
}

impl Default for UploadPurging {
    fn default() -> Self {
        Self {
            enabled: true,
            age: Duration::from_secs(168 * HOUR),
            interval: Duration::from_secs(24 * HOUR),
            dryrun: false,
        }
    }
}

/// What becomes of blobs that the database does not know.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct SetAside {
    /// How long they are kept out of the way.
    pub age: Duration,
}

impl Default for SetAside {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(168 * HOUR),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReadOnly {
    pub enabled: bool,
}
