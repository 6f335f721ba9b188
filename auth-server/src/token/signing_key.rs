//! Where the signing key comes from: a folder, in which the first start makes one, or a mounted
//! PEM pair.
//!
//! The folder holds two files. `signing.pem` is the private key and its certificate in one file, so
//! that the two cannot be torn apart, and readable by its owner alone. `bundle.pem` is for
//! registries: the certificate, which is no secret.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use registry_token::{SigningAlgorithm, SigningKey, SigningKeyError};
use secrecy::{ExposeSecret as _, SecretString};

/// The private key and its certificate.
const KEY_FILE: &str = "signing.pem";

/// What a registry takes as its `rootcertbundle`.
pub const BUNDLE_FILE: &str = "bundle.pem";

/// Held while a key is made, so that of two processes that start at once one makes it.
const LOCK_FILE: &str = ".lock";

/// Where a certificate starts in a PEM file.
const CERTIFICATE_START: &str = "-----BEGIN CERTIFICATE-----";

/// Where the key is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In this folder; made there if there is none.
    Folder {
        path: PathBuf,
        /// Of a key that is to be made.
        algorithm: SigningAlgorithm,
    },
    /// In these files, which somebody else takes care of.
    Mounted {
        key: PathBuf,
        certificate: PathBuf,
        /// Where to put `bundle.pem`, if anywhere.
        folder: Option<PathBuf>,
    },
}

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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

/// A key, and what an operator should hear about it.
#[derive(Debug)]
pub struct LoadedKey {
    pub key: SigningKey,
    /// Whether it was made just now.
    pub generated: bool,
    pub warnings: Vec<String>,
}

/// Loads the key, makes one if need be, and brings `bundle.pem` up to date. Reads and writes
/// files, and making an RSA key takes a second: not for an async worker.
pub fn load(source: &KeySource, now: DateTime<Utc>) -> Result<LoadedKey, KeyError> {
    let (mut loaded, path, folder) = match source {
        KeySource::Folder { path, algorithm } => {
            let loaded = load_or_generate(path, *algorithm, now)?;
            (loaded, path.join(KEY_FILE), Some(path))
        }
        KeySource::Mounted {
            key,
            certificate,
            folder,
        } => {
            let loaded = loaded(from_files(key, certificate)?, false);
            (loaded, key.clone(), folder.as_ref())
        }
    };
    loaded.warnings.extend(check_permissions(&path)?);
    loaded.warnings.extend(check_dates(&loaded.key, now));
    if let Some(folder) = folder {
        publish(folder, &loaded.key)?;
    }
    Ok(loaded)
}

fn load_or_generate(
    folder: &Path,
    algorithm: SigningAlgorithm,
    now: DateTime<Utc>,
) -> Result<LoadedKey, KeyError> {
    let path = folder.join(KEY_FILE);
    // The ordinary start: nothing is written, so the folder may be read-only.
    if let Some(key) = from_one_file(&path)? {
        return Ok(loaded(key, false));
    }
    create_folder(folder)?;
    let _lock = lock(folder)?;
    // Somebody else may have been faster.
    if let Some(key) = from_one_file(&path)? {
        return Ok(loaded(key, false));
    }
    let key = SigningKey::generate(algorithm, now).map_err(|source| KeyError::Key {
        path: path.clone(),
        source,
    })?;
    let pem = SecretString::from(format!(
        "{}{}",
        key.to_pem().expose_secret(),
        key.certificate_pem()
    ));
    write_durably(&path, pem.expose_secret(), 0o600)?;
    Ok(loaded(key, true))
}

fn loaded(key: SigningKey, generated: bool) -> LoadedKey {
    LoadedKey {
        key,
        generated,
        warnings: Vec::new(),
    }
}

/// `None`: there is no file.
fn from_one_file(path: &Path) -> Result<Option<SigningKey>, KeyError> {
    let pem = match fs::read_to_string(path) {
        Ok(pem) => SecretString::from(pem),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error("read", path)(source)),
    };
    let text = pem.expose_secret();
    let certificates = text.find(CERTIFICATE_START).and_then(|at| text.get(at..));
    let key = SigningKey::from_pem(&pem, certificates.unwrap_or_default());
    key.map(Some).map_err(|source| KeyError::Key {
        path: path.to_owned(),
        source,
    })
}

fn from_files(key: &Path, certificate: &Path) -> Result<SigningKey, KeyError> {
    let key_pem = fs::read_to_string(key).map_err(file_error("read", key))?;
    let certificate_pem =
        fs::read_to_string(certificate).map_err(file_error("read", certificate))?;
    SigningKey::from_pem(&key_pem.into(), &certificate_pem).map_err(|source| {
        let path = match &source {
            SigningKeyError::Certificate(_) | SigningKeyError::CertificateMismatch { .. } => {
                certificate
            }
            SigningKeyError::Pem
            | SigningKeyError::NoPrivateKey
            | SigningKeyError::Encrypted
            | SigningKeyError::Unsupported
            | SigningKeyError::Cryptography(_) => key,
        };
        KeyError::Key {
            path: path.to_owned(),
            source,
        }
    })
}

/// A warning and no refusal: a volume that Kubernetes hands to a group (`fsGroup`) looks like this.
fn check_permissions(path: &Path) -> Result<Option<String>, KeyError> {
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

fn check_dates(key: &SigningKey, now: DateTime<Utc>) -> Option<String> {
    let certificate = key.certificates().first()?;
    if now < certificate.not_before() {
        Some(format!(
            "the certificate of the signing key is valid from {} only; check the clock",
            certificate.not_before()
        ))
    } else if now > certificate.not_after() {
        Some(format!(
            "the certificate of the signing key has ended on {}; registries refuse its tokens",
            certificate.not_after()
        ))
    } else {
        None
    }
}

/// Writes `bundle.pem`, unless it says the right thing already.
fn publish(folder: &Path, key: &SigningKey) -> Result<(), KeyError> {
    let path = folder.join(BUNDLE_FILE);
    let bundle = key.certificate_pem();
    if fs::read_to_string(&path).is_ok_and(|present| present == bundle) {
        return Ok(());
    }
    create_folder(folder)?;
    let _lock = lock(folder)?;
    write_durably(&path, &bundle, 0o644)
}

fn create_folder(folder: &Path) -> Result<(), KeyError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(file_error("create the folder", folder))
}

/// Waits until no other process is at it. Released when dropped, and when the process dies.
fn lock(folder: &Path) -> Result<File, KeyError> {
    let path = folder.join(LOCK_FILE);
    let open = || {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(file_error("lock", &path))
}

/// All or nothing, whenever the machine stops: written beside, flushed, then renamed. The caller
/// holds the lock, so a leftover of an interrupted attempt can be overwritten.
fn write_durably(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
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

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
#[path = "signing_key_tests.rs"]
mod tests;
