#![no_main]

#[path = "../checks/oci.rs"]
mod checks;
// The module alone: it needs nothing of the server around it, and builds in no time.
#[allow(dead_code, unused_imports, reason = "the check needs a part of it")]
#[path = "../../registry-server/src/oci/mod.rs"]
mod oci;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::reference(input));
