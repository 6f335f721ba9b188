//! Signing keys in files of a folder of our own. Those of others are [`mounted`](super::mounted).
//!
//! In the folder each key has one file with its certificate behind it, so that the two cannot be
//! torn apart, readable by its owner alone; the first is `signing.pem`, those that rotation brings
//! have a part of their id in the name. `bundle.pem` is for registries: the certificates, which
//! are no secret.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry_token::{SigningKey, SigningKeyError};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// The name of the first key.
const FIRST_KEY_FILE: &str = "signing.pem";

/// What the names of all of them have in common.
const KEY_FILE_PREFIX: &str = "signing";
const KEY_FILE_SUFFIX: &str = ".pem";

/// What a registry takes as its `rootcertbundle`.
pub const BUNDLE_FILE: &str = "bundle.pem";

/// Which accounts the keys belong to: their id.
const OWNER_FILE: &str = "accounts-id";

/// Held while something is written, so that two processes do not use one name at once.
const LOCK_FILE: &str = ".lock";

/// Where a certificate starts in a PEM file.
const CERTIFICATE_START: &str = "-----BEGIN CERTIFICATE-----";

/// Why a key cannot be had from a file, or put into one.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{}: {source}", path.display())]
    Key {
        path: PathBuf,
        source: SigningKeyError,
    },
}

/// A key in a file.
#[derive(Debug)]
pub struct KeyFile {
    pub path: PathBuf,
    pub key: Arc<SigningKey>,
}

/// The folder of our own keys. All of it reads and writes files: not for an async worker.
#[derive(Clone, Debug)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Every key. No folder, no keys.
    pub fn keys(&self) -> Result<Vec<KeyFile>, KeyFileError> {
        let mut keys = Vec::new();
        for path in self.files()? {
            // A replica may be retiring it just now.
            if let Some(key) = from_one_file(&path)? {
                let key = Arc::new(key);
                keys.push(KeyFile { path, key });
            }
        }
        Ok(keys)
    }

    fn files(&self) -> Result<Vec<PathBuf>, KeyFileError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(file_error("read the folder", &self.0)(source)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(file_error("read the folder", &self.0))?
                .path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.starts_with(KEY_FILE_PREFIX) && name.ends_with(KEY_FILE_SUFFIX) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Adds a key; it is on the disk when this returns.
    pub fn add(&self, key: &SigningKey) -> Result<PathBuf, KeyFileError> {
        create_folder(&self.0)?;
        let _lock = lock(&self.0)?;
        let name = if self.files()?.is_empty() {
            FIRST_KEY_FILE.to_owned()
        } else {
            let id = key.thumbprint();
            let id = id.get(..16).unwrap_or(&id);
            format!("{KEY_FILE_PREFIX}-{id}{KEY_FILE_SUFFIX}")
        };
        let path = self.0.join(name);
        let pem = SecretString::from(format!(
            "{}{}",
            key.to_pem().expose_secret(),
            key.certificate_pem()
        ));
        write_durably(&path, pem.expose_secret(), 0o600)?;
        Ok(path)
    }

    /// Removes the file of a key, if there is one.
    pub fn remove(&self, kid: &str) -> Result<(), KeyFileError> {
        for file in self.keys()? {
            if file.key.key_id() == kid {
                match fs::remove_file(&file.path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(file_error("remove", &file.path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The id of the accounts that the keys belong to, as it is written there.
    pub fn owner(&self) -> Result<Option<String>, KeyFileError> {
        let path = self.0.join(OWNER_FILE);
        match fs::read_to_string(&path) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error("read", &path)(source)),
        }
    }

    pub fn set_owner(&self, id: Uuid) -> Result<(), KeyFileError> {
        create_folder(&self.0)?;
        let _lock = lock(&self.0)?;
        write_durably(&self.0.join(OWNER_FILE), &format!("{id}\n"), 0o600)
    }

    /// Writes `bundle.pem`, unless it says the right thing already.
    pub fn publish(&self, bundle: &str) -> Result<(), KeyFileError> {
        let path = self.0.join(BUNDLE_FILE);
        let is_right = || fs::read_to_string(&path).is_ok_and(|present| present == bundle);
        if is_right() {
            return Ok(());
        }
        create_folder(&self.0)?;
        let _lock = lock(&self.0)?;
        if is_right() {
            return Ok(());
        }
        write_durably(&path, bundle, 0o644)
    }
}

/// `None`: there is no file.
fn from_one_file(path: &Path) -> Result<Option<SigningKey>, KeyFileError> {
    let pem = match fs::read_to_string(path) {
        Ok(pem) => SecretString::from(pem),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error("read", path)(source)),
    };
    let text = pem.expose_secret();
    let certificates = text.find(CERTIFICATE_START).and_then(|at| text.get(at..));
    let key = SigningKey::from_pem(&pem, certificates.unwrap_or_default());
    key.map(Some).map_err(|source| KeyFileError::Key {
        path: path.to_owned(),
        source,
    })
}

/// A warning and no refusal: a volume that Kubernetes hands to a group (`fsGroup`) looks like this.
pub fn check_permissions(path: &Path) -> Result<Option<String>, KeyFileError> {
    let metadata = fs::metadata(path).map_err(file_error("look at", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then(|| {
        format!(
            "{}: the signing key can be read by other users (mode {mode:03o}); whoever reads it \
             can make tokens: chmod 600 it",
            path.display()
        )
    }))
}

fn create_folder(folder: &Path) -> Result<(), KeyFileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(file_error("create the folder", folder))
}

/// Waits until no other process is at it. Released when dropped, and when the process dies.
fn lock(folder: &Path) -> Result<File, KeyFileError> {
    let path = folder.join(LOCK_FILE);
    let open = || {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)?;
        give_to_owner_of_folder(&file, &path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(file_error("lock", &path))
}

/// All or nothing, whenever the machine stops: written beside, flushed, then renamed. The caller
/// holds the lock, so a leftover of an interrupted attempt can be overwritten.
fn write_durably(path: &Path, text: &str, mode: u32) -> Result<(), KeyFileError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        give_to_owner_of_folder(&file, path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(file_error("write", path))
}

/// An administrator may rotate keys as root, and the server that runs as somebody else must still
/// be able to read and lock.
fn give_to_owner_of_folder(file: &File, path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let (folder, own) = (fs::metadata(folder)?, file.metadata()?);
    if folder.uid() != own.uid() {
        // Only root may. Whoever else it is will be told what they cannot read.
        let _ = fchown(file, Some(folder.uid()), Some(folder.gid()));
    }
    Ok(())
}

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
#[path = "key_files_tests.rs"]
mod tests;
