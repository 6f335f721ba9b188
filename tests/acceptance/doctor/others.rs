//! Registries and issuers that are not ours.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use acceptance::peers::DockerRegistry;
use acceptance::tokens::{ForeignIssuer, claims};
use acceptance::{Image, Invocation, Launch, Portcullis, Process, Ready};
use serde_json::json;
use url::Url;

use super::{Diagnosis, doctor, doctor_of};

/// A token endpoint that gives everybody the same token, as GitLab answers. It has a thread of its
/// own: tests wait for the doctor without giving way.
pub struct TokenServer {
    url: Url,
}

impl TokenServer {
    pub fn handing_out(token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwt/auth", listener.local_addr().unwrap());
        let body = json!({ "token": token }).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        // It ends with the test, which has its process to itself.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 8192]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self {
            url: url.parse().unwrap(),
        }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// The configuration of a registry of ours, with this at its end.
pub fn write_registry(folder: &Path, settings: &str) -> PathBuf {
    let file = folder.join("registry.yml");
    let blobs = folder.join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n\
         {settings}",
        blobs.display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// A registry of ours, alone.
pub async fn registry(folder: &Path, settings: &str) -> Process {
    let file = write_registry(folder, settings);
    Process::start(Launch {
        invocation: Invocation::portcullis()
            .args(["registry", "serve"])
            .arg(file),
        log: folder.join("log"),
        ready: Ready::Announced,
    })
    .await
}

fn tokens_of(issuer: &ForeignIssuer, realm: &Url) -> String {
    format!(
        "auth:\n  token:\n    realm: {realm}\n    service: registry\n    issuer: gitlab-issuer\n    \
         rootcertbundle: {}\n",
        issuer.certificate().display()
    )
}

/// A registry of ours behind this issuer.
pub async fn registry_believing(folder: &Path, issuer: &ForeignIssuer, realm: &Url) -> Process {
    registry(folder, &tokens_of(issuer, realm)).await
}

/// Debian's `docker-registry` behind our gatekeeper.
async fn distribution_behind(portcullis: &Portcullis, issuer: &str) -> DockerRegistry {
    let realm = portcullis.auth_origin().join("auth/token").unwrap();
    let bundle = portcullis.folder().join("keys/bundle.pem");
    DockerRegistry::with_token_auth(&realm, "portcullis-registry", issuer, &bundle).await
}

#[tokio::test]
async fn distribution_behind_our_gatekeeper_is_well() {
    let portcullis = Portcullis::up().await;
    let peer = distribution_behind(&portcullis, "portcullis-auth").await;
    let client = acceptance::Client::new(peer.origin());
    let repository = client
        .login("admin", acceptance::ADMIN_PASSWORD)
        .repository("admin/app");
    repository.push(&Image::docker(), "1").await;

    let command = doctor_of(peer.origin()).args(["--repository", "admin/app"]);
    let diagnosis = Diagnosis::of(command);
    assert_eq!(diagnosis.report["status"], "ok", "{}", diagnosis.finished);
    for check in [
        "registry.authorization",
        "token.accepted",
        "upload.location",
        "upload.size",
        "upload.resume",
        "upload.streaming",
        "upload.cancelled",
        "download.range",
    ] {
        diagnosis.expect(check, "ok", "");
    }
}

#[tokio::test]
async fn distribution_that_believes_another_issuer_is_told_apart_from_one_that_gets_nothing() {
    let portcullis = Portcullis::up().await;
    let peer = distribution_behind(&portcullis, "somebody-else").await;
    Diagnosis::of(doctor_of(peer.origin()))
        .expect("registry.authorization", "ok", "arrives")
        .expect_first("token.accepted", "failure", "arrived and was refused")
        .expect("token.accepted", "failure", "to \"portcullis-auth\"");
}

#[tokio::test]
async fn our_registry_behind_gitlab_is_well() {
    let issuer = ForeignIssuer::new();
    let access = json!([
        {"type": "repository", "name": "group/app", "actions": ["pull", "push", "delete"]}
    ]);
    let token = issuer.gitlab_token(&claims("gitlab-issuer", "registry", &access));
    let realm = TokenServer::handing_out(&token);
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_believing(folder.path(), &issuer, realm.url()).await;

    let command = doctor_of(registry.origin())
        .args(["--repository", "group/app", "--registry-config"])
        .arg(folder.path().join("registry.yml"));
    let diagnosis = Diagnosis::of(command);
    assert_eq!(diagnosis.report["status"], "ok", "{}", diagnosis.finished);
    diagnosis
        .expect("registry.bundle", "ok", "CN=gitlab-issuer")
        .expect("token.form", "ok", "RS256")
        .expect("token.signature", "ok", "signed by key")
        .expect("upload.cancelled", "ok", "nothing is left");
}

#[tokio::test]
async fn a_bundle_without_the_issuers_key_is_named() {
    let (issuer, other) = (ForeignIssuer::new(), ForeignIssuer::new());
    let token = issuer.gitlab_token(&claims("gitlab-issuer", "registry", &json!([])));
    let realm = TokenServer::handing_out(&token);
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_believing(folder.path(), &other, realm.url()).await;

    let origin = registry.origin().as_str();
    let inside = doctor()
        .args(["--registry", origin, "--registry-config"])
        .arg(folder.path().join("registry.yml"));
    Diagnosis::of(inside)
        .expect_first("token.signature", "failure", "which is not in ")
        .expect("token.signature", "failure", "`auth.token.rootcertbundle`")
        .expect("token.accepted", "failure", "refused");
    Diagnosis::of(doctor().args(["--registry", origin]))
        .expect("token.signature", "skipped", "--registry-config")
        .expect_first("token.accepted", "failure", "`auth.token.rootcertbundle`");
}

#[tokio::test]
async fn an_issuer_for_another_service_is_named() {
    let issuer = ForeignIssuer::new();
    let token = issuer.gitlab_token(&claims("gitlab-issuer", "Registry", &json!([])));
    let realm = TokenServer::handing_out(&token);
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_believing(folder.path(), &issuer, realm.url()).await;
    Diagnosis::of(doctor().args(["--registry", registry.origin().as_str()]))
        .expect_first(
            "token.service",
            "failure",
            "they differ in upper and lower case",
        )
        .expect("token.service", "failure", "`auth.token.service`");
}
