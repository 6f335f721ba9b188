//! The fuzz targets' checks, on their seeds and on every input that once broke something.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it reads")]

use std::{
    fs,
    path::{Path, PathBuf},
};

#[path = "../../../fuzz/checks/registry_token.rs"]
mod checks;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 7] = [
    ("access", checks::access),
    ("bundle", checks::bundle),
    ("jwks", checks::jwks),
    ("repository_name", checks::repository_name),
    ("scopes", checks::scopes),
    ("signed_token", checks::signed_token),
    ("token", checks::token),
];

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|_| unreachable!("{directory:?} exists"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_seed_holds() {
    for (target, check) in TARGETS {
        let seeds = names_in(&fuzz_directory().join("seeds").join(target));
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
    let targets = names_in(&fuzz_directory().join("targets"));
    let targets: Vec<&str> = targets
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap())
        // Those of the servers, which have tests like this one.
        .filter(|name| !name.starts_with("oci_") && !name.starts_with("auth_"))
        .collect();
    assert_eq!(targets, TARGETS.map(|(name, _)| name));
}
