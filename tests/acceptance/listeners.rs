//! What `http.tls` and `http.h2c` say about who may connect, and how.

use std::path::Path;

use acceptance::pki::ServerCertificate;
use acceptance::served::{Configured, OPEN_REGISTRY, Served};
use acceptance::{Finished, Invocation, Pki};

const HOST: &str = "registry.example.com";

/// A registry with a certificate for that host, and these lines below `http.tls`.
async fn registry(certificate: &ServerCertificate, lines: &[String]) -> Served {
    let mut tls = format!(
        "  addr: 127.0.0.1:0\n  tls:\n    certificate: {}\n    key: {}\n",
        certificate.certificate.display(),
        certificate.key.display()
    );
    for line in lines {
        tls.extend(["    ", line, "\n"]);
    }
    Configured::registry(&OPEN_REGISTRY.replace("  addr: 127.0.0.1:0\n", &tls))
        .start()
        .await
}

/// `curl` at the registry, as one who trusts its authority; prints status and version of HTTP.
fn curl(pki: &Pki, registry: &Served, arguments: &[&str]) -> Finished {
    let port = registry.origin().port().unwrap();
    Invocation::new("curl")
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
        ])
        .arg("--cacert")
        .arg(pki.root())
        .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")])
        .args(arguments.iter().copied())
        .arg(format!("https://{HOST}:{port}/v2/"))
        .run()
}

/// An authority for clients and a client of it, in files `NAME-ca.pem`, `NAME.pem`, `NAME.key`.
pub fn client_of(name: &str, folder: &Path) {
    let script = format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name}-ca \
           -keyout {name}-ca.key -out {name}-ca.pem
         openssl req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr
         printf 'extendedKeyUsage=clientAuth\\nbasicConstraints=critical,CA:FALSE\\n' > {name}.ext
         openssl x509 -req -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial \
           -days 2 -extfile {name}.ext -out {name}.pem"
    );
    Invocation::new("bash")
        .args(["-ec", &script])
        .current_dir(folder)
        .run()
        .expect_success();
}

#[tokio::test]
async fn clients_show_certificates_as_it_is_asked() {
    let pki = Pki::new();
    let certificate = pki.server([HOST]).issue();
    let folder = tempfile::tempdir().unwrap();
    for name in ["ours", "theirs"] {
        client_of(name, folder.path());
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let shown = |name: &str| [path(&format!("{name}.pem")), path(&format!("{name}.key"))];
    let authorities = format!("clientcas: [{}]", path("ours-ca.pem"));
    for (clientauth, without) in [
        ("require-and-verify-client-cert", false),
        ("verify-client-cert-if-given", true),
    ] {
        let lines = [authorities.clone(), format!("clientauth: {clientauth}")];
        let registry = registry(&certificate, &lines).await;
        let with = |name: &str| {
            let [pem, key] = shown(name);
            curl(&pki, &registry, &["--cert", &pem, "--key", &key])
        };
        with("ours").expect_success().expect_says(["200"]);
        with("theirs").expect_failure();
        let nobody = curl(&pki, &registry, &[]);
        assert_eq!(nobody.status.success(), without, "{clientauth}: {nobody}");
    }
    // As in distribution, authorities alone are enough to ask for one.
    let registry = registry(&certificate, &[authorities]).await;
    curl(&pki, &registry, &[]).expect_failure();
}

#[tokio::test]
async fn old_versions_are_spoken_as_far_as_it_is_allowed() {
    let pki = Pki::new();
    let certificate = pki.server([HOST]).issue();
    let strict = registry(&certificate, &["minimumtls: tls1.3".to_owned()]).await;
    curl(&pki, &strict, &["--tls-max", "1.2"]).expect_failure();
    curl(&pki, &strict, &[])
        .expect_success()
        .expect_says(["200 2"]);
    let usual = registry(&certificate, &[]).await;
    curl(&pki, &usual, &["--tls-max", "1.2"]).expect_success();
}

#[tokio::test]
async fn http_2_over_tls_can_be_switched_off() {
    let pki = Pki::new();
    let certificate = pki.server([HOST]).issue();
    let text = |disabled: bool| {
        OPEN_REGISTRY.replace(
            "  addr: 127.0.0.1:0\n",
            &format!(
                "  addr: 127.0.0.1:0\n  relativeurls: false\n  http2: {{disabled: {disabled}}}\n  \
                 tls: {{certificate: {}, key: {}}}\n",
                certificate.certificate.display(),
                certificate.key.display()
            ),
        )
    };
    for (disabled, version) in [(false, "200 2"), (true, "200 1.1")] {
        let mut registry = Configured::registry(&text(disabled)).start().await;
        let asked = curl(&pki, &registry, &["--http2"]).expect_success();
        assert_eq!(asked.stdout, version, "{asked}");
        // A push of some size, which is told to go on by TLS.
        let port = registry.origin().port().unwrap();
        let script = format!(
            "curl() {{ command curl -sS --cacert {} --resolve {HOST}:{port}:127.0.0.1 \"$@\"; }}
             head -c 5000000 /dev/zero > layer
             digest=sha256:$(sha256sum layer | cut -d' ' -f1)
             upload=$(curl -X POST -D - -o /dev/null https://{HOST}:{port}/v2/app/blobs/uploads/ |
               tr -d '\\r' | sed -n 's/^location: //Ip')
             case $upload in https://{HOST}:{port}/*) ;; *) echo \"$upload\"; exit 1 ;; esac
             curl -f -T layer \"$upload?digest=$digest\"
             curl -f https://{HOST}:{port}/v2/app/blobs/$digest | cmp - layer",
            pki.root().display()
        );
        let folder = tempfile::tempdir().unwrap();
        let pushed = Invocation::new("bash").args(["-ec", &script]);
        pushed.current_dir(folder.path()).run().expect_success();
        let ended = std::time::Instant::now();
        registry.process().stop().await;
        assert!(ended.elapsed() < std::time::Duration::from_secs(20));
    }
}

#[tokio::test]
async fn cipher_suites_are_those_that_are_named() {
    let pki = Pki::new();
    let certificate = pki.server([HOST]).issue();
    let suite = "ciphersuites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]".to_owned();
    let registry = registry(&certificate, &[suite]).await;
    for (suite, accepted) in [
        ("ECDHE-ECDSA-AES256-GCM-SHA384", true),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", false),
    ] {
        let asked = curl(&pki, &registry, &["--tls-max", "1.2", "--ciphers", suite]);
        assert_eq!(asked.status.success(), accepted, "{suite}: {asked}");
    }
}

#[tokio::test]
async fn http_2_without_tls_is_for_who_asks() {
    let text = OPEN_REGISTRY.replace("http:\n", "http:\n  h2c:\n    enabled: true\n");
    for (text, version) in [(text.as_str(), "2"), (OPEN_REGISTRY, "")] {
        let registry = Configured::registry(text).start().await;
        let asked = Invocation::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_version}"])
            .arg("--http2-prior-knowledge")
            .arg(format!("http://{}/v2/", registry.host()))
            .run();
        assert_eq!(asked.status.success(), !version.is_empty(), "{asked}");
        assert!(
            version.is_empty() || asked.stdout.contains(version),
            "{asked}"
        );
        registry.client().get("/v2/").send().await.expect(200);
    }
}
