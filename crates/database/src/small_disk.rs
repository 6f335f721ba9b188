//! A file system in memory, small enough to fill; unmounted when dropped. Needs root.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "test support: a broken set-up should stop the test"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::migrate::Migrator;

use crate::{Database, DatabaseUrl, StartError};

#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `size` as `mount` wants it, such as `16m`.
    pub fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a file system of our own");
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

    pub async fn database(&self, migrator: &Migrator) -> Database {
        let database = self.open().await.expect("open SQLite");
        database
            .migrate(migrator, &Migrator::DEFAULT)
            .await
            .expect("migrate SQLite");
        database
    }

    /// Takes all the room that is left, until the file returned is removed.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a file system of our own");
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
pub fn run(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status();
    assert!(
        status.expect("a file system of our own").success(),
        "{program}"
    );
}
