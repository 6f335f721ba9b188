//! Files that the doctor cannot read: they are somebody else's, or do not answer.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use acceptance::{Databases, Invocation, Pki, Portcullis};

use super::{Diagnosis, doctor};

/// The user of our image, whom this machine does not know.
const SOMEBODY: u32 = 65532;

/// The doctor with both servers' configuration.
fn inside(portcullis: &Portcullis) -> Invocation {
    let folder = portcullis.folder();
    doctor()
        .arg("--registry-config")
        .arg(folder.join("registry.yml"))
        .arg("--auth-config")
        .arg(folder.join("auth.yml"))
}

fn mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_configuration_that_somebody_else_owns_is_named_with_its_owner() {
    let portcullis = Portcullis::apart(Databases::Sqlite).await;
    let folder = portcullis.folder();
    let look = || Diagnosis::of(inside(&portcullis).as_user(SOMEBODY));
    mode(&folder, 0o700);
    let closed = format!("the folder {} belongs to root (0)", folder.display());
    look()
        .expect_first("registry.config", "failure", &closed)
        .expect(
            "registry.config",
            "failure",
            "with mode 0700, and doctor runs as 65532",
        )
        .expect(
            "auth.config",
            "failure",
            "let the server's user into the folder",
        );

    mode(&folder, 0o755);
    let file = folder.join("registry.yml");
    mode(&file, 0o600);
    let chown = format!("(chown USER {})", file.display());
    look()
        .expect_first(
            "registry.config",
            "failure",
            "cannot read the configuration file",
        )
        .expect(
            "registry.config",
            "failure",
            "it belongs to root (0), group root (0), with mode 0600, and doctor runs as 65532",
        )
        .expect("registry.config", "failure", &chown)
        .expect("auth.config", "ok", "");

    mode(&file, 0o644);
    let secret = folder.join("database-url");
    std::fs::write(&secret, "sqlite:/nowhere").unwrap();
    mode(&secret, 0o640);
    let chown = format!("(chown USER {})", secret.display());
    // Instead of what the file has.
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("url: sqlite"))
        .unwrap();
    let by_file = format!("  url_file: {}", secret.display());
    std::fs::write(&file, text.replace(line, &by_file)).unwrap();
    look()
        .expect_first("registry.config", "failure", "with mode 0640")
        .expect("registry.config", "failure", &chown);
}

#[tokio::test]
async fn what_the_servers_own_is_named_when_another_user_looks() {
    let portcullis = Portcullis::apart(Databases::Sqlite).await;
    let folder = portcullis.folder();
    mode(&folder, 0o755);
    let pki = Pki::new();
    mode(pki.folder(), 0o755);
    let pair = pki.server(["registry.example.com"]).issue();
    mode(&pair.key, 0o600);
    mode(&folder.join("keys"), 0o700);
    mode(&folder.join("auth.sqlite"), 0o600);
    let command = inside(&portcullis)
        .env("REGISTRY_HTTP_TLS_CERTIFICATE", &pair.certificate)
        .env("REGISTRY_HTTP_TLS_KEY", &pair.key)
        .as_user(SOMEBODY);
    let key = format!("{} cannot be read: permission denied", pair.key.display());
    let keys = format!(
        "the folder {} belongs to root (0)",
        folder.join("keys").display()
    );
    let blobs = folder.join("blobs");
    let storage = format!(
        "{} cannot be written to: permission denied",
        blobs.display()
    );
    Diagnosis::of(command)
        .expect_first("registry.certificate", "failure", &key)
        .expect(
            "registry.certificate",
            "failure",
            "it belongs to root (0), group root (0), with mode 0600, and doctor runs as 65532",
        )
        .expect(
            "registry.certificate",
            "failure",
            "if that is not 65532, run doctor as that user",
        )
        .expect(
            "auth.keys",
            "failure",
            "with mode 0700, and doctor runs as 65532",
        )
        .expect("registry.bundle", "failure", &keys)
        .expect("storage.writable", "failure", &storage)
        .expect(
            "storage.writable",
            "failure",
            "it belongs to root (0), group root (0), with mode 07",
        )
        .expect("storage.writable", "failure", "(chown -R)")
        .expect(
            "auth.database",
            "failure",
            "auth.sqlite cannot be read: permission denied",
        )
        .expect("auth.database", "failure", "with mode 0600");
}

/// A file that never gives a byte, as one on a network file system whose server is gone.
fn silent(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    Invocation::new("mkfifo").arg(&path).run().expect_success();
    path
}

/// It must not wait for ever, whatever the file.
fn in_time(command: Invocation) -> Diagnosis {
    let begun = Instant::now();
    let diagnosis = Diagnosis::of(command);
    assert!(
        begun.elapsed() < Duration::from_mins(1),
        "{}",
        diagnosis.finished
    );
    diagnosis
}

#[tokio::test]
async fn a_file_that_does_not_answer_is_named_in_time() {
    let portcullis = Portcullis::apart(Databases::Sqlite).await;
    let folder = portcullis.folder();
    let [config, secret, bundle, key, database] =
        ["config.yml", "secret", "bundle.pem", "tls.key", "auth.db"]
            .map(|name| silent(&folder, name));
    let says = |path: &Path| format!("{} does not answer", path.display());

    let command = doctor()
        .arg("--registry-config")
        .arg(&config)
        .arg("--auth-config");
    in_time(command.env("AUTH_DATABASE_URL_FILE", &secret))
        .expect_first("registry.config", "failure", &says(&config))
        .expect(
            "registry.config",
            "failure",
            "a network file system whose server is gone",
        )
        .expect("auth.config", "failure", &says(&secret));

    let pki = Pki::new();
    let pair = pki.server(["registry.example.com"]).issue();
    let command = inside(&portcullis)
        .env("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", &bundle)
        .env("REGISTRY_HTTP_TLS_CERTIFICATE", &pair.certificate)
        .env("REGISTRY_HTTP_TLS_KEY", &key)
        .env(
            "AUTH_DATABASE_URL",
            format!("sqlite:{}", database.display()),
        );
    in_time(command)
        .expect_first("registry.certificate", "failure", &says(&key))
        .expect("registry.bundle", "failure", &says(&bundle))
        .expect("registry.bundle", "failure", "look at the file system of ")
        .expect("registry.database", "ok", "")
        .expect("auth.database", "failure", &says(&database));
}
