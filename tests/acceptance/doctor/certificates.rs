//! Faults of certificates, shown by nginx and by Apache.

use acceptance::pki::{Request, ServerCertificate};
use acceptance::proxy::{Kind, own_address};
use acceptance::{Pki, content::unique};

use super::{Behind, Diagnosis, doctor};

/// A deployment that shows this certificate, as clients see it that trust its root.
async fn showing(
    kind: Kind,
    certificate: impl FnOnce(&Pki, &str) -> ServerCertificate,
) -> Diagnosis {
    let change = |front: acceptance::proxy::Front, pki: &Pki| {
        front.certificate(certificate(pki, &own_address().to_string()))
    };
    Behind::start(kind, |setup, _| setup, change)
        .await
        .diagnose()
}

/// What follows from a certificate that is not trusted: no password goes there.
fn nobody_logs_in(diagnosis: &Diagnosis) {
    diagnosis.expect("registry.challenge", "ok", "realm");
    diagnosis.expect("token.issued", "skipped", "not to be trusted");
    diagnosis.expect("upload.open", "skipped", "not to be trusted");
}

#[tokio::test]
async fn a_missing_intermediate_is_named() {
    for kind in Kind::ALL {
        let complete = |pki: &Pki, name: &str| pki.server([name]).without_intermediate().issue();
        let diagnosis = showing(kind, complete).await;
        diagnosis
            .expect_first(
                "registry.tls.chain",
                "failure",
                "the intermediate certificate \"CN=Test ",
            )
            .expect(
                "registry.tls.chain",
                "failure",
                " intermediate\" is missing",
            )
            .expect(
                "registry.tls.chain",
                "failure",
                "`ssl_certificate` of nginx",
            );
        nobody_logs_in(&diagnosis);
    }
}

#[tokio::test]
async fn an_intermediate_that_has_expired_is_named() {
    for kind in Kind::ALL {
        let outdated = |pki: &Pki, name: &str| {
            let request = pki.server([name]);
            request.with_expired_intermediate().issue()
        };
        let diagnosis = showing(kind, outdated).await;
        diagnosis
            .expect_first(
                "registry.tls.chain",
                "failure",
                "the intermediate certificate \"CN=Test ",
            )
            .expect(
                "registry.tls.chain",
                "failure",
                " intermediate\" expired on ",
            )
            .expect("registry.tls.chain", "failure", "by its successor")
            // The server's own certificate is not to be renewed.
            .expect("registry.tls.expiry", "ok", "valid until ");
        nobody_logs_in(&diagnosis);
    }
}

#[tokio::test]
async fn an_authority_that_nobody_knows_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::start(kind, |setup, _| setup, |front, _| front).await;
        let registry = behind.proxy.registry().as_str();
        let unknown = Diagnosis::of(doctor().args(["--registry", registry]));
        unknown
            .expect_first("registry.tls.chain", "failure", " root\" of \"CN=Test ")
            .expect(
                "registry.tls.chain",
                "failure",
                "neither sent by the server nor trusted here",
            )
            .expect("registry.tls.chain", "failure", "--ca-file");
        let other = Pki::new();
        let command = doctor().args(["--registry", registry]);
        let wrong = Diagnosis::of(command.arg("--ca-file").arg(other.root()));
        wrong.expect_first(
            "registry.tls.chain",
            "failure",
            "the given authority is another",
        );
    }
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_before_it_comes() {
    for kind in Kind::ALL {
        let days = |from, to| {
            showing(kind, move |pki, name| {
                pki.server([name]).valid_days(from, to).issue()
            })
        };
        let over = days(-90, -1).await;
        over.expect_first("registry.tls.expiry", "failure", "expired on ")
            .expect("registry.tls.chain", "ok", "");
        nobody_logs_in(&over);
        days(-80, 10)
            .await
            .expect_first("registry.tls.expiry", "warning", "expires in ")
            .expect("upload.size", "ok", "");
        let early = days(2, 90).await;
        early.expect_first("registry.tls.expiry", "failure", "not valid before");
    }
}

#[tokio::test]
async fn the_name_must_be_a_subject_alternative_name() {
    for kind in Kind::ALL {
        let named = |change: fn(Request<'_>, &str) -> ServerCertificate| {
            showing(kind, move |pki, name| change(pki.server([]), name))
        };
        let common = named(|request, name| request.common_name(name).issue()).await;
        common
            .expect_first("registry.tls.name", "failure", "only its common name (CN)")
            .expect("registry.tls.name", "failure", "subjectAltName=DNS:");
        nobody_logs_in(&common);
        let other = showing(kind, |pki, _| pki.server(["other.example.com"]).issue()).await;
        other.expect_first(
            "registry.tls.name",
            "failure",
            "for other.example.com, not for ",
        );
    }
}

#[tokio::test]
async fn a_key_for_tls_and_for_tokens_is_one_too_few() {
    for kind in Kind::ALL {
        let pki = Pki::new();
        let pair = pki.server([own_address().to_string().as_str()]).issue();
        let (key, certificate) = (pair.key.clone(), pair.certificate.clone());
        let servers = move |setup: acceptance::Setup, _: &acceptance::proxy::Front| {
            setup
                .env(
                    "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE",
                    certificate.to_str().unwrap(),
                )
                .auth_env("AUTH_KEYS_SIGNINGKEY", key.to_str().unwrap())
                .auth_env("AUTH_KEYS_CERTIFICATE", certificate.to_str().unwrap())
        };
        let behind = Behind::start(kind, servers, |front, _| front.certificate(pair)).await;
        // The authority of the pair, not the one that this deployment has made for nothing.
        let command = super::doctor_of(behind.proxy.registry());
        Diagnosis::of(command.arg("--ca-file").arg(pki.root()))
            .expect("token.accepted", "ok", "")
            .expect_first(
                "token.form",
                "warning",
                "the key of the TLS server certificate",
            );
    }
}

#[tokio::test]
async fn a_port_without_tls_is_told_from_one_without_a_server() {
    let portcullis = acceptance::Portcullis::up().await;
    let url = format!("https://{}", portcullis.host());
    Diagnosis::of(doctor().args(["--registry", &url]))
        .expect_first("registry.tls", "failure", "speaks plain HTTP")
        .expect(
            "registry.challenge",
            "skipped",
            "because registry.tls failed",
        );
    let closed = format!("https://{}", acceptance::peers::free_address());
    Diagnosis::of(doctor().args(["--registry", &closed])).expect_first(
        "registry.port",
        "failure",
        "refuses connections",
    );
    let nowhere = format!("https://{}.invalid", unique());
    Diagnosis::of(doctor().args(["--registry", &nowhere]))
        .expect_first("registry.dns", "failure", "cannot be resolved")
        .expect("registry.dns", "failure", "DNS");
}
