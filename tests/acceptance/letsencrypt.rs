//! `http.tls.letsencrypt`: servers order their certificates by themselves, from an authority that looks
//! who asks.

use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use acceptance::acme::{Authority, Checks};
use acceptance::served::{Configured, OPEN_REGISTRY, Served};
use acceptance::tools::Docker;
use acceptance::{Finished, Invocation, Launch, Ready};
use rustix::process::Signal;

use crate::documents::{blocks, document, in_place};
use crate::listeners::client_of;

const DAY: u32 = 86_400;
/// Of validity. It is renewed when a third of them is left.
const SECONDS: u32 = 15;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// Asks by name, as one who trusts this root alone. Returns the certificate that was shown.
async fn shown(server: &Served, host: &str, root: &str) -> Result<Vec<u8>, reqwest::Error> {
    let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
    let port = server.origin().port().unwrap();
    let address = server.origin().host_str().unwrap().parse::<IpAddr>();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .tls_info(true)
        .resolve(host, (address.unwrap(), port).into())
        .build()
        .unwrap();
    let answer = client.get(format!("https://{host}:{port}/readyz"));
    let answer = answer.send().await?;
    assert_eq!(answer.status(), 200);
    let info: &reqwest::tls::TlsInfo = answer.extensions().get().unwrap();
    Ok(info.peer_certificate().unwrap().to_vec())
}

/// The same with `curl`, whoever is trusted.
fn curl(server: &Served, host: &str, arguments: &[&str]) -> Finished {
    let port = server.origin().port().unwrap();
    let address = server.origin().host_str().unwrap();
    Invocation::new("curl")
        .args([
            "-sS",
            "-v",
            "--resolve",
            &format!("{host}:{port}:{address}"),
        ])
        .args(arguments.iter().copied())
        .arg(format!("https://{host}:{port}/readyz"))
        .run()
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_certificate_is_ordered_shown_renewed_and_kept() {
    let domain = variable("PORTCULLIS_TEST_DOMAIN");
    let (host, other) = (format!("registry.{domain}"), format!("mirror.{domain}"));
    // To Docker it is not the loopback, where it would forgive everything.
    let address = variable("PORTCULLIS_TEST_ADDRESS");
    let mut authority = Authority::new(address.parse().unwrap()).await;
    let port = {
        let free = TcpListener::bind((address.as_str(), 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let documented = &blocks(&document("docs/letsencrypt.md"), "yaml")[0];
    let http = in_place(
        documented,
        &[
            // It comes back where the authority looks for it.
            (":443", &format!("{address}:{port}")),
            ("/var/lib/registry/letsencrypt.json", "acme.json"),
            ("admin@example.com", &format!("admin@{domain}")),
            ("registry.example.com", &format!("{host}, {other}")),
        ],
    );
    let http = format!("{http}      directoryurl: {}\n", authority.directory());
    let text = in_place(OPEN_REGISTRY, &[("http:\n  addr: 127.0.0.1:0\n", &http)]);
    let trust = authority.trust();
    let configured = Configured::registry(&text).env("SSL_CERT_FILE", trust.to_str().unwrap());
    let again = Launch {
        invocation: configured.invocation(),
        log: configured.folder().join("log"),
        ready: Ready::Announced,
    };
    let mut registry = configured.start().await;

    // Nobody is at the authority's address yet: the server serves, and says what it misses.
    let told = registry.logs(&["no certificate that clients trust"]).await;
    for part in [
        "cannot ask the authority",
        "refused",
        "`directoryurl`",
        "again_in=30s",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    curl(&registry, &host, &[]).expect_failure();
    curl(&registry, &host, &["--insecure"])
        .expect_success()
        .expect_says(["no certificate by the authority yet"]);

    let checks = |validity| Checks {
        http: 1,
        tls: port,
        validity,
    };
    authority.start(checks(SECONDS)).await;
    registry.process().signal(Signal::HUP);
    registry.logs(&["new certificate in use", &other]).await;
    let root = authority.root().await;
    let first = shown(&registry, &host, &root).await.unwrap();
    assert_eq!(shown(&registry, &other, &root).await.unwrap(), first);
    let mode = registry.path("acme.json").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    eventually("it is not renewed", async || {
        let next = shown(&registry, &host, &root).await.unwrap();
        (next != first).then_some(())
    })
    .await;

    // An authority that lost its accounts, and has another root.
    authority.start(checks(90 * DAY)).await;
    let root = authority.root().await;
    let last = eventually("it is not ordered anew", async || {
        // A renewal that came while nobody was there is tried again.
        registry.process().signal(Signal::HUP);
        shown(&registry, &host, &root).await.ok()
    })
    .await;
    registry.logs(&["making another"]).await;
    docker_trusts(&registry, &host, &root);

    // For another name, another certificate. The account is the same, with another address.
    let third = format!("third.{domain}");
    let admin = format!("admin@{domain}");
    let renamed = in_place(&text, &[(&other, &third), (&admin, "other@example.com")]);
    registry.process().stop().await;
    std::fs::write(registry.path("config.yml"), renamed).unwrap();
    registry.process().start_again(again.clone()).await;
    registry.logs(&["new certificate in use", &third]).await;
    let new = shown(&registry, &third, &root).await.unwrap();
    assert_ne!(new, last);
    shown(&registry, &other, &root).await.unwrap_err();
    let kept = std::fs::read_to_string(registry.path("acme.json")).unwrap();
    assert!(kept.contains("other@example.com") && !kept.contains(&admin));
    assert_eq!(registry.log().matches("making another").count(), 1);

    // The next start finds it, whether the authority is there or not.
    authority.stop();
    let orders = |registry: &Served| registry.log().matches("ordering a certificate").count();
    let before = orders(&registry);
    registry.process().stop().await;
    registry.process().start_again(again).await;
    assert_eq!(shown(&registry, &host, &root).await.unwrap(), new);
    assert_eq!(orders(&registry), before);
}

fn docker_trusts(registry: &Served, host: &str, root: &str) {
    let name = format!("{host}:{}", registry.origin().port().unwrap());
    let image = format!("{name}/app:1");
    let docker = Docker::new();
    docker.build_small(&image);
    docker.command(["push", &image]).run().expect_failure();
    let folder = Path::new("/etc/docker/certs.d").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.crt"), root).unwrap();
    let pushed = docker.command(["push", &image]).run();
    std::fs::remove_dir_all(folder).unwrap();
    pushed.expect_success();
}

/// The auth-server, by variables, which asks its clients for certificates. The authority has none.
#[tokio::test]
async fn who_is_not_found_is_told_why_and_tries_again() {
    const HOST: &str = "auth.example.com";
    let mut authority = Authority::new([127, 0, 0, 1].into()).await;
    let checks = |tls| Checks {
        http: 1,
        tls,
        validity: 90 * DAY,
    };
    authority.start(checks(1)).await;
    let configured = Configured::auth("{}\n");
    client_of("ours", configured.folder());
    let hosts = format!("[{HOST}]");
    let (directory, trust) = (authority.directory(), authority.trust());
    let auth = [
        ("AUTH_HTTP_ADDR", "127.0.0.1:0"),
        ("AUTH_DATABASE_URL", "sqlite:auth.sqlite"),
        ("AUTH_KEYS_PATH", "keys"),
        ("AUTH_HTTP_TLS_CLIENTCAS", "[ours-ca.pem]"),
        ("AUTH_HTTP_TLS_LETSENCRYPT_CACHEFILE", "acme.json"),
        ("AUTH_HTTP_TLS_LETSENCRYPT_HOSTS", hosts.as_str()),
        ("AUTH_HTTP_TLS_LETSENCRYPT_DIRECTORYURL", directory.as_str()),
        ("SSL_CERT_FILE", trust.to_str().unwrap()),
    ];
    let auth = auth.into_iter();
    let configured = auth.fold(configured, |configured, (name, value)| {
        configured.env(name, value)
    });
    let mut auth = configured.start().await;
    let told = auth.logs(&["no certificate that clients trust"]).await;
    for part in [
        "cannot confirm auth.example.com",
        "port 443",
        "again_in=300s",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    authority.start(checks(auth.origin().port().unwrap())).await;
    auth.process().signal(Signal::HUP);
    auth.logs(&["new certificate in use", HOST]).await;
    let root = auth.path("root.pem");
    std::fs::write(&root, authority.root().await).unwrap();
    let trusting = ["--cacert", root.to_str().unwrap()];
    curl(&auth, HOST, &trusting).expect_failure();
    let files = ["ours.pem", "ours.key"].map(|name| auth.path(name).display().to_string());
    let [certificate, key] = &files;
    let ours = [&trusting[..], &["--cert", certificate, "--key", key]].concat();
    curl(&auth, HOST, &ours).expect_success();
}

#[test]
fn what_cannot_work_does_not_start() {
    for (section, says) in [
        ("{cachefile: acme.json, hosts: []}", "name the hosts"),
        (
            "{cachefile: acme.json, hosts: ['*.a.test']}",
            "stands for many",
        ),
        (
            "{cachefile: acme.json, hosts: [192.0.2.1]}",
            "is an address",
        ),
        (
            "{cachefile: none/acme.json, hosts: [a.test]}",
            "cannot write",
        ),
        ("{cachefile: config.yml, hosts: [a.test]}", "is no cache"),
        (
            "{cachefile: acme.json, hosts: [a.test]}, certificate: a, key: b",
            "not both",
        ),
    ] {
        let tls = format!("  addr: 127.0.0.1:0\n  tls: {{letsencrypt: {section}}}\n");
        let text = OPEN_REGISTRY.replace("  addr: 127.0.0.1:0\n", &tls);
        let refused = Configured::registry(&text).invocation().run();
        refused.expect_code(2).expect_says(["http.tls", says]);
    }
}
