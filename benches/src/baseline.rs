//! What the machine does without any server: the ceilings that a push can come near to.

use std::path::Path;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::report::{Case, Report, Sample, real};
use crate::servers::{LARGE, pinned};
use crate::{Extent, Result};

/// SHA-256 on one core. A registry verifies every byte it is sent, so that no push on one core is
/// faster than this, however fast the disk.
pub fn hashing(extent: Extent, report: &mut Report) {
    let piece = vec![0x5a; 64 << 10];
    for _ in 0..extent.rounds {
        let started = Instant::now();
        let mut hash = Sha256::new();
        for _ in 0..LARGE / piece.len() {
            hash.update(&piece);
        }
        std::hint::black_box(hash.finalize());
        let value = real(LARGE >> 20) / started.elapsed().as_secs_f64();
        report.add(Case::Push, "sha256 alone", Sample::alone(value));
    }
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
