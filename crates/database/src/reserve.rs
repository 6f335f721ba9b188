//! [`Reserve`]: a file beside a `SQLite` file that takes room, and gives it up when there is no other.
//!
//! See docs/adr/0015-a-reserve-for-a-full-disk.md.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::sqlite::beside;

/// As large as the write-ahead log gets before `SQLite` folds it in: 1000 pages.
const SIZE: u64 = 4 << 20;

/// The reserve is not made where that would be most of the room there is.
const PLENTY: u64 = 4 * SIZE;

#[derive(Clone, Debug)]
pub(crate) struct Reserve(PathBuf);

impl Reserve {
    pub(crate) fn beside(database: &Path) -> Self {
        Self(beside(database, "-reserve"))
    }

    /// Whether there was one.
    pub(crate) fn release(&self) -> bool {
        std::fs::remove_file(&self.0).is_ok()
    }

    /// Makes it if it is missing and there is plenty of room.
    pub(crate) fn keep(&self) {
        if self.0.exists() {
            return;
        }
        if let Err(error) = self.make() {
            tracing::debug!(path = %self.0.display(), %error, "no reserve for a full disk");
            // By halves it is of no use, and would be taken for a whole one.
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn make(&self) -> io::Result<()> {
        let folder = self.0.parent().filter(|folder| *folder != Path::new(""));
        let room = rustix::fs::statvfs(folder.unwrap_or(Path::new(".")))?;
        if room.f_bavail.saturating_mul(room.f_frsize) < PLENTY {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Another process may be making it just now: that one has it made.
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.0)?;
        let mut noise = Noise(1);
        let mut block = [0; 8 << 10];
        for _ in 0..SIZE / block.len() as u64 {
            noise.fill(&mut block);
            file.write_all(&block)?;
        }
        // Some file systems take the room only now.
        file.sync_all()
    }
}

/// Bytes that no file system makes smaller: zeros, and holes, take no room on some.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            // xorshift64 <https://www.jstatsoft.org/article/view/v008i14>
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_ne_bytes());
        }
    }
}
