//! [`Occupancy`]: one server at a time works on a `SQLite` file and what belongs to it.
//!
//! The lock is the kernel's, so it ends with the process, however that ends. What the file says is for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Longer descriptions are not ours.
const LONGEST: u64 = 4 << 10;

/// A server, as others are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupant {
    /// What was typed, such as `portcullis up`.
    command: String,
    pid: u32,
    host: String,
    address: String,
    since: String,
}

impl Occupant {
    /// This process, which is about to listen on `address`.
    #[must_use]
    pub fn this(command: &str, address: &str, now: DateTime<Utc>) -> Self {
        Self {
            command: command.to_owned(),
            pid: std::process::id(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            address: address.to_owned(),
            since: now.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }
}

impl std::fmt::Display for Occupant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            command,
            pid,
            host,
            address,
            since,
        } = self;
        write!(
            f,
            "`{command}`, process {pid} on {host}, which listens on {address}, since {since}"
        )
    }
}

/// Why a server cannot have a file.
#[derive(Debug, thiserror::Error)]
pub enum OccupancyError {
    #[error(
        "another server works on {}: {}. Stop it first; commands such as `registry sweep` may run \
         beside it", path.display(), described(occupant.as_deref())
    )]
    Taken {
        path: PathBuf,
        occupant: Option<Box<Occupant>>,
    },
    #[error("cannot lock {}: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
}

fn described(occupant: Option<&Occupant>) -> String {
    occupant.map_or_else(
        || "it has not said which one it is".to_owned(),
        ToString::to_string,
    )
}

/// A file that no other server works on, until this is dropped.
#[derive(Debug)]
pub struct Occupancy {
    /// Locked. None where nothing can be written, or locked: nobody else can write there, or tell.
    _file: Option<File>,
}

impl Occupancy {
    /// Takes `path`, by locking the file `<path>.lock` beside it. Does not wait.
    pub fn take(path: &Path, occupant: &Occupant) -> Result<Self, OccupancyError> {
        let lock = lock_path(path);
        let failed = |source| OccupancyError::Lock {
            path: lock.clone(),
            source,
        };
        let mut file = match open(&lock) {
            Ok(file) => file,
            Err(error) if is_read_only(&error) => return Ok(Self { _file: None }),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OccupancyError::Taken {
                    path: path.to_owned(),
                    occupant: read(&mut file).map(Box::new),
                });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(
                    file = %lock.display(),
                    "the file system has no locks: nothing keeps a second server away"
                );
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        if let Err(error) = describe(&mut file, occupant) {
            // On a full disk the lock holds without its description.
            tracing::warn!(file = %lock.display(), %error, "cannot say who holds the lock");
        }
        Ok(Self { _file: Some(file) })
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

fn open(lock: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    if let Some(folder) = lock.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock)
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

fn describe(file: &mut File, occupant: &Occupant) -> io::Result<()> {
    file.set_len(0)?;
    serde_json::to_writer(&mut *file, occupant).map_err(io::Error::from)?;
    file.write_all(b"\n")
}

fn read(file: &mut File) -> Option<Occupant> {
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occupant(address: &str) -> Occupant {
        Occupant::this("portcullis up", address, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn one_server_at_a_time_has_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/data.sqlite");
        let first = Occupancy::take(&path, &occupant("localhost:5000")).unwrap();
        let error = Occupancy::take(&path, &occupant("localhost:6000")).unwrap_err();
        let sentence = error.to_string();
        let pid = std::process::id();
        for part in [
            path.to_str().unwrap(),
            &format!("process {pid} on "),
            "localhost:5000",
            "since 1970-01-01T00:00:00Z",
            "portcullis up",
        ] {
            assert!(sentence.contains(part), "{sentence}");
        }
        drop(first);
        Occupancy::take(&path, &occupant("localhost:6000")).unwrap();
    }

    #[test]
    fn a_lock_without_a_description_holds_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.sqlite");
        let _first = Occupancy::take(&path, &occupant("localhost:5000")).unwrap();
        for content in ["", "{}", "not json", &"x".repeat(100_000)] {
            std::fs::write(lock_path(&path), content).unwrap();
            let error = Occupancy::take(&path, &occupant("localhost:6000")).unwrap_err();
            assert!(matches!(
                error,
                OccupancyError::Taken { occupant: None, .. }
            ));
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.sqlite");
        std::fs::create_dir(lock_path(&path)).unwrap();
        let error = Occupancy::take(&path, &occupant("localhost:5000")).unwrap_err();
        assert!(matches!(error, OccupancyError::Lock { .. }));
    }
}
