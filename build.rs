//! Tells `--version` which commit it was built from.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PORTCULLIS_COMMIT");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
    // An image build has no `.git`; it passes the commit in.
    let commit = std::env::var("PORTCULLIS_COMMIT")
        .ok()
        .or_else(commit_of_checkout)
        .unwrap_or_else(|| "unknown commit".to_owned());
    println!("cargo::rustc-env=PORTCULLIS_COMMIT={commit}");
}

fn commit_of_checkout() -> Option<String> {
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout)
        .ok()
        .map(|commit| commit.trim().to_owned())
}
