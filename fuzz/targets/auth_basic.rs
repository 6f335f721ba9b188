#![no_main]

// The modules themselves, not the crate: a database driver need not be built with sanitizers.
#[path = "../../crates/service/src/basic.rs"]
mod basic;
#[path = "../../auth-server/src/http/parameters.rs"]
mod parameters;

#[path = "../checks/auth_server.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::basic(input));
