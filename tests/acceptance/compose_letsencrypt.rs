//! The compose file with a certificate by an ACME authority, which asks for it at port 80 as Let's Encrypt
//! does: ordered, served, renewed under load, and ordered from another one.

use std::fs;
use std::time::{Duration, Instant};

use acceptance::acme::{Authority, Checks};
use acceptance::compose::Deployment;
use acceptance::tools::Docker;

use crate::compose_restarts::Load;
use crate::documents::{blocks, commands, document};

const DAY: u32 = 86_400;

/// The document's settings, with the names of the test environment.
fn documented(deployment: Deployment) -> Deployment {
    let text = document("docs/letsencrypt.md");
    let settings = blocks(&text, "ini")[0].clone();
    let here = |value: &str| {
        value
            .replace("auth.example.com", &deployment.auth_host())
            .replace("registry.example.com", &deployment.registry_host())
    };
    let settings: Vec<_> = settings
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), here(value)))
        .collect();
    assert_eq!(settings.len(), 4);
    settings
        .iter()
        .fold(deployment, |deployment, (name, value)| {
            deployment.set(name, value)
        })
}

/// Two authorities of certificates, and what asks them trusts both.
async fn authorities(deployment: &Deployment) -> [Authority; 2] {
    let address = std::env::var("PORTCULLIS_TEST_ADDRESS").unwrap();
    let address = address.parse().unwrap();
    let mut authorities = [Authority::new(address).await, Authority::new(address).await];
    let mut trusted = String::new();
    for authority in &mut authorities {
        let checks = Checks {
            http: deployment.http_port(),
            tls: 1,
            validity: 90 * DAY,
        };
        authority.start(checks).await;
        trusted += &fs::read_to_string(authority.trust()).unwrap();
    }
    fs::write(deployment.path().join("trusted.pem"), trusted).unwrap();
    let trust = "services:
  certbot:
    environment: {REQUESTS_CA_BUNDLE: /trusted.pem}
    volumes: [./trusted.pem:/trusted.pem:ro]
";
    fs::write(deployment.path().join("trust.yml"), trust).unwrap();
    authorities
}

/// The certificate that the proxy shows to one who trusts this root alone.
async fn shown(deployment: &Deployment, root: &str) -> Option<Vec<u8>> {
    let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([root])
        .tls_info(true)
        .build()
        .unwrap();
    let answer = http.get(deployment.origin()).send().await.ok()?;
    let info: &reqwest::tls::TlsInfo = answer.extensions().get().unwrap();
    info.peer_certificate().map(<[u8]>::to_vec)
}

async fn another(deployment: &Deployment, root: &str, old: Option<&Vec<u8>>) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(certificate) = shown(deployment, root).await
            && Some(&certificate) != old
        {
            return certificate;
        }
        assert!(Instant::now() < deadline, "it is not served");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn type_in(deployment: &Deployment, line: &str) -> String {
    let shell = deployment.docker().shell(line);
    let done = shell.current_dir(deployment.path()).run().expect_success();
    done.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_ordered_served_and_renewed_and_no_request_is_lost() {
    let deployment = Deployment::new(&[]);
    let [trials, real] = authorities(&deployment).await;
    let deployment = documented(deployment);
    let files = "docker-compose.yml:compose/letsencrypt.yml:trust.yml:compose/sqlite.yml";
    let mut deployment = deployment
        .set("COMPOSE_FILE", files)
        .set("PORTCULLIS_ACME_SERVER", &trials.directory());

    let typed = commands(&document("docs/letsencrypt.md"));
    assert_eq!(typed.len(), 2);
    for line in &typed {
        let said = type_in(&deployment, line);
        if line.contains("logs") {
            assert!(said.contains("Successfully received certificate"), "{said}");
        }
    }
    another(&deployment, &trials.root().await, None).await;

    // The trial is over: another authority is asked at once, though the certificate would be good for long.
    deployment = deployment.set("PORTCULLIS_ACME_SERVER", &real.directory());
    type_in(&deployment, &typed[0]);
    let root = real.root().await;
    let first = another(&deployment, &root, None).await;
    deployment.trust(&root);
    let (docker, registry) = (Docker::new(), deployment.registry());
    let password = deployment.admin_password();
    docker.login(&registry, "admin", &password).expect_success();
    let image = docker.build(&format!("{registry}/admin/hello:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);

    let load = Load::start(&deployment.client(&root).login("admin", &password), 4);
    load.flows(5).await;
    let renew = "exec --no-TTY certbot certbot renew --force-renewal --no-random-sleep-on-renew";
    deployment.run(renew.split(' '));
    let renewed = another(&deployment, &root, Some(&first)).await;
    load.flows(5).await;
    load.end().await;

    // What is there is kept, by everything that looks at it at a start.
    type_in(&deployment, "docker compose restart certbot");
    type_in(&deployment, &typed[0]);
    let deadline = Instant::now() + Duration::from_mins(1);
    let log = || deployment.run(["logs", "certbot"]).stdout;
    while !log().contains("not yet due for renewal") {
        assert!(Instant::now() < deadline, "{}", log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(shown(&deployment, &root).await.unwrap(), renewed);
    assert_eq!(log().matches("Successfully received").count(), 1);
}
