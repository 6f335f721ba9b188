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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[derive(Debug, serde::Deserialize)]
    struct Settings {
        password: String,
    }

    #[test]
    fn files_are_noted_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let [config, secret] = ["config.yml", "secret"].map(|name| folder.path().join(name));
        std::fs::write(&config, format!("password_file: {}\n", secret.display())).unwrap();
        let read = || {
            let files = FilesRead::default();
            let source = Source::new("NOBODY").file(&config).secrets(["password"]);
            let loaded = load::<Settings>(&source.noting_files(&files));
            (loaded, files.so_far())
        };

        let (missing, files) = read();
        assert!(missing.is_err());
        assert_eq!(files[..2], [config.clone(), secret.clone()]);

        std::fs::write(&secret, "sesame").unwrap();
        let (loaded, files) = read();
        assert_eq!(loaded.unwrap().0.password, "sesame");
        assert_eq!(files, [config.clone(), secret]);
    }
}
