//! The fuzz targets' checks, on their seeds and on every input that once broke something.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it reads")]

use std::fs;
use std::path::{Path, PathBuf};

use registry_server::oci;

#[path = "../../fuzz/checks/oci.rs"]
mod checks;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 3] = [
    ("oci_manifest", checks::manifest),
    ("oci_midstate", checks::midstate),
    ("oci_reference", checks::reference),
];

fn names_in(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz")
        .join(directory);
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_seed_holds() {
    for (target, check) in TARGETS {
        let seeds = names_in(&format!("seeds/{target}"));
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for seed in seeds {
            let input = fs::read(&seed).unwrap();
            // Whole, and cut off at every tenth: what a network does to it.
            for tenths in 0..=10 {
                check(&input[..input.len() * tenths / 10]);
            }
        }
    }
}

#[test]
fn every_target_is_tested_here() {
    let targets = names_in("targets");
    let targets: Vec<&str> = targets
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap())
        .filter(|name| name.starts_with("oci_"))
        .collect();
    assert_eq!(targets, TARGETS.map(|(name, _)| name));
}
