//! What the machine does without any server: the ceilings that a push can come near to.

use std::path::Path;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::Result;
use crate::report::real;
use crate::servers::{LARGE, pinned};

/// SHA-256 on one core. A registry verifies every byte it is sent, so that no push on one core is
/// faster than this, however fast the disk. MiB/s.
pub fn hashing() -> f64 {
    let piece = vec![0x5a; 64 << 10];
    let started = Instant::now();
    let mut hash = Sha256::new();
    for _ in 0..LARGE / piece.len() {
        hash.update(&piece);
    }
    std::hint::black_box(hash.finalize());
    real(LARGE >> 20) / started.elapsed().as_secs_f64()
}

/// What one core makes of both: the ceiling of a push on one core, if receiving cost nothing.
pub fn one_after_the_other(copied: f64, hashed: f64) -> f64 {
    1.0 / (1.0 / copied + 1.0 / hashed)
}

/// `dd conv=fsync` of a file in the page cache: the same bytes as those pushed, on the server's core
/// and disk, read, written and flushed. MiB/s.
pub fn durable_copy(source: &Path, folder: &Path) -> Result<f64> {
    let target = folder.join("dd");
    let finished = pinned("dd")
        .arg(format!("if={}", source.display()))
        .arg(format!("of={}", target.display()))
        .args(["bs=1M", "conv=fsync"])
        .run()
        .expect_success();
    std::fs::remove_file(target)?;
    // "209715200 bytes (210 MB, 200 MiB) copied, 0.127317 s, 1.6 GB/s"
    let seconds = finished
        .stderr
        .split(", ")
        .find_map(|part| part.strip_suffix(" s"))
        .ok_or_else(|| finished.to_string())?;
    Ok(real(LARGE >> 20) / seconds.parse::<f64>()?)
}
