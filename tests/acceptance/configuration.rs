//! A bad configuration names file, line, key and the nearest valid one, and ends with 2 before
//! anything listens.

use std::path::PathBuf;

use acceptance::{Finished, Invocation};
use tempfile::TempDir;

struct Configuration {
    folder: TempDir,
    file: PathBuf,
}

impl Configuration {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yml");
        std::fs::write(&file, text.replace("ROOT", folder.path().to_str().unwrap())).unwrap();
        Self { folder, file }
    }

    fn registry(&self) -> Invocation {
        Invocation::portcullis()
            .args(["registry", "serve"])
            .arg(&self.file)
            .current_dir(self.folder.path())
    }

    fn auth(&self) -> Invocation {
        Invocation::portcullis()
            .args(["auth", "serve", "--config"])
            .arg(&self.file)
            .current_dir(self.folder.path())
    }
}

const GOOD: &str = "version: 0.1
storage:
  filesystem:
    rootdirectory: ROOT/blobs
http:
  addr: 127.0.0.1:0
auth: none
";

/// Ends by itself, with 2, and says all this.
fn expect_refused(invocation: &Invocation, says: &[&str]) -> Finished {
    let finished = invocation.run().expect_code(2);
    assert!(!finished.stderr.contains("panicked"), "{finished}");
    finished.expect_says(says.iter().copied())
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
    for (text, line, key, nearest) in [
        (
            GOOD.replace("rootdirectory", "rootdirektory"),
            "config.yml:4",
            "rootdirektory",
            "rootdirectory",
        ),
        (
            GOOD.replace("  addr:", "  adr:"),
            "config.yml:6",
            "adr",
            "addr",
        ),
        (
            format!("{GOOD}logs:\n  level: info\n"),
            "config.yml:8",
            "logs",
            "log",
        ),
    ] {
        let configuration = Configuration::new(&text);
        expect_refused(&configuration.registry(), &[line, key, nearest]);
    }
}

#[test]
fn a_bad_value_is_named_with_what_would_be_right() {
    for (text, says) in [
        (GOOD.replace("0.1", "7"), &["config.yml:1", "version"][..]),
        (
            format!("{GOOD}log:\n  level: loud\n"),
            &["config.yml:9", "log.level", "loud"],
        ),
        (
            GOOD.replace("127.0.0.1:0", "nowhere"),
            &["http.addr", "nowhere"],
        ),
        (
            format!("{GOOD}catalog:\n  maxentries: many\n"),
            &["config.yml:9", "catalog.maxentries"],
        ),
        (
            format!("{GOOD}catalog:\n  maxentries: -5\n"),
            &["config.yml:9", "catalog.maxentries"],
        ),
    ] {
        let configuration = Configuration::new(&text);
        expect_refused(&configuration.registry(), says);
    }
}

#[test]
fn what_is_missing_is_named() {
    for (without, says) in [
        ("auth: none\n", &["auth"][..]),
        (
            "  filesystem:\n    rootdirectory: ROOT/blobs\n",
            &["storage"],
        ),
    ] {
        let configuration = Configuration::new(&GOOD.replace(without, ""));
        expect_refused(&configuration.registry(), says);
    }
    let token = GOOD.replace(
        "auth: none",
        "auth:\n  token:\n    realm: https://example.com/auth/token",
    );
    let configuration = Configuration::new(&token);
    expect_refused(&configuration.registry(), &["config.yml", "auth.token"]);
}

#[test]
fn what_is_no_yaml_is_refused_with_the_line() {
    let configuration = Configuration::new(&GOOD.replace("http:", "http: [\n"));
    expect_refused(&configuration.registry(), &["config.yml"]);
    let configuration = Configuration::new("");
    expect_refused(&configuration.registry(), &["config.yml"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yml");
    for command in [&["registry", "serve"][..], &["auth", "serve", "--config"]] {
        let serve = Invocation::portcullis().args(command).arg(&missing);
        expect_refused(&serve, &["missing.yml"]);
    }
}

#[test]
fn a_bad_variable_is_named() {
    let configuration = Configuration::new(GOOD);
    for (name, value) in [
        ("REGISTRY_LOG_LEVEL", "loud"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIREKTORY", "/tmp"),
        ("REGISTRY_CATALOG_MAXENTRIES", "many"),
    ] {
        expect_refused(&configuration.registry().env(name, value), &[name]);
    }
}

#[test]
fn keys_that_are_not_there_are_named() {
    let token = "auth:
  token:
    realm: https://example.com/auth/token
    service: s
    issuer: i
    rootcertbundle: ROOT/missing.pem
";
    let configuration = Configuration::new(&GOOD.replace("auth: none\n", token));

    let finished = configuration.registry().run().expect_failure();

    finished.expect_says(["missing.pem"]);
}

#[test]
fn the_gatekeeper_is_as_strict() {
    let configuration = Configuration::new("htp:\n  addr: 127.0.0.1:0\n");
    expect_refused(&configuration.auth(), &["config.yml:1", "htp", "http"]);
    let configuration = Configuration::new("http:\n  addr: 127.0.0.1:0\n");
    let serve = configuration.auth().env("AUTH_HTP_ADDR", "x");
    expect_refused(&serve, &["AUTH_HTP_ADDR"]);
}

#[test]
fn an_address_in_use_is_a_failure_that_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let configuration = Configuration::new(&GOOD.replace("127.0.0.1:0", &address));

    let finished = configuration.registry().run().expect_code(1);

    finished.expect_says([address.as_str()]);
}
