//! [`Presence`]: notices that the storage's folder went away while the server runs.
//!
//! A disk that is unmounted leaves an empty folder at its mount point. Whatever is written there succeeds,
//! is acknowledged, and disappears when the disk comes back.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::blob_store::BlobStoreError;

/// A folder as it was when it was opened.
#[derive(Debug)]
pub(super) struct Presence {
    path: PathBuf,
    /// Held, so that no other folder gets its number.
    folder: File,
}

impl Presence {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            path: path.to_owned(),
            folder: rustix::fs::open(path, flags, Mode::empty())?.into(),
        })
    }

    /// Fails if the path leads elsewhere by now. Blocks.
    pub(super) fn check(&self) -> Result<(), BlobStoreError> {
        let held = self.folder.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => Ok(()),
            Ok(_) => Err(moved("its path leads to another folder")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(moved("its path leads nowhere"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn moved(how: &str) -> BlobStoreError {
    let reason = format!("the storage's folder was moved or unmounted: {how}");
    BlobStoreError::Unavailable(io::Error::other(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_moved_or_replaced_is_missed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        let presence = Presence::of(&path).unwrap();
        presence.check().unwrap();

        let elsewhere = parent.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        let error = presence.check().unwrap_err();
        assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");

        std::fs::create_dir(&path).unwrap();
        let error = presence.check().unwrap_err();
        assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");

        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&elsewhere, &path).unwrap();
        presence.check().unwrap();
    }
}
