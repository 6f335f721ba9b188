//! Faults of the realm: what a registry says about where to get tokens.

use acceptance::peers::free_address;
use acceptance::proxy::Kind;
use acceptance::{Portcullis, Setup};

use super::{Behind, Diagnosis, doctor_of, edit};

/// A deployment whose registry names this realm.
async fn naming(kind: Kind, realm: &str) -> Diagnosis {
    Behind::with(kind, "REGISTRY_AUTH_TOKEN_REALM", realm)
        .await
        .diagnose()
}

#[tokio::test]
async fn a_realm_without_tls_behind_a_registry_with_it_is_refused() {
    for kind in Kind::ALL {
        let auth = Portcullis::up().await;
        let realm = auth.auth_origin().join("auth/token").unwrap();
        naming(kind, realm.as_str())
            .await
            .expect_first("realm.url", "failure", "the realm is http")
            .expect("realm.url", "failure", "`auth.token.realm`")
            .expect("token.issued", "skipped", "because realm.url failed");
    }
}

#[tokio::test]
async fn a_realm_that_is_made_from_what_the_proxy_says_shows_what_it_does_not() {
    for kind in Kind::ALL {
        let proxy = "portcullis/proxy.conf";
        let behind = Behind::start(
            kind,
            |setup, _| setup.env("REGISTRY_AUTH_TOKEN_AUTOREDIRECT", "true"),
            |front, _| {
                edit(
                    front,
                    kind,
                    (proxy, "X-Forwarded-Proto ", "X-Forwarded-Protocol "),
                    (proxy, "set X-Forwarded-Proto ", "set X-Forwarded-Protocol "),
                )
            },
        )
        .await;
        behind
            .diagnose()
            .expect_first("realm.url", "failure", "the realm is http")
            .expect("realm.url", "failure", "`X-Forwarded-Proto $scheme`");
    }
}

#[tokio::test]
async fn a_realm_on_the_loopback_is_every_clients_own_machine() {
    for kind in Kind::ALL {
        naming(kind, "https://localhost:5001/auth/token")
            .await
            .expect_first("realm.url", "failure", "every client takes that for itself");
    }
}

#[tokio::test]
async fn a_realm_that_cannot_be_reached_is_named() {
    for kind in Kind::ALL {
        let nowhere = "https://auth.example.invalid/auth/token";
        let behind = Behind::with(kind, "REGISTRY_AUTH_TOKEN_REALM", nowhere).await;
        behind
            .diagnose()
            .expect_first(
                "realm.dns",
                "failure",
                "auth.example.invalid cannot be resolved",
            )
            .expect("token.issued", "skipped", "because realm.dns failed");
        Diagnosis::of(behind.doctor().arg("--from-registry")).expect(
            "realm.from-registry",
            "failure",
            "cannot be reached from the registry's host",
        );
    }
    let portcullis = Setup::up()
        .env("REGISTRY_AUTH_TOKEN_AUTOREDIRECT", "false")
        .env(
            "REGISTRY_AUTH_TOKEN_REALM",
            &format!("http://{}/auth/token", free_address()),
        )
        .start()
        .await;
    let look = || doctor_of(portcullis.origin());
    Diagnosis::of(look()).expect_first("realm.port", "failure", "nothing listens");
    Diagnosis::of(look().arg("--from-registry")).expect(
        "realm.from-registry",
        "failure",
        "cannot be reached from the registry's host",
    );
}

#[tokio::test]
async fn a_realm_of_another_path_is_no_token_server() {
    for kind in Kind::ALL {
        let behind = Behind::start(
            kind,
            |setup, front| {
                let realm = front.auth().join("token/of/somebody").unwrap();
                setup.env("REGISTRY_AUTH_TOKEN_REALM", realm.as_str())
            },
            |front, _| front,
        )
        .await;
        behind
            .diagnose()
            .expect_first(
                "realm.answer",
                "failure",
                "there is no token server at /token/of/somebody",
            )
            .expect("realm.answer", "failure", "/auth/token or /jwt/auth");
    }
}

#[tokio::test]
async fn a_service_that_the_token_server_does_not_know_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::with(kind, "REGISTRY_AUTH_TOKEN_SERVICE", "portcullis_registry").await;
        behind
            .diagnose()
            .expect_first(
                "realm.answer",
                "failure",
                "knows no service \"portcullis_registry\"",
            )
            .expect(
                "realm.answer",
                "failure",
                "`token.services` of the auth-server",
            );
    }
}

#[tokio::test]
async fn an_issuer_that_the_registry_does_not_believe_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::with(kind, "REGISTRY_AUTH_TOKEN_ISSUER", "portcullis-auth/").await;
        // From outside it is known that the token was refused, and whose it is.
        behind
            .diagnose()
            .expect("registry.authorization", "ok", "arrives")
            .expect_first(
                "token.accepted",
                "failure",
                "arrived and was refused (invalid_token)",
            )
            .expect(
                "token.accepted",
                "failure",
                "`auth.token.issuer` of the registry to \"portcullis-auth\"",
            );
        // From inside, why.
        let inside = behind
            .doctor()
            .arg("--registry-config")
            .arg(behind.portcullis.folder().join("registry.yml"))
            .env("REGISTRY_AUTH_TOKEN_ISSUER", "portcullis-auth/")
            .env("REGISTRY_AUTH_TOKEN_REALM", behind.realm.as_str());
        Diagnosis::of(inside).expect_first(
            "token.signature",
            "failure",
            "they differ in a slash at the end",
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_no_fault_of_the_deployment() {
    let portcullis = Portcullis::up().await;
    let look = doctor_of(portcullis.origin()).input("not the password\n");
    Diagnosis::of(look)
        .expect_first("token.issued", "failure", "wrong username or password")
        .expect("token.accepted", "skipped", "there is no token");
}

#[tokio::test]
async fn who_may_not_push_is_told_so() {
    let portcullis = Portcullis::up().await;
    let password = "a long passphrase of hers\n";
    portcullis
        .accounts(["auth", "user", "create", "alice", "--password-stdin"])
        .input(password)
        .run()
        .expect_success();
    let command = super::doctor()
        .args([
            "--registry",
            portcullis.origin().as_str(),
            "--user",
            "alice",
        ])
        .args(["--password-stdin", "--repository", "admin/secret"])
        .input(password);
    Diagnosis::of(command)
        .expect("token.accepted", "ok", "")
        .expect_first("upload.open", "failure", "may not push to admin/secret")
        .expect("upload.open", "failure", "--repository");
}

#[tokio::test]
async fn a_registry_without_tokens_lets_everybody_in() {
    let folder = tempfile::tempdir().unwrap();
    let registry = super::others::registry(folder.path(), "auth: none\n").await;
    let command = super::doctor().args(["--registry", registry.origin().as_str()]);
    Diagnosis::of(command.args(["--repository", "some/app"]))
        .expect_first("registry.challenge", "warning", "lets everybody in")
        .expect("upload.cancelled", "ok", "nothing is left");
}
