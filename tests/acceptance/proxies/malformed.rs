//! Requests that proxy and server might read differently, and ones that are too long.

use acceptance::proxy::{Front, Kind, Variant};
use acceptance::{ADMIN_PASSWORD, Client, Invocation};

use super::Behind;

/// A request that must not come out of the body of another, or must be the client's own.
const SECOND: &str = "GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: registry.example.com\r\nConnection: close\r\n\r\n";

/// Heads that say twice, or unclearly, where their body ends.
const AMBIGUOUS: [&str; 14] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked, identity\r\n",
    "Content-Length: 5\r\nTransfer-Encoding:\x0bchunked\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    "Content-Length: 5\r\nX: y\rTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 0\r\n",
    "Content-Length: 5, 0\r\n",
    "Content-Length: +5\r\n",
    "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n",
];

/// Says all of it on a connection of its own, and returns what was answered.
fn say(behind: &Behind, text: &str) -> String {
    let port = behind.proxy.registry().port().unwrap();
    let answered = Invocation::new("timeout")
        .args(["5", "openssl", "s_client", "-quiet"])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .args(["-servername", "registry.example.com"])
        .input(text)
        .run();
    answered.stdout
}

fn mentions(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

#[tokio::test]
async fn no_request_hides_in_the_body_of_another() {
    for kind in Kind::ALL {
        let behind = Behind::start(Front::new(kind, Variant::OneHost)).await;
        // What is found there by who looks for it.
        say(&behind, SECOND);
        assert_eq!(mentions(&behind.portcullis.log(), "smuggled"), 1);
        for framing in AMBIGUOUS {
            for path in ["/v2/admin/app/blobs/uploads/", "/jwt/auth"] {
                let answers = say(
                    &behind,
                    &format!(
                        "POST {path} HTTP/1.1\r\nHost: registry.example.com\r\n{framing}\r\n0\r\n\r\n{SECOND}"
                    ),
                );
                let refused = ["HTTP/1.1 4", "HTTP/1.1 501 "]
                    .iter()
                    .any(|status| answers.starts_with(status));
                assert!(refused, "{kind:?}: {framing:?}: {answers}");
                // The next one gets its own answer.
                let answer = behind.anonymous().get("/v2/").send().await;
                answer.expect_error(401, "UNAUTHORIZED");
            }
        }
        // Where the proxy itself read a second request, it is the client's; no server read more.
        let read = mentions(&behind.proxy.access_log(), "/v2/smuggled/");
        let passed = mentions(&behind.portcullis.log(), "/v2/smuggled/");
        assert!(passed <= read, "{kind:?}: {passed} of {read}");
    }
}

#[tokio::test]
async fn a_token_for_many_repositories_passes_and_what_no_token_is_does_not() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let behind = Behind::start(Front::new(kind, variant)).await;
            let scopes: Vec<String> = (0..90)
                .map(|number| {
                    format!("repository:admin/a-project-with-a-long-name/application-{number}:pull,push,delete")
                })
                .collect();
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            for http1 in [true, false] {
                let client = behind.proxy.client_with(&behind.pki, |builder| {
                    if http1 { builder.http1_only() } else { builder }
                });
                let token = client.login("admin", ADMIN_PASSWORD).token(&scopes).await;
                assert!(token.len() > 16_000, "{}", token.len());
                let ask = async |client: Client| client.get("/v2/").send().await;
                ask(client.with_token(&token)).await.expect(200);

                let endless = "a".repeat(100_000);
                let asked = client.with_token(&endless).get("/v2/").try_send().await;
                if let Ok(answer) = asked {
                    assert!(answer.status.is_client_error(), "{kind:?}: {answer}");
                }
                ask(client).await.expect(401);
            }
        }
    }
}
