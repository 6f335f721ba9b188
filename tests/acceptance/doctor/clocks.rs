//! Clocks that disagree.

use acceptance::tokens::{ForeignIssuer, claims};
use acceptance::{Invocation, Launch, Portcullis, Process, Ready};
use serde_json::json;

use super::others::{TokenServer, registry_believing};
use super::{Diagnosis, doctor, doctor_of};

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_by_how_much() {
    let portcullis = Portcullis::up().await;
    // It is this machine that is ahead; seen from it, everybody else is behind.
    Diagnosis::of(doctor_of(portcullis.origin()).later("10m"))
        .expect_first("registry.clock", "failure", "minutes behind this machine's")
        .expect("realm.clock", "failure", "NTP")
        // By the registry's own clock, the token is as it should be.
        .expect("token.dates", "ok", "for 5 minutes")
        .expect("upload.cancelled", "ok", "");
}

#[tokio::test]
async fn a_registry_whose_clock_is_ahead_refuses_new_tokens() {
    let auth = Portcullis::up().await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = auth.folder().join("keys/bundle.pem");
    let realm = auth.auth_origin().join("auth/token").unwrap();
    let settings = format!(
        "auth:\n  token:\n    realm: {realm}\n    service: portcullis-registry\n    issuer: \
         portcullis-auth\n    rootcertbundle: {}\n",
        bundle.display()
    );
    let file = super::others::write_registry(folder.path(), &settings);
    let registry = Process::start(Launch {
        invocation: Invocation::portcullis()
            .args(["registry", "serve"])
            .arg(file)
            .later("1h"),
        log: folder.path().join("log"),
        ready: Ready::Announced,
    })
    .await;

    Diagnosis::of(doctor_of(registry.origin()))
        .expect_first("registry.clock", "failure", "59 minutes ahead of")
        .expect("realm.clock", "ok", "")
        .expect("token.dates", "failure", "has expired already")
        .expect("token.accepted", "failure", "refused");
}

#[tokio::test]
async fn an_issuer_whose_clock_is_ahead_makes_tokens_for_later() {
    let issuer = ForeignIssuer::new();
    let mut later = claims("gitlab-issuer", "registry", &json!([]));
    for name in ["nbf", "iat", "exp"] {
        later[name] = json!(later[name].as_i64().unwrap() + 1_800);
    }
    let realm = TokenServer::handing_out(&issuer.gitlab_token(&later));
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_believing(folder.path(), &issuer, realm.url()).await;

    Diagnosis::of(doctor().args(["--registry", registry.origin().as_str()]))
        .expect("registry.clock", "ok", "")
        .expect_first(
            "token.dates",
            "failure",
            "minutes ahead of the registry's clock",
        )
        .expect("token.accepted", "failure", "refused");
}
