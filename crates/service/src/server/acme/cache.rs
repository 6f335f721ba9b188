//! What outlives the process: the account with its key, the certificate with its own.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use tempfile::NamedTempFile;

/// In the place of a file, distribution makes a directory, with a file for each name.
const FILE_IN_DIRECTORY: &str = "portcullis.json";

/// Why a cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{} is no cache of certificates ({reason}); name another file, or remove it and have the \
         certificate ordered anew",
        path.display()
    )]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "cannot write {}: {source}; give this user a directory to write in, which outlives the \
         process", path.display()
    )]
    Unwritable { path: PathBuf, source: io::Error },
}

impl CacheError {
    /// Whether it may have been possible to write there before.
    fn is_about_the_disk(&self) -> bool {
        match self {
            Self::Unwritable { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
            ),
            Self::Unreadable { .. } | Self::Foreign { .. } => false,
        }
    }
}

/// The file, which this user alone can read. It is replaced as a whole.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    path: PathBuf,
}

/// What is in the file.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Content {
    /// The authority's directory. What another one knows or issued is of no use here.
    pub directory: String,
    pub account: Option<KnownAccount>,
    pub certificate: Option<Issued>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KnownAccount {
    pub credentials: AccountCredentials,
    pub email: Option<String>,
}

/// A certificate with its chain, and its key: PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Issued {
    pub chain: String,
    #[serde(serialize_with = "exposed")]
    pub key: SecretString,
}

fn exposed<S: Serializer>(key: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose_secret())
}

impl Cache {
    /// Makes sure, before anything is ordered, that it can be kept. What was kept before is of use on a
    /// disk that has become full or read-only, too.
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        let path = if path.is_dir() {
            path.join(FILE_IN_DIRECTORY)
        } else {
            path.to_owned()
        };
        let cache = Self { path };
        match cache.new_file() {
            Err(error) if error.is_about_the_disk() && cache.path.is_file() => {
                tracing::warn!(%error, "a new certificate could not be kept");
            }
            created => drop(created?),
        }
        Ok(cache)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of this authority.
    pub fn read(&self, directory: &str) -> Result<Content, CacheError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{\"directory\":\"\"}".into(),
            Err(source) => {
                return Err(CacheError::Unreadable {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        let content: Content =
            serde_json::from_slice(&text).map_err(|error| CacheError::Foreign {
                path: self.path.clone(),
                // Not the error itself: it may quote what is a secret.
                reason: format!("line {}, column {}", error.line(), error.column()),
            })?;
        if content.directory == directory {
            return Ok(content);
        }
        Ok(Content {
            directory: directory.to_owned(),
            ..Content::default()
        })
    }

    pub fn write(&self, content: &Content) -> Result<(), CacheError> {
        let failed = |source| self.unwritable(source);
        let text = serde_json::to_vec(content).map_err(|error| failed(error.into()))?;
        let mut file = self.new_file()?;
        file.write_all(&text).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path)
            .map_err(|error| failed(error.error))?;
        File::open(self.folder())
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    /// A file that is not there yet, and that nobody else can read (mode 0600).
    fn new_file(&self) -> Result<NamedTempFile, CacheError> {
        NamedTempFile::new_in(self.folder()).map_err(|source| self.unwritable(source))
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn unwritable(&self, source: io::Error) -> CacheError {
        CacheError::Unwritable {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
