//! [`DurableDirectories`]: a file survives a power cut only if every directory on the way to it does.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Directories are remembered up to this number (some 200 bytes each), then all are forgotten,
/// which costs no more than syncing them again.
const REMEMBERED: usize = 10_000;

/// Knows which directories below a base have reached the disk, so that each costs one fsync in a
/// process's life and not one per blob.
#[derive(Debug)]
pub(super) struct DurableDirectories {
    base: PathBuf,
    known: Mutex<HashSet<PathBuf>>,
}

impl DurableDirectories {
    pub(super) fn new(base: PathBuf) -> Self {
        Self {
            base,
            known: Mutex::default(),
        }
    }

    /// Makes the entries durable that lead from the base to `leaf`. The leaf itself is taken for
    /// short-lived and not remembered; those above it must never be removed.
    pub(super) fn keep(&self, leaf: &Path) -> io::Result<()> {
        let mut synced = Vec::new();
        let mut current = leaf;
        while let Some(parent) = current.parent() {
            sync_directory(parent)?;
            if parent == self.base || self.knows(parent) {
                break;
            }
            synced.push(parent.to_owned());
            current = parent;
        }
        if !synced.is_empty() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() + synced.len() > REMEMBERED {
                known.clear();
            }
            known.extend(synced);
        }
        Ok(())
    }

    fn knows(&self, directory: &Path) -> bool {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(directory)
    }
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
