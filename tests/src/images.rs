//! Images that the scripts of `tests/environment` make, once for all tests that want them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::{Invocation, portcullis_binary};

/// The images of the compose file, as lines of an `.env` file.
pub fn of_compose_file() -> String {
    made_by("compose-images", [portcullis_binary()])
}

/// A machine that systemd runs.
pub fn systemd() -> String {
    made_by("systemd-image", [] as [&str; 0]).trim().to_owned()
}

/// That of the project for arm64, with a program that was compiled for it.
pub fn arm64(program: &Path) -> String {
    made_by("arm64-image", [program]).trim().to_owned()
}

/// The program under test as it was compiled for arm64.
pub fn arm64_program() -> PathBuf {
    let folder = portcullis_binary();
    let target = folder.ancestors().nth(2).unwrap();
    let program = target.join("aarch64-unknown-linux-gnu/debug/portcullis");
    assert!(
        program.exists(),
        "{} is not there: run the tests through `make test`, or `tests/environment/arm64-program`",
        program.display()
    );
    program
}

/// Runs one of the scripts, and returns what it printed.
fn made_by(script: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("environment");
    let mut made = Invocation::new(environment.join(script)).args(arguments);
    for name in [
        "DOCKER_HOST",
        "HOME",
        "XDG_CACHE_HOME",
        "PORTCULLIS_TEST_CACHE",
    ] {
        if let Some(value) = std::env::var_os(name) {
            made = made.env(name, value);
        }
    }
    made.run().expect_success().stdout
}
