//! Faults of the servers behind a proxy: keys, storage, databases. From outside they show as refusals;
//! on the servers' machine they have names.

use std::path::Path;

use acceptance::disk::SmallDisk;
use acceptance::proxy::{Kind, own_address};
use acceptance::tokens::ForeignIssuer;
use acceptance::{Invocation, Pki, fresh_postgres};

use super::{Behind, Diagnosis};

const BUNDLE: &str = "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE";

/// A deployment whose registry has this variable, and the doctor on its machine, which has it too.
async fn with(kind: Kind, name: &str, value: &str) -> (Behind, Diagnosis) {
    let behind = Behind::with(kind, name, value).await;
    let command = behind.with_configuration(behind.doctor());
    let diagnosis = Diagnosis::of(command.env(name, value));
    (behind, diagnosis)
}

/// What follows for who looks from outside: whose the token is, and that it is refused.
fn refuses_tokens(behind: &Behind) {
    behind
        .diagnose()
        .expect("registry.authorization", "ok", "arrives")
        .expect_first("token.accepted", "failure", "refused (invalid_token)")
        .expect("token.accepted", "failure", "`auth.token.rootcertbundle`")
        .expect("upload.open", "skipped", "because token.accepted failed");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_certificate_of_tls_in_the_place_of_the_token_servers_is_named() {
    let pki = Pki::new();
    let authority = pki.folder().join("authority.pem");
    std::fs::write(&authority, pki.intermediate_pem()).unwrap();
    for kind in Kind::ALL {
        let pair = pki.server([own_address().to_string().as_str()]).issue();
        for (bundle, what) in [
            (
                &pair.certificate,
                "is the TLS server certificate (shown at https://",
            ),
            (
                &authority,
                "that signed the TLS server certificate (shown at https://",
            ),
        ] {
            let shown = pair.clone();
            let behind = Behind::start(
                kind,
                |setup, _| setup.env(BUNDLE, text(bundle)),
                |front, _| front.certificate(shown),
            )
            .await;
            let trusting = |command: Invocation| command.arg("--ca-file").arg(pki.root());
            let command = trusting(super::doctor_of(behind.proxy.registry()));
            let command = behind.with_configuration(command).env(BUNDLE, bundle);
            Diagnosis::of(command)
                .expect("registry.tls.chain", "ok", "")
                .expect_first("registry.bundle", "failure", what)
                .expect(
                    "registry.bundle",
                    "failure",
                    "not the token signing certificate",
                )
                .expect("token.accepted", "failure", "refused (invalid_token)");
        }
    }
}

#[tokio::test]
async fn a_bundle_without_the_key_that_signs_is_named() {
    let other = ForeignIssuer::new();
    for kind in Kind::ALL {
        let (behind, inside) = with(kind, BUNDLE, text(&other.certificate())).await;
        inside
            .expect_first(
                "pairing.keys",
                "failure",
                "believes none of the auth-server's keys",
            )
            .expect("token.signature", "failure", "the token is signed by key ")
            .expect("token.signature", "failure", "which is not in ")
            .expect("token.accepted", "failure", "refused (invalid_token)");
        refuses_tokens(&behind);
    }
}

#[tokio::test]
async fn an_algorithm_that_the_registry_does_not_take_is_named() {
    for kind in Kind::ALL {
        let name = "REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS";
        let (behind, inside) = with(kind, name, "[RS256]").await;
        inside
            .expect_first(
                "pairing.algorithm",
                "failure",
                "`auth.token.signingalgorithms`",
            )
            .expect("token.form", "ok", "ES256, key id ")
            .expect(
                "token.signature",
                "failure",
                "`auth.token.signingalgorithms`",
            )
            .expect("token.accepted", "failure", "refused (invalid_token)");
        refuses_tokens(&behind);
    }
}

const ROOT: &str = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";

#[tokio::test]
async fn a_storage_that_is_read_only_is_found_through_the_proxy() {
    for kind in Kind::ALL {
        let disk = SmallDisk::new("300m");
        let behind = Behind::with(kind, ROOT, text(disk.path())).await;
        disk.make_read_only();
        let said =
            "the registry could not store a layer (405): the registry's storage is read-only";
        behind
            .diagnose()
            .expect_first("upload.size", "failure", said)
            .expect(
                "upload.size",
                "failure",
                "run doctor with --registry-config on its host",
            );
        let command = behind.with_configuration(behind.doctor());
        Diagnosis::of(command.env(ROOT, disk.path()))
            .expect_first("storage.writable", "failure", "mounted read-only")
            .expect("upload.size", "failure", said);
    }
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_layer_is_found_through_the_proxy() {
    for kind in Kind::ALL {
        let disk = SmallDisk::new("24m");
        let behind = Behind::with(kind, ROOT, text(disk.path())).await;
        let command = behind.with_configuration(behind.doctor());
        Diagnosis::of(command.env(ROOT, disk.path()))
            .expect_first("storage.space", "failure", "0.0 GiB are free")
            .expect("upload.open", "ok", "")
            .expect(
                "upload.size",
                "failure",
                "the registry could not store a layer (5",
            )
            .expect("upload.size", "failure", "has space");
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_found_through_the_proxy() {
    const URL: &str = "REGISTRY_DATABASE_URL";
    for kind in Kind::ALL {
        let database = fresh_postgres();
        let behind = Behind::with(kind, URL, &database).await;
        let name = database.rsplit('/').next().unwrap();
        Invocation::new("psql")
            .args(["--no-psqlrc", "--quiet", "--command"])
            .arg(format!("DROP DATABASE {name} WITH (FORCE)"))
            .arg(std::env::var("PORTCULLIS_TEST_POSTGRES").unwrap())
            .run()
            .expect_success();
        let command = behind.with_configuration(behind.doctor());
        Diagnosis::of(command.env(URL, &database))
            .expect_first("registry.database", "failure", "does not exist")
            .expect("registry.database", "failure", "create the database")
            .expect(
                "upload.open",
                "failure",
                "the registry cannot take an upload (50",
            );
    }
}
