//! What is wrong inside: certificates in the wrong place, names that differ, storage, databases.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use acceptance::disk::SmallDisk;
use acceptance::peers::free_address;
use acceptance::pki::ServerCertificate;
use acceptance::tokens::ForeignIssuer;
use acceptance::{Databases, Invocation, Pki, Portcullis, fresh_postgres};

use super::{Diagnosis, doctor};

/// Both servers' configuration, with these variables over it.
fn inside(portcullis: &Portcullis, variables: &[(&str, &str)]) -> Diagnosis {
    let folder = portcullis.folder();
    let mut command = doctor()
        .arg("--registry-config")
        .arg(folder.join("registry.yml"))
        .arg("--auth-config")
        .arg(folder.join("auth.yml"));
    for (name, value) in variables {
        command = command.env(name, value);
    }
    Diagnosis::of(command)
}

async fn servers() -> Portcullis {
    Portcullis::apart(Databases::Sqlite).await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn servers_that_agree_are_well() {
    for databases in [Databases::Sqlite, Databases::Postgres] {
        let portcullis = Portcullis::apart(databases).await;
        let diagnosis = inside(&portcullis, &[]);
        let checks = diagnosis.report["checks"].as_array().unwrap();
        assert!(checks.len() > 15, "{}", diagnosis.finished);
        let well = checks.iter().all(|finding| finding["status"] == "ok");
        assert!(well, "{}", diagnosis.finished);
        diagnosis.expect("registry.database", "ok", "reachable and migrated");
    }
}

#[tokio::test]
async fn names_that_differ_are_named() {
    let portcullis = servers().await;
    inside(
        &portcullis,
        &[("REGISTRY_AUTH_TOKEN_ISSUER", "Portcullis-Auth")],
    )
    .expect_first("pairing.issuer", "failure", "upper and lower case")
    .expect(
        "pairing.issuer",
        "failure",
        "`token.issuer` of the auth-server",
    );
    inside(
        &portcullis,
        &[("REGISTRY_AUTH_TOKEN_SERVICE", "portcullis_registry")],
    )
    .expect_first("pairing.service", "failure", "one character")
    .expect("pairing.service", "failure", "`token.services`");
    inside(
        &portcullis,
        &[("REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS", "[RS256]")],
    )
    .expect_first(
        "pairing.algorithm",
        "failure",
        "`auth.token.signingalgorithms`",
    );
    let realm = portcullis.auth_origin().join("tokens").unwrap();
    inside(
        &portcullis,
        &[("REGISTRY_AUTH_TOKEN_REALM", realm.as_str())],
    )
    .expect("pairing.realm", "warning", "/auth/token or /jwt/auth")
    .expect_first(
        "realm.answer",
        "failure",
        "there is no token server at /tokens",
    );
    let closed = format!("http://{}/auth/token", free_address());
    inside(&portcullis, &[("REGISTRY_AUTH_TOKEN_REALM", &closed)])
        .expect_first("realm.port", "failure", "nothing listens")
        .expect("realm.answer", "skipped", "because realm.port failed");
}

/// A server's certificate and a token signing certificate.
struct Certificates {
    pki: Pki,
    server: ServerCertificate,
}

impl Certificates {
    fn new() -> Self {
        let pki = Pki::new();
        let server = pki.server(["registry.example.com"]).issue();
        private(&server.key);
        Self { pki, server }
    }

    /// The registry with TLS of its own, and what is changed about that.
    fn diagnose(&self, portcullis: &Portcullis, variables: &[(&str, &str)]) -> Diagnosis {
        let folder = portcullis.folder();
        let mut command = doctor()
            .arg("--registry-config")
            .arg(folder.join("registry.yml"))
            .arg("--auth-config")
            .arg(folder.join("auth.yml"))
            .arg("--ca-file")
            .arg(self.pki.root())
            .env("REGISTRY_HTTP_TLS_CERTIFICATE", &self.server.certificate)
            .env("REGISTRY_HTTP_TLS_KEY", &self.server.key);
        for (name, value) in variables {
            command = command.env(name, value);
        }
        Diagnosis::of(command)
    }
}

fn private(key: &Path) {
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

const BUNDLE: &str = "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE";

#[tokio::test]
async fn what_is_no_token_certificate_is_found_in_the_bundle() {
    let portcullis = servers().await;
    let one = Certificates::new();
    one.diagnose(&portcullis, &[])
        .expect("registry.certificate", "ok", "registry.example.com");

    let server = text(&one.server.certificate);
    one.diagnose(&portcullis, &[(BUNDLE, server)])
        .expect_first(
            "registry.bundle",
            "failure",
            "is the TLS server certificate (the registry's",
        )
        .expect(
            "registry.bundle",
            "failure",
            "not the token signing certificate",
        )
        .expect("registry.bundle", "failure", "`auth.token.rootcertbundle`");
    // Also if the server that shows it is a proxy, which no configuration names.
    inside(&portcullis, &[(BUNDLE, server)]).expect_first(
        "registry.bundle",
        "failure",
        "is a TLS server certificate (for registry.example.com)",
    );

    let authority = portcullis.folder().join("authority.pem");
    std::fs::write(&authority, one.pki.intermediate_pem()).unwrap();
    one.diagnose(&portcullis, &[(BUNDLE, text(&authority))])
        .expect_first("registry.bundle", "failure", "is the authority \"CN=Test ")
        .expect(
            "registry.bundle",
            "failure",
            "that signed the TLS server certificate",
        );

    let other = ForeignIssuer::new();
    inside(&portcullis, &[(BUNDLE, text(&other.certificate()))])
        .expect("registry.bundle", "ok", "gitlab-issuer")
        .expect_first(
            "pairing.keys",
            "failure",
            "believes none of the auth-server's keys",
        )
        .expect("pairing.keys", "failure", "`bundle.pem`");
}

#[tokio::test]
async fn a_bundle_that_cannot_be_read_says_why() {
    let portcullis = servers().await;
    let folder = portcullis.folder();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let signing = std::fs::read(folder.join("keys/signing.pem")).unwrap();
    let issuer = ForeignIssuer::new();
    let der = folder.join("bundle.der");
    Invocation::new("openssl")
        .args([
            "x509",
            "-outform",
            "der",
            "-in",
            text(&issuer.certificate()),
            "-out",
            text(&der),
        ])
        .run()
        .expect_success();
    for (path, words) in [
        (folder.join("missing.pem"), "there is no such file"),
        (folder.join("keys"), "it is a folder"),
        (write("empty.pem", b""), "is empty"),
        (write("key.pem", &signing), "holds a private key"),
        (der, "is in DER form"),
    ] {
        inside(&portcullis, &[(BUNDLE, text(&path))])
            .expect_first("registry.bundle", "failure", words)
            .expect("pairing.keys", "skipped", "because registry.bundle failed");
    }
    let gone = format!("http://{}/jwks.json", free_address());
    inside(&portcullis, &[("REGISTRY_AUTH_TOKEN_JWKS", &gone)]).expect_first(
        "registry.jwks",
        "failure",
        "cannot be fetched",
    );
    let keys = portcullis
        .auth_origin()
        .join(".well-known/jwks.json")
        .unwrap();
    inside(&portcullis, &[("REGISTRY_AUTH_TOKEN_JWKS", keys.as_str())]).expect(
        "registry.jwks",
        "ok",
        "keys to believe: 1",
    );
}

#[tokio::test]
async fn what_is_no_server_certificate_is_found_in_the_servers_place() {
    const CERTIFICATE: &str = "REGISTRY_HTTP_TLS_CERTIFICATE";
    const KEY: &str = "REGISTRY_HTTP_TLS_KEY";
    let portcullis = servers().await;
    let folder = portcullis.folder();
    let one = Certificates::new();
    let check = "registry.certificate";

    let bundle = folder.join("keys/bundle.pem");
    let signing = folder.join("keys/signing.pem");
    one.diagnose(
        &portcullis,
        &[(CERTIFICATE, text(&bundle)), (KEY, text(&signing))],
    )
    .expect_first(check, "failure", "is the token signing certificate")
    .expect(check, "failure", "`http.tls.certificate`");
    one.diagnose(&portcullis, &[(CERTIFICATE, text(&one.pki.root()))])
        .expect_first(check, "failure", "is the authority \"CN=Test ");
    one.diagnose(&portcullis, &[(KEY, text(&signing))])
        .expect_first(check, "failure", "it is the key that signs tokens");
    let other = one.pki.server(["other.example.com"]).issue();
    one.diagnose(&portcullis, &[(KEY, text(&other.key))])
        .expect_first(check, "failure", "the key of another certificate");
    let (certificate, key) = (text(&one.server.certificate), text(&one.server.key));
    one.diagnose(&portcullis, &[(CERTIFICATE, key), (KEY, certificate)])
        .expect_first(
            check,
            "failure",
            "exchange `http.tls.certificate` and `http.tls.key`",
        );
    let alone = one
        .pki
        .server(["registry.example.com"])
        .without_intermediate()
        .issue();
    private(&alone.key);
    let pair = [
        (CERTIFICATE, text(&alone.certificate)),
        (KEY, text(&alone.key)),
    ];
    one.diagnose(&portcullis, &pair)
        .expect_first(check, "warning", " intermediate\" is missing");
    std::fs::set_permissions(&one.server.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    one.diagnose(&portcullis, &[])
        .expect_first(check, "warning", "can be read by everybody");
}

#[tokio::test]
async fn tokens_signed_with_a_servers_key_are_found() {
    let portcullis = servers().await;
    let one = Certificates::new();
    let (certificate, key) = (text(&one.server.certificate), text(&one.server.key));
    let mounted = [
        ("AUTH_KEYS_SIGNINGKEY", key),
        ("AUTH_KEYS_CERTIFICATE", certificate),
    ];
    one.diagnose(&portcullis, &mounted).expect(
        "auth.keys",
        "failure",
        "signed with the key of the TLS server certificate",
    );
    let issuer = ForeignIssuer::new();
    let certificate = issuer.certificate();
    let mounted = [
        ("AUTH_KEYS_SIGNINGKEY", key),
        ("AUTH_KEYS_CERTIFICATE", text(&certificate)),
    ];
    one.diagnose(&portcullis, &mounted)
        .expect_first("auth.keys", "failure", "does not match");

    let signing = portcullis.folder().join("keys/signing.pem");
    std::fs::set_permissions(signing, std::fs::Permissions::from_mode(0o644)).unwrap();
    inside(&portcullis, &[])
        .expect_first("auth.keys", "warning", "whoever reads it can make tokens")
        .expect("auth.keys", "warning", "chmod 600");
}

#[tokio::test]
async fn a_storage_that_cannot_be_written_to_says_why() {
    const ROOT: &str = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
    let portcullis = servers().await;
    let missing = portcullis.folder().join("nowhere");
    inside(&portcullis, &[(ROOT, text(&missing))])
        .expect_first("storage.writable", "failure", "there is no folder")
        .expect(
            "storage.writable",
            "failure",
            "`storage.filesystem.rootdirectory`",
        );
    let disk = SmallDisk::new("300m");
    let on_disk = || inside(&portcullis, &[(ROOT, text(disk.path()))]);
    on_disk()
        .expect("storage.writable", "ok", "can be written to")
        .expect_first("storage.space", "warning", "are free");
    Invocation::new("chown")
        .arg("nobody")
        .arg(make_file(disk.path()))
        .run()
        .expect_success();
    on_disk().expect("storage.owner", "warning", "belongs to another user");
    let filler = disk.fill();
    on_disk()
        .expect_first("storage.writable", "failure", "no space is left")
        .expect("storage.space", "failure", "0.0 GiB are free");
    std::fs::remove_file(filler).unwrap();
    disk.make_read_only();
    on_disk().expect_first("storage.writable", "failure", "mounted read-only");
    let maintenance = [
        (ROOT, text(disk.path())),
        ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true"),
    ];
    inside(&portcullis, &maintenance).expect("storage.writable", "ok", "not to be written to");
}

fn make_file(folder: &Path) -> PathBuf {
    let path = folder.join("docker");
    std::fs::write(&path, "").unwrap();
    path
}

#[tokio::test]
async fn what_keeps_one_out_of_a_database_is_told_apart() {
    let portcullis = servers().await;
    let with = |url: &str| inside(&portcullis, &[("AUTH_DATABASE_URL", url)]);
    let good = fresh_postgres();
    let check = "auth.database";
    with(&good)
        .expect_first(check, "warning", "not migrated: 0001 accounts, 0002 audit")
        .expect(check, "warning", "start the server");

    let mut url: url::Url = good.parse().unwrap();
    // The server of the tests trusts whom it knows, whatever the password.
    url.set_username("nobody_here").unwrap();
    url.set_password(Some("a-wrong-password")).unwrap();
    let wrong = with(url.as_str());
    wrong
        .expect_first(check, "failure", "refuses user or password")
        .expect(check, "failure", "`database.url`");
    assert!(!wrong.finished.stdout.contains("a-wrong-password"));
    let mut url: url::Url = good.parse().unwrap();
    url.set_path("/nobody_made_this");
    with(url.as_str()).expect_first(check, "failure", "\"nobody_made_this\" does not exist");
    let (host, port) = {
        let closed = free_address();
        let (host, port) = closed.split_once(':').unwrap();
        (host.to_owned(), port.parse().unwrap())
    };
    let mut url: url::Url = good.parse().unwrap();
    url.set_host(Some(&host)).unwrap();
    url.set_port(Some(port)).unwrap();
    with(url.as_str()).expect_first(check, "failure", "cannot be reached");

    let folder = portcullis.folder();
    let text = format!("sqlite:{}", folder.join("auth.yml").display());
    with(&text).expect_first(check, "failure", "is no SQLite database");
    let missing = format!("sqlite:{}", folder.join("new.sqlite").display());
    with(&missing).expect_first(check, "warning", "there is no file");
    assert!(
        !folder.join("new.sqlite").exists(),
        "nothing is changed by looking"
    );
    // The database of another server has other migrations.
    let other = format!("sqlite:{}", folder.join("registry.sqlite").display());
    let diagnosis = with(&other);
    assert_eq!(diagnosis.report["first"], check, "{}", diagnosis.finished);
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_a_finding() {
    let portcullis = servers().await;
    inside(&portcullis, &[("REGISTRY_HTTP_ADRR", ":5000")])
        .expect_first("registry.config", "failure", "REGISTRY_HTTP_ADRR")
        .expect("auth.config", "ok", "");
    inside(
        &portcullis,
        &[("REGISTRY_HTTP_HOST", "http://registry.example.com")],
    )
    .expect("registry.location", "ok", "");
    let settings = [
        ("REGISTRY_HTTP_HOST", "http://registry.example.com"),
        (
            "REGISTRY_AUTH_TOKEN_REALM",
            "https://auth.example.invalid/auth/token",
        ),
    ];
    inside(&portcullis, &settings).expect("registry.location", "failure", "`http.host`");
    inside(&portcullis, &[("REGISTRY_HTTP_RELATIVEURLS", "false")]).expect_first(
        "registry.location",
        "warning",
        "`http.trustedproxies`",
    );
}
