//! A disk of its own: small enough to fill, and able to turn read-only.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Invocation;

/// A file system in memory, mounted below a folder of its own; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    /// Removed at the end; none for a folder of the test's.
    _folder: Option<TempDir>,
}

impl SmallDisk {
    /// `size` as `mount` wants it, such as `16m`.
    pub fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        mount_memory(folder.path(), size);
        Self {
            path: folder.path().to_owned(),
            _folder: Some(folder),
        }
    }

    /// The same at a folder that exists.
    pub fn mounted_at(path: &Path, size: &str) -> Self {
        mount_memory(path, size);
        Self {
            path: path.to_owned(),
            _folder: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left, until the file returned is removed.
    pub fn fill(&self) -> PathBuf {
        let file = self.path.join("filler");
        // `dd` fails as soon as the disk is full: that is what it is for.
        let _ = Invocation::new("dd")
            .args(["if=/dev/zero", "bs=4k"])
            .arg(format!("of={}", file.display()))
            .run();
        file
    }

    pub fn make_read_only(&self) {
        mount(&["-o", "remount,ro"], &self.path);
    }

    pub fn make_writable(&self) {
        mount(&["-o", "remount,rw"], &self.path);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Invocation::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .run();
    }
}

fn mount_memory(path: &Path, size: &str) {
    mount(
        &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
        path,
    );
}

#[track_caller]
fn mount(arguments: &[&str], path: &Path) {
    Invocation::new("mount")
        .args(arguments)
        .arg(path)
        .run()
        .expect_success();
}
