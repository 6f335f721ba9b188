//! The fuzz targets' checks, on their seeds and on every input that once broke something.

use std::fs;
use std::path::Path;

use super::{basic, parameters};

#[path = "../../../fuzz/checks/auth_server.rs"]
mod checks;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 2] = [("auth_basic", checks::basic), ("auth_form", checks::form)];

#[test]
fn every_seed_holds() {
    for (target, check) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fuzz/seeds")
            .join(target);
        let seeds: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for seed in seeds {
            let input = fs::read(seed.unwrap().path()).unwrap();
            // Whole, and cut off anywhere: what a network does to it.
            for end in 0..=input.len() {
                check(&input[..end]);
            }
        }
    }
}
