//! One short lap on each database, as part of every run of the tests: bounded by operations, not by
//! time, so that a slow machine does the same.

use std::process::Command;

/// A seed under which both laps have all of [`FAULTS`].
const SEED: &str = "29";

const FAULTS: [&str; 3] = ["Kill", "PowerCut", "FullDisk"];

#[test]
fn heavy_what_was_acknowledged_outlasts_a_short_soak() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--seed", SEED, "--laps", "2", "--rounds", "2"])
        .args(["--clients", "3", "--operations", "20"])
        .args(["--faults", "kill,power-cut,full-disk"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    for lap in ["lap 0 (Sqlite)", "lap 1 (Postgres)"] {
        let rounds: Vec<_> = said.lines().filter(|line| line.contains(lap)).collect();
        for fault in FAULTS {
            let comes = rounds.iter().any(|line| line.contains(fault));
            assert!(comes, "no {fault} in {lap}: choose another seed\n{said}");
        }
    }
}
