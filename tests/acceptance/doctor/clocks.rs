//! Clocks that disagree.

use std::path::Path;

use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::tokens::{ForeignIssuer, claims};
use acceptance::{Invocation, Launch, Pki, Portcullis, Process, Ready};
use serde_json::json;
use url::Url;

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
    let realm = auth.auth_origin().join("auth/token").unwrap();
    let registry = registry_of_later(folder.path(), &auth, &realm).await;

    Diagnosis::of(doctor_of(registry.origin()))
        .expect_first("registry.clock", "failure", "59 minutes ahead of")
        .expect("realm.clock", "ok", "")
        .expect("token.dates", "failure", "has expired already")
        .expect(
            "token.accepted",
            "failure",
            "was refused: the token expired at ",
        );
}

/// A registry whose clock is an hour ahead of its token server's.
async fn registry_of_later(folder: &Path, auth: &Portcullis, realm: &Url) -> Process {
    let bundle = auth.folder().join("keys/bundle.pem");
    let settings = format!(
        "auth:\n  token:\n    realm: {realm}\n    service: portcullis-registry\n    issuer: \
         portcullis-auth\n    rootcertbundle: {}\n",
        bundle.display()
    );
    let file = super::others::write_registry(folder, &settings);
    Process::start(Launch {
        invocation: Invocation::portcullis()
            .args(["registry", "serve"])
            .arg(file)
            .later("1h"),
        log: folder.join("log"),
        ready: Ready::Announced,
    })
    .await
}

/// A proxy with TLS in front of a registry and a token server that are not one deployment's.
async fn behind(kind: Kind, pki: &Pki, front: Front, realm: &Url, registry: &Url) -> Diagnosis {
    let proxy = front.start_before(pki, realm, registry).await;
    let diagnosis = Diagnosis::of(doctor_of(proxy.registry()).arg("--ca-file").arg(pki.root()));
    diagnosis
        .expect("registry.tls.chain", "ok", "")
        .expect("realm.answer", "ok", "");
    assert_eq!(proxy.kind(), kind);
    diagnosis
}

/// As from a cache, or of a token server that has stopped its own clock.
#[tokio::test]
async fn a_token_that_has_expired_when_it_comes_is_named() {
    for kind in Kind::ALL {
        let issuer = ForeignIssuer::new();
        let mut old = claims("gitlab-issuer", "registry", &json!([]));
        for name in ["nbf", "iat", "exp"] {
            old[name] = json!(old[name].as_i64().unwrap() - 7_200);
        }
        let realm = TokenServer::handing_out(&issuer.gitlab_token(&old));
        let front = Front::new(kind, Variant::TwoHosts).at(own_address());
        let folder = tempfile::tempdir().unwrap();
        let registry = registry_believing(folder.path(), &issuer, &front.realm()).await;

        behind(kind, &Pki::new(), front, realm.url(), registry.origin())
            .await
            .expect("registry.clock", "ok", "")
            .expect("realm.clock", "ok", "")
            .expect_first("token.dates", "failure", "has expired already: its end is ")
            .expect("token.dates", "failure", "behind the registry's clock")
            .expect("token.dates", "failure", "something keeps old tokens")
            .expect("token.dates", "failure", "`proxy_cache off`")
            .expect(
                "token.accepted",
                "failure",
                "was refused: the token expired at ",
            );
    }
}

/// nginx answers with a date of its own, so that the registry's clock is not to be seen behind it: what the
/// registry says of the token is.
#[tokio::test]
async fn a_registry_whose_clock_is_ahead_is_found_behind_a_proxy() {
    for kind in Kind::ALL {
        let auth = Portcullis::up().await;
        let front = Front::new(kind, Variant::TwoHosts).at(own_address());
        let folder = tempfile::tempdir().unwrap();
        let registry = registry_of_later(folder.path(), &auth, &front.realm()).await;

        let realm = auth.auth_origin();
        let diagnosis = behind(kind, &Pki::new(), front, realm, registry.origin()).await;
        diagnosis
            .expect("realm.clock", "ok", "")
            .expect(
                "token.accepted",
                "failure",
                "was refused: the token expired at ",
            )
            .expect("token.accepted", "failure", "`timedatectl set-ntp true`");
        match kind {
            Kind::Nginx => diagnosis.expect_first("token.accepted", "failure", ""),
            Kind::Apache => diagnosis.expect_first("registry.clock", "failure", "59 minutes ahead"),
        };
    }
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
