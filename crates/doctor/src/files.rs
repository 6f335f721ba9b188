//! Files that may not be there for us: read within bounds of size and of time, and with words for what
//! stands in the way.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::Access;
use rustix::io::Errno;

use crate::report::Verdict;

/// A network file system whose server is gone does not say so: who reads from it waits for ever.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Why a file is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// A part of a sentence: `FILE …`.
    problem: String,
    /// What to do about the file itself, if it is not its place in the configuration that is wrong.
    fix: Option<String>,
}

impl Unusable {
    /// What to do: about the file if that is known, else this.
    pub fn fix_or(&self, other: impl Into<String>) -> String {
        self.fix.clone().unwrap_or_else(|| other.into())
    }

    /// That the file at this place is of no use, and what to do.
    pub fn failure(&self, path: &Path, other: impl Into<String>) -> Verdict {
        Verdict::failure(format!("{} {self}", path.display()), self.fix_or(other))
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl<T: Into<String>> From<T> for Unusable {
    fn from(problem: T) -> Self {
        Self {
            problem: problem.into(),
            fix: None,
        }
    }
}

/// What comes of a look at something that may never answer; `None` after that time. The thread is
/// left behind then: nobody can wake it.
pub fn patiently<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, looked) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = done.send(look());
    });
    looked.recv_timeout(patience).ok()
}

/// What to say of a file or folder after patience has ended.
pub fn silent(path: &Path) -> Verdict {
    no_answer(path).failure(path, "")
}

fn no_answer(path: &Path) -> Unusable {
    Unusable {
        problem: "does not answer".to_owned(),
        fix: Some(format!(
            "look at the file system of {}: a network file system whose server is gone looks like this",
            path.display()
        )),
    }
}

/// All of a file.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unusable> {
    let file = path.to_owned();
    let read = patiently(PATIENCE, move || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(file)?.take(most + 1);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        None => Err(no_answer(path)),
        Some(Err(error)) => Err(unreadable(path, &error)),
        Some(Ok(bytes)) if bytes.len() as u64 > most => {
            Err(format!("is longer than {most} bytes").into())
        }
        Some(Ok(bytes)) => Ok(bytes),
    }
}

/// What the system says of a file or folder that was to be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Unusable {
    let obstacle = match error.kind() {
        ErrorKind::PermissionDenied => Obstacle::to_reading(path),
        _ => None,
    };
    match obstacle {
        None => format!("cannot be read: {}", in_words(error)).into(),
        Some(obstacle) => Unusable {
            problem: format!("cannot be read: permission denied: {obstacle}"),
            fix: Some(obstacle.fix()),
        },
    }
}

/// Why a file cannot be used, without a number that only programmers know.
pub fn in_words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// What keeps this user from a file: its own permissions, or those of a folder above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What refuses.
    path: PathBuf,
    /// Whether that is a folder on the way.
    on_the_way: bool,
    /// Numbers of user and group.
    owner: (u32, u32),
    mode: u32,
}

impl Obstacle {
    /// What is in the way of reading. `None`: nothing that permissions explain.
    pub fn to_reading(path: &Path) -> Option<Self> {
        Self::find(path, Access::READ_OK)
    }

    /// What is in the way of making files in a folder.
    pub fn to_writing_in(folder: &Path) -> Option<Self> {
        Self::find(folder, Access::WRITE_OK | Access::EXEC_OK)
    }

    fn find(path: &Path, wanted: Access) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let mut places: Vec<&Path> = path.ancestors().collect();
        places.reverse();
        places.into_iter().find_map(|place| {
            let on_the_way = place != path;
            let needed = if on_the_way { Access::EXEC_OK } else { wanted };
            if rustix::fs::access(place, needed) != Err(Errno::ACCESS) {
                return None;
            }
            let metadata = std::fs::metadata(place).ok()?;
            Some(Self {
                path: place.to_owned(),
                on_the_way,
                owner: (metadata.uid(), metadata.gid()),
                mode: metadata.permissions().mode() & 0o7777,
            })
        })
    }

    /// What to change so that the file can be read.
    pub fn fix(&self) -> String {
        let (path, user) = (self.path.display(), this_user());
        let let_in = if self.on_the_way {
            format!("let the server's user into the folder (chown USER {path})")
        } else {
            format!("let the server's user read it (chown USER {path})")
        };
        format!("{let_in}; if that is not {user}, run doctor as that user, or as root")
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on_the_way {
            write!(f, "the folder {}", self.path.display())?;
        } else {
            write!(f, "it")?;
        }
        write!(
            f,
            " belongs to {}, group {}, with mode {:04o}, and doctor runs as {}",
            name("/etc/passwd", self.owner.0),
            name("/etc/group", self.owner.1),
            self.mode,
            this_user()
        )
    }
}

fn this_user() -> String {
    name("/etc/passwd", rustix::process::geteuid().as_raw())
}

/// `root (0)`, or the number alone.
fn name(list: &str, id: u32) -> String {
    let list = std::fs::read_to_string(list).unwrap_or_default();
    let name = list.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(id)).then_some(name)
    });
    match name {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_ever_is_left_behind() {
        let forever = || std::thread::sleep(Duration::from_mins(1));
        assert_eq!(patiently(Duration::from_millis(10), forever), None);
        assert_eq!(patiently(PATIENCE, || 42), Some(42));
    }

    #[test]
    fn files_are_read_up_to_a_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let long = read(&path, 4).unwrap_err();
        assert_eq!(long.to_string(), "is longer than 4 bytes");
        assert_eq!(long.fix_or("another file"), "another file");
        let missing = read(&folder.path().join("none"), 5).unwrap_err();
        assert_eq!(missing.to_string(), "cannot be read: there is no such file");
        let folder = read(folder.path(), 5).unwrap_err();
        assert_eq!(folder.to_string(), "cannot be read: it is a folder");
        assert!(silent(&path).fix.unwrap().contains("file system of /"));
    }

    #[test]
    fn what_refuses_is_told_with_its_owner() {
        let folder = Obstacle {
            path: "/etc/portcullis".into(),
            on_the_way: true,
            owner: (0, 4_000_000_000),
            mode: 0o750,
        };
        let said = folder.to_string();
        let expected = "the folder /etc/portcullis belongs to root (0), group 4000000000, with mode \
                        0750, and doctor runs as ";
        assert!(said.starts_with(expected), "{said}");
        assert!(folder.fix().contains("chown USER /etc/portcullis"));
        let file = Obstacle {
            on_the_way: false,
            ..folder
        };
        assert!(file.to_string().starts_with("it belongs to root (0)"));
        assert!(file.fix().contains("read it"));
        assert_eq!(Obstacle::to_reading(Path::new("/")), None);
    }
}
