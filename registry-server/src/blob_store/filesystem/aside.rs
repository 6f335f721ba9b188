//! Blobs out of the way: `set-aside/<date>/<algorithm>/<hex>` beside the blobs.
//!
//! The folder's name is the day on which they were moved, since a file system may keep the times of a
//! file that is moved, or lose them when it is copied.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};

use super::absent_is_fine;
use super::durable::sync_directory;
use super::layout::Layout;
use super::walk::{self, Flow, Found};
use crate::blob_store::{AsideBlob, BlobStoreError};
use crate::oci::Digest;

/// Moves a blob out of the way. One that is not there counts as moved. Blocks.
pub(super) fn set_aside(
    layout: &Layout,
    digest: &Digest,
    now: DateTime<Utc>,
) -> Result<(), BlobStoreError> {
    let to = below(&layout.aside().join(now.date_naive().to_string()), digest);
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    absent_is_fine(std::fs::rename(layout.blob(digest), &to))?;
    let folder = layout.blob_directory(digest);
    // It stays if something else is in it, or if a commit was faster.
    let _ = std::fs::remove_dir(&folder);
    Ok(())
}

/// Moves a blob back to its place, if it was set aside and nothing has taken its place. Blocks.
pub(super) fn take_back(layout: &Layout, digest: &Digest) -> Result<bool, BlobStoreError> {
    for day in days(&layout.aside())? {
        let from = below(&layout.aside().join(day.to_string()), digest);
        if !from.exists() {
            continue;
        }
        let folder = layout.blob_directory(digest);
        if layout.blob(digest).exists() {
            return Ok(true);
        }
        std::fs::create_dir_all(&folder)?;
        match std::fs::rename(&from, layout.blob(digest)) {
            Ok(()) => {
                sync_directory(&folder)?;
                return Ok(true);
            }
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Drops what was set aside of this blob. Blocks.
pub(super) fn drop_aside(layout: &Layout, blob: &AsideBlob) -> Result<(), BlobStoreError> {
    let day = layout.aside().join(blob.since.to_string());
    let file = below(&day, &blob.digest);
    absent_is_fine(std::fs::remove_file(&file))?;
    // The folders on the way, once they are empty.
    for folder in file.ancestors().skip(1).take(2) {
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}

/// All that was set aside.
pub(super) fn blobs(aside: &Path, found: Found<'_, AsideBlob>) -> Flow {
    let days = match days(aside) {
        Ok(days) => days,
        Err(error) => return found(Err(error.into())),
    };
    for since in days {
        walk::flat_blobs(&aside.join(since.to_string()), &mut |file| {
            found(file.map(|(digest, size)| AsideBlob {
                digest,
                size,
                since,
            }))
        })?;
    }
    Flow::Continue(())
}

/// The days that have a folder. What has another name is not ours.
fn days(aside: &Path) -> io::Result<Vec<NaiveDate>> {
    let entries = match std::fs::read_dir(aside) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut days = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        days.extend(
            name.to_str()
                .and_then(|name| name.parse::<NaiveDate>().ok()),
        );
    }
    Ok(days)
}

fn below(day: &Path, digest: &Digest) -> PathBuf {
    day.join(digest.algorithm().name()).join(digest.hex())
}
