//! TLS, HTTP/2, redirects, and what is said when a server is down.

use std::time::Duration;

use acceptance::proxy::{Front, Kind, Proxy, Variant};
use acceptance::{Client, Finished, Image, Invocation, Pki};
use reqwest::Version;

use super::Behind;

/// A handshake as OpenSSL does it.
fn handshake(proxy: &Proxy, pki: &Pki, options: &[&str]) -> Finished {
    let port = proxy.registry().port().unwrap();
    Invocation::new("openssl")
        .args([
            "s_client",
            "-verify_return_error",
            "-servername",
            "registry.example.com",
        ])
        .args(["-connect", &format!("127.0.0.1:{port}"), "-CAfile"])
        .arg(pki.root())
        .args(options)
        .input("Q\n")
        .run()
}

/// Without TLS, at the same names.
fn plain(behind: &Behind) -> Client {
    let http = behind.proxy.resolving(reqwest::Client::builder());
    Client::with_http(behind.proxy.http(), http)
}

#[tokio::test]
async fn only_tls_of_today_is_spoken_and_the_chain_is_complete() {
    let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    let pki = Pki::new();
    let nobody = "http://127.0.0.1:1".parse().unwrap();
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let front = Front::new(kind, variant);
            let proxy = front.start_before(&pki, &nobody, &nobody).await;
            for version in ["-tls1_2", "-tls1_3"] {
                handshake(&proxy, &pki, &[version])
                    .expect_success()
                    .expect_says(["Verify return code: 0 (ok)"]);
            }
            handshake(&proxy, &pki, &old).expect_failure();
            // Of the older kinds of keys exchanged, none keeps a recording secret.
            let old_keys = ["-tls1_2", "-cipher", "AES128-SHA256:AES256-GCM-SHA384"];
            handshake(&proxy, &pki, &old_keys).expect_failure();
        }
    }
    // The same client gets in where the old version is spoken.
    let front = Front::new(Kind::Nginx, Variant::TwoHosts).edit("portcullis/tls.conf", |text| {
        let ciphers = text.lines().find(|line| line.starts_with("ssl_ciphers"));
        text.replace("TLSv1.2 TLSv1.3", "TLSv1.1")
            .replace(ciphers.unwrap(), "ssl_ciphers ALL:@SECLEVEL=0;")
    });
    let behind = Behind::start(front).await;
    handshake(&behind.proxy, &behind.pki, &old).expect_success();
}

#[tokio::test]
async fn http2_is_offered_and_browsers_are_told_to_stay_with_tls() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let behind = Behind::start(Front::new(kind, variant)).await;
            let http = behind
                .proxy
                .resolving(behind.pki.trusting())
                .build()
                .unwrap();
            for url in [
                behind.proxy.registry().join("/v2/").unwrap(),
                behind.proxy.auth().clone(),
            ] {
                let answer = http.get(url.clone()).send().await.unwrap();
                assert_eq!(answer.version(), Version::HTTP_2, "{kind:?} {url}");
                let sent: Vec<_> = answer
                    .headers()
                    .get_all("strict-transport-security")
                    .iter()
                    .collect();
                assert_eq!(sent, ["max-age=31536000"], "{kind:?} {url}");
            }
        }
    }
}

#[tokio::test]
async fn plain_http_is_sent_to_tls() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let behind = Behind::start(Front::new(kind, variant)).await;
            let client = plain(&behind);
            for path in ["/v2/", "/v2/_catalog?n=5&last=a%2Fb", "/"] {
                let answer = client.get(path).send().await.expect(308);
                let secure = format!("https://{}{path}", behind.proxy.host());
                assert_eq!(answer.header("location"), secure, "{kind:?}");
            }
            // An ACME client's question is answered here, or the first certificate never comes.
            let question = client
                .get("/.well-known/acme-challenge/nothing")
                .send()
                .await;
            question.expect(404);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_named() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let mut behind = Behind::start(Front::new(kind, variant)).await;
            let repository = behind.admin().repository("admin/app");
            repository.push(&Image::random(), "1").await;
            let client = behind.anonymous();
            behind.portcullis.kill();

            // Apache says 503 where nothing listens.
            let status = if kind == Kind::Nginx { 502 } else { 503 };
            for call in [
                repository.get("manifests/1"),
                repository.post("blobs/uploads/"),
            ] {
                let answer = call.send().await.expect_error(status, "UNAVAILABLE");
                assert!(
                    answer.json().to_string().contains("the registry"),
                    "{answer}"
                );
                answer.expect_header("strict-transport-security", "max-age=31536000");
            }
            // The other one goes on.
            let token = format!(
                "{}jwt/auth?service=portcullis-registry",
                behind.proxy.auth().path()
            );
            let auth = Client::with_http(
                behind.proxy.auth(),
                behind.proxy.resolving(behind.pki.trusting()),
            );
            auth.get(&token).send().await.expect(200);

            // It is asked again at once when it is back.
            behind.portcullis.start_again().await;
            client.get("/v2/").send().await.expect(401);
            repository.get("manifests/1").send().await.expect(200);
        }
    }
}

#[tokio::test]
async fn an_auth_server_that_is_down_is_named() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let pki = Pki::new();
            let front = Front::new(kind, variant);
            let nobody = "http://127.0.0.1:1".parse().unwrap();
            let proxy = front.start_before(&pki, &nobody, &nobody).await;
            let auth = Client::with_http(proxy.auth(), proxy.resolving(pki.trusting()));
            let path = format!("{}jwt/auth", proxy.auth().path());
            let status = if kind == Kind::Nginx { 502 } else { 503 };
            let answer = auth.get(&path).send().await;
            let answer = answer.expect_error(status, "UNAVAILABLE");
            answer.expect_header("strict-transport-security", "max-age=31536000");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_named() {
    // Takes connections and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let silent = silent.parse().unwrap();
    let nginx = (
        "proxy_read_timeout        900s",
        "proxy_read_timeout 1s",
        504,
    );
    // Apache counts it as a bad answer.
    let apache = ("ProxyTimeout 900", "ProxyTimeout 1", 502);
    for (kind, (patience, less, status)) in [(Kind::Nginx, nginx), (Kind::Apache, apache)] {
        for variant in Variant::ALL {
            let pki = Pki::new();
            let front = Front::new(kind, variant);
            let front = front.replace("portcullis/proxy.conf", patience, less);
            let proxy = front.start_before(&pki, &silent, &silent).await;
            let client = proxy.client(&pki);
            let realm = format!("{}jwt/auth", proxy.auth());
            for path in ["/v2/", &realm] {
                let answer = client.get(path).send().await;
                answer.expect_error(status, "UNAVAILABLE");
            }
        }
    }
}

/// What a server itself says is not replaced.
#[tokio::test]
async fn errors_of_the_servers_pass_through() {
    for kind in Kind::ALL {
        let behind = Behind::start(Front::new(kind, Variant::OneHost)).await;
        let answer = behind.anonymous().get("/v2/").send().await;
        answer.expect_error(401, "UNAUTHORIZED");
        let repository = behind.admin().repository("admin/app");
        let answer = repository.get("manifests/none").send().await;
        answer.expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_losing_a_request() {
    for kind in Kind::ALL {
        let pki = Pki::new();
        let names = ["registry.example.com"];
        let expired = pki.server(names).valid_days(-60, -30).issue();
        let front = Front::new(kind, Variant::OneHost).certificate(expired.clone());
        let portcullis = front.servers(acceptance::Databases::Sqlite).start().await;
        let proxy = front.start(&pki, &portcullis).await;
        let refused = proxy.client(&pki).get("/v2/").try_send().await;
        assert!(
            refused.is_err(),
            "{kind:?}: an expired certificate was believed"
        );

        // As certbot does it: new content in the old place, and a reload.
        let renewed = pki.server(names).issue();
        std::fs::copy(&renewed.certificate, &expired.certificate).unwrap();
        std::fs::copy(&renewed.key, &expired.key).unwrap();
        proxy.reload();
        let answered = async {
            while proxy.client(&pki).get("/v2/").try_send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answered)
            .await
            .expect("the new certificate is used");
    }
}
