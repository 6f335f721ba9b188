//! The document that explains error messages: its commands work, it knows every check, and what it
//! quotes is what clients say.

use std::os::unix::fs::symlink;

use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::tools::{Docker, EngineTrust};
use acceptance::{ADMIN_PASSWORD, Databases, Finished, Invocation, Pki};

use super::{Behind, trusting_machine};
use crate::documents::{commands, document};

const DOCUMENT: &str = "docs/troubleshooting.md";

#[tokio::test]
async fn the_doctor_is_asked_as_the_document_types_it() {
    let behind = Behind::start(Kind::Nginx, |setup, _| setup, |front, _| front).await;
    let machine = trusting_machine(&behind.pki, &behind.proxy.host());
    let folder = behind.portcullis.folder();
    let laptop = acceptance::Portcullis::up().await;

    let mut typed = commands(&document(DOCUMENT));
    // Those in containers are typed where there are some: see `compose`.
    typed.retain(|line| !line.starts_with("docker compose "));
    assert_eq!(typed.len(), 4, "{typed:?}");
    let place = tempfile::tempdir().unwrap();
    for file in ["registry.yml", "auth.yml"] {
        std::fs::copy(folder.join(file), place.path().join(file)).unwrap();
    }
    symlink(laptop.folder(), place.path().join("portcullis-data")).unwrap();
    for line in typed {
        let line = line
            .replace(
                "https://registry.example.com",
                behind.proxy.registry().as_str(),
            )
            .replace("--user alice", "--user admin --password-stdin");
        let words = line.strip_prefix("portcullis ").unwrap().split(' ');
        let mut command = Invocation::portcullis().args(words);
        if line.contains("--registry ") {
            command = command.arg("--ca-file").arg(behind.pki.root());
            for program in ["docker", "containerd"] {
                command = command
                    .arg(format!("--{program}-certs"))
                    .arg(machine.path().join(program));
            }
        }
        command
            .input(format!("{ADMIN_PASSWORD}\n"))
            .current_dir(place.path())
            .run()
            .expect_code(0)
            .expect_says(["All is well"]);
    }
}

#[tokio::test]
async fn the_document_knows_every_check() {
    let text = document(DOCUMENT);
    let behind = Behind::start(Kind::Nginx, |setup, _| setup, |front, _| front).await;
    let command = behind.with_configuration(behind.doctor());
    let diagnosis = super::Diagnosis::of(command);
    for finding in diagnosis.report["checks"].as_array().unwrap() {
        let check = finding["check"].as_str().unwrap();
        // The way to the realm is checked as the way to the registry.
        let name = check
            .replace("realm.dns", "registry.dns")
            .replace("realm.port", "registry.port");
        let name = name.replace("realm.tls", "registry.tls");
        assert!(
            text.contains(&format!("`{name}`")),
            "{check} is not in the document"
        );
    }
}

/// Docker says so, and the document explains it.
#[track_caller]
fn explained(said: &Finished, words: &str) {
    let both = format!("{}{}", said.stdout, said.stderr);
    assert!(both.contains(words), "should say {words:?}: {said}");
    let text = document(DOCUMENT);
    assert!(text.contains(words), "{words:?} is not in the document");
}

/// Makes a certificate for an address, or one that is wrong for it.
type Issue = fn(&Pki, &str) -> acceptance::pki::ServerCertificate;

#[tokio::test]
async fn what_docker_says_of_certificates_is_explained() {
    let docker = Docker::new();
    let login = |host: &str| docker.login(host, "admin", ADMIN_PASSWORD).expect_failure();
    let address = own_address().to_string();

    let behind = Behind::start(Kind::Nginx, |setup, _| setup, |front, _| front).await;
    explained(
        &login(&behind.proxy.host()),
        "x509: certificate signed by unknown authority",
    );
    let plain = acceptance::host(behind.proxy.http());
    explained(
        &login(&plain),
        "http: server gave HTTP response to HTTPS client",
    );

    let faults: [(Issue, &str); 3] = [
        (
            |pki, _| pki.server(["192.0.2.99"]).issue(),
            "x509: certificate is valid for ",
        ),
        (
            |pki, _| pki.server(["other.example.com"]).issue(),
            "because it doesn't contain any IP SANs",
        ),
        (
            |pki, name| pki.server([name]).valid_days(-9, -1).issue(),
            "x509: certificate has expired or is not yet valid",
        ),
    ];
    for (issue, words) in faults {
        let behind = Behind::start(
            Kind::Nginx,
            |setup, _| setup,
            |front, pki| front.certificate(issue(pki, &address)),
        )
        .await;
        let _trust = EngineTrust::new(&behind.proxy.host(), behind.pki.root_pem());
        explained(&login(&behind.proxy.host()), words);
    }
}

#[tokio::test]
async fn what_docker_says_of_logins_and_pushes_is_explained() {
    let docker = Docker::new();
    let behind = Behind::start(
        Kind::Nginx,
        |setup, _| setup.env("REGISTRY_AUTH_TOKEN_ISSUER", "somebody-else"),
        |front, _| front,
    )
    .await;
    let host = behind.proxy.host();
    let _trust = EngineTrust::new(&host, behind.pki.root_pem());
    let said = docker.login(&host, "admin", "not the password");
    explained(&said, "unauthorized: wrong username or password");
    let said = docker.login(&host, "admin", ADMIN_PASSWORD);
    explained(&said, "failed with status: 401 Unauthorized");

    let pki = Pki::new();
    let front = Front::new(Kind::Nginx, Variant::TwoHosts)
        .at(own_address())
        .replace(
            "portcullis/proxy.conf",
            "client_max_body_size      0;",
            "client_max_body_size 1m;",
        );
    let portcullis = front.servers(Databases::Sqlite).start().await;
    let proxy = front.start(&pki, &portcullis).await;
    let _trust = EngineTrust::new(&proxy.host(), pki.root_pem());
    let image = docker.build_with(&format!("{}/admin/app:1", proxy.host()), 3_000_000);
    let push = || docker.command(["push", &image.name]).run().expect_failure();
    explained(
        &push(),
        "denied: requested access to the resource is denied",
    );
    docker
        .login(&proxy.host(), "admin", ADMIN_PASSWORD)
        .expect_success();
    explained(&push(), "413 Request Entity Too Large");
}
