//! A file system in memory, small enough to fill; unmounted when dropped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tests::{postgres, sqlite};
use crate::{Database, DatabaseUrl, StartError};

pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `size` as `mount` wants it, such as `16m`.
    pub fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs"],
            folder.path(),
        );
        Self(folder)
    }

    pub fn file(&self) -> PathBuf {
        self.0.path().join("data.sqlite")
    }

    pub async fn open(&self) -> Result<Database, StartError> {
        Database::connect(&DatabaseUrl::Sqlite(self.file()), 2).await
    }

    pub async fn database(&self) -> Database {
        let database = self.open().await.unwrap();
        database.migrate(&sqlite(), &postgres()).await.unwrap();
        database
    }

    /// Takes all the room that is left, until the file returned is removed.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }

    pub fn make_read_only(&self) {
        run("mount", &["-o", "remount,ro"], self.0.path());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.0.path());
    }
}

#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status();
    assert!(status.unwrap().success(), "{program}");
}
