#![no_main]

#[path = "../checks/registry_token.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::jwks(input));
