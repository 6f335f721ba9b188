//! [`Folder`]: files that are there or are made, with the modes they need, and a record of both.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why a deployment cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(
        "{} is there and {} is not: put it there, too, or take the other away, and a pair is made",
        present.display(), missing.display()
    )]
    HalfPair { present: PathBuf, missing: PathBuf },
    #[error("{}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub enum Readers {
    Everybody,
    /// A server that runs as another user, but in this group.
    Group,
    Owner,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Everybody => 0o644,
            Self::Group => 0o640,
            Self::Owner => 0o600,
        }
    }
}

/// A file by its place in the folder, and what it is to people.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub path: &'static str,
    pub what: &'static str,
    pub readers: Readers,
}

/// What has become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Made,
    Renewed,
    /// It was there, made here or put there.
    Kept,
}

/// A line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub file: PathBuf,
    pub state: State,
    pub what: &'static str,
}

impl Entry {
    pub fn cells(&self) -> Vec<String> {
        let state = match self.state {
            State::Made => "made",
            State::Renewed => "renewed",
            State::Kept => "kept",
        };
        vec![
            self.file.display().to_string(),
            state.to_owned(),
            self.what.to_owned(),
        ]
    }
}

#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    entries: Vec<Entry>,
}

impl Folder {
    /// Makes it if need be.
    pub fn open(root: &Path) -> Result<Self, SetupError> {
        make_folder(root)?;
        Ok(Self {
            root: root.to_owned(),
            entries: Vec::new(),
        })
    }

    pub fn path(&self, place: Place) -> PathBuf {
        self.root.join(place.path)
    }

    /// Whether this run has made or found it.
    pub fn holds(&self, place: Place) -> bool {
        let path = self.path(place);
        self.entries.iter().any(|entry| entry.file == path)
    }

    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// What the file says; `None` if it is not there.
    pub fn read(&self, place: Place) -> Result<Option<String>, SetupError> {
        let path = self.path(place);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SetupError::Unreadable { path, source }),
        }
    }

    pub fn keep(&mut self, place: Place) {
        self.note(place, State::Kept);
    }

    /// Writes the file whole or not at all, readable from its first byte for its readers alone.
    pub fn write(&mut self, place: Place, text: &str, state: State) -> Result<(), SetupError> {
        let path = self.path(place);
        let parent = path.parent().unwrap_or(&self.root);
        make_folder(parent)?;
        write_whole(parent, &path, text, place.readers)
            .map_err(|source| SetupError::Unwritable { path, source })?;
        self.note(place, state);
        Ok(())
    }

    fn note(&mut self, place: Place, state: State) {
        self.entries.push(Entry {
            file: self.path(place),
            state,
            what: place.what,
        });
    }
}

fn make_folder(path: &Path) -> Result<(), SetupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|source| SetupError::Unwritable {
            path: path.to_owned(),
            source,
        })
}

fn write_whole(parent: &Path, path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    // Made with mode 0600: nobody reads it before it has its own.
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(readers.mode()))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(parent)?.sync_all()
}
