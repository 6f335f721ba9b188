//! Listings for sweeps, from a thread of the blocking pool through a bounded channel.
//!
//! What has no place in the layout is passed over: an operator may have put it there.

use std::fs::DirEntry;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use registry_token::RepositoryName;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::layout::{DATA, UPLOADS};
use crate::blob_store::{BlobStoreError, StoredBlob, StoredUpload, UploadKey};
use crate::oci::Digest;

/// Entries that may wait for their consumer.
const AHEAD: usize = 64;

/// Takes what was found; `Break` once nobody listens any more.
pub(super) type Found<'a, T> = &'a mut dyn FnMut(Result<T, BlobStoreError>) -> Flow;
pub(super) type Flow = std::ops::ControlFlow<()>;

pub(super) fn stream<T: Send + 'static>(
    walk: impl FnOnce(Found<'_, T>) -> Flow + Send + 'static,
) -> BoxStream<'static, Result<T, BlobStoreError>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        walk(&mut |item| match sender.blocking_send(item) {
            Ok(()) => Flow::Continue(()),
            Err(_) => Flow::Break(()),
        })
    });
    futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    })
    .boxed()
}

/// Whether there are links below a folder by which distribution knows tags, manifests and layers.
pub(super) fn has_records(repositories: &Path) -> Result<bool, BlobStoreError> {
    let mut folders = vec![repositories.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            match entry.file_name().to_str() {
                Some("_manifests" | "_layers") => return Ok(true),
                Some(name) if name.starts_with('_') => {}
                _ => folders.push(entry.path()),
            }
        }
    }
    Ok(false)
}

pub(super) fn blobs(directory: &Path, found: Found<'_, StoredBlob>) -> Flow {
    each_entry(directory, found, |algorithm, found| {
        let Some(name) = text(&algorithm) else {
            return Flow::Continue(());
        };
        each_entry(&algorithm.path(), found, |prefix, found| {
            each_entry(&prefix.path(), found, |entry, found| {
                let Some(Ok(digest)) =
                    text(&entry).map(|hex| format!("{name}:{hex}").parse::<Digest>())
                else {
                    return Flow::Continue(());
                };
                match stat(&entry.path().join(DATA)) {
                    Ok(Some((size, modified))) => found(Ok(StoredBlob {
                        digest,
                        size,
                        modified,
                    })),
                    Ok(None) => Flow::Continue(()),
                    Err(error) => found(Err(error.into())),
                }
            })
        })
    })
}

/// Blobs and their sizes, without a level for the first digits.
pub(super) fn flat_blobs(directory: &Path, found: Found<'_, (Digest, u64)>) -> Flow {
    each_entry(directory, found, |algorithm, found| {
        let Some(name) = text(&algorithm) else {
            return Flow::Continue(());
        };
        each_entry(&algorithm.path(), found, |entry, found| {
            let Some(Ok(digest)) = text(&entry).map(|hex| format!("{name}:{hex}").parse()) else {
                return Flow::Continue(());
            };
            match stat(&entry.path()) {
                Ok(Some((size, _))) => found(Ok((digest, size))),
                Ok(None) => Flow::Continue(()),
                Err(error) => found(Err(error.into())),
            }
        })
    })
}

pub(super) fn uploads(repositories: &Path, found: Found<'_, StoredUpload>) -> Flow {
    uploads_below(repositories, "", found)
}

/// Repositories nest: `a` and `a/b` may both have uploads.
fn uploads_below(directory: &Path, name: &str, found: Found<'_, StoredUpload>) -> Flow {
    each_entry(directory, found, |entry, found| {
        let Some(component) = text(&entry) else {
            return Flow::Continue(());
        };
        if component == UPLOADS {
            return match name.parse::<RepositoryName>() {
                Ok(repository) => uploads_of(&entry.path(), &repository, found),
                Err(_) => Flow::Continue(()),
            };
        }
        if component.starts_with('_') || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return Flow::Continue(());
        }
        let name = if name.is_empty() {
            component
        } else {
            format!("{name}/{component}")
        };
        uploads_below(&entry.path(), &name, found)
    })
}

fn uploads_of(
    directory: &Path,
    repository: &RepositoryName,
    found: Found<'_, StoredUpload>,
) -> Flow {
    each_entry(directory, found, |entry, found| {
        let Some(Ok(id)) = text(&entry).map(|name| Uuid::try_parse(&name)) else {
            return Flow::Continue(());
        };
        // A crash between creating the directory and the file leaves it without.
        let stat = match stat(&entry.path().join(DATA)) {
            Ok(None) => stat(&entry.path()).map(|found| found.map(|(_, modified)| (0, modified))),
            other => other,
        };
        match stat {
            Ok(Some((size, modified))) => found(Ok(StoredUpload {
                key: UploadKey {
                    repository: repository.clone(),
                    id,
                },
                size,
                modified,
            })),
            Ok(None) => Flow::Continue(()),
            Err(error) => found(Err(error.into())),
        }
    })
}

/// Visits a directory's entries. What disappears meanwhile is not an error, and neither is a file
/// where a directory would be.
fn each_entry<T>(
    directory: &Path,
    found: Found<'_, T>,
    mut visit: impl FnMut(DirEntry, Found<'_, T>) -> Flow,
) -> Flow {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Flow::Continue(()),
                _ => found(Err(error.into())),
            };
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) => visit(entry, found)?,
            Err(error) => found(Err(error.into()))?,
        }
    }
    Flow::Continue(())
}

fn text(entry: &DirEntry) -> Option<String> {
    entry.file_name().into_string().ok()
}

/// The size, and when the file was last written or came here: `tar` and `docker cp` keep the former.
fn stat(path: &Path) -> io::Result<Option<(u64, DateTime<Utc>)>> {
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let modified: DateTime<Utc> = metadata.modified()?.into();
            let arrived = DateTime::from_timestamp(metadata.ctime(), 0).unwrap_or(modified);
            Ok(Some((metadata.len(), modified.max(arrived))))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}
