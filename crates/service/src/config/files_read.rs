//! Which files a configuration is read from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The files in which a configuration was looked for, in order, while it is being read and after: for
/// who has to say which of them does not answer, or may not be read.
#[derive(Clone, Debug, Default)]
pub struct FilesRead(Arc<Mutex<Vec<PathBuf>>>);

impl FilesRead {
    /// As far as reading has come.
    #[must_use]
    pub fn so_far(&self) -> Vec<PathBuf> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn begin(&self, path: &Path) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(path.to_owned());
    }
}
