//! Blobs that the proxy sends by itself, and who gets at them.

use acceptance::proxy::{Front, Kind, Variant};
use acceptance::{ADMIN_PASSWORD, Answer, Blob, Client, Databases, Pki, Repository, Setup};

use super::Behind;

/// Larger than what the registry answers from memory.
const LARGE: usize = 1 << 20;

/// What a client can claim to get a hand-over of its own.
const OFFERS: [&str; 2] = ["X-Accel-Redirect", "X-Sendfile"];

fn header_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Nginx => "x-accel-redirect",
        Kind::Apache => "x-sendfile",
    }
}

async fn with_blob(kind: Kind) -> (Behind, Repository, Blob) {
    with_blob_behind(kind, Variant::TwoHosts).await
}

pub async fn with_blob_behind(kind: Kind, variant: Variant) -> (Behind, Repository, Blob) {
    let front = Front::new(kind, variant).sending_blobs();
    let behind = Behind::start(front).await;
    let repository = behind.admin().repository("admin/app");
    let blob = Blob::random(LARGE);
    repository.push_blob(&blob).await;
    (behind, repository, blob)
}

fn expect_described(answer: &Answer, blob: &Blob) {
    assert_eq!(answer.header("docker-content-digest"), blob.digest);
    assert_eq!(answer.header("etag"), format!("\"{}\"", blob.digest));
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("cache-control"), "max-age=31536000");
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        "registry/2.0"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.has("x-request-id"), "{answer}");
    for header in ["strict-transport-security", "etag", "docker-content-digest"] {
        assert_eq!(answer.headers.get_all(header).iter().count(), 1, "{answer}");
    }
    for header in ["x-accel-redirect", "x-sendfile"] {
        assert!(!answer.has(header), "{answer}");
    }
}

/// The lines of the access log about a blob.
fn log_of(behind: &Behind, blob: &Blob) -> Vec<String> {
    let log = behind.portcullis.log();
    let lines = log.lines().filter(|line| line.contains(&blob.digest));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_proxy_sends_what_the_registry_allowed() {
    for kind in Kind::ALL {
        let (behind, repository, blob) = with_blob(kind).await;
        let path = format!("blobs/{}", blob.digest);

        let whole = repository.get(&path).send().await.expect(200);
        assert!(
            whole.body == blob.bytes,
            "{kind:?} sends {} bytes",
            whole.body.len()
        );
        expect_described(&whole, &blob);

        let last = repository
            .get(&path)
            .header("range", &format!("bytes={}-", LARGE / 4));
        let last = last.send().await.expect(206);
        assert_eq!(last.body, blob.bytes.slice(LARGE / 4..));
        expect_described(&last, &blob);
        let content_range = format!("bytes {}-{}/{LARGE}", LARGE / 4, LARGE - 1);
        assert_eq!(last.header("content-range"), content_range);

        let tag = format!("\"{}\"", blob.digest);
        for (condition, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
            let call = repository.get(&path).header("range", "bytes=0-524287");
            call.header("if-range", condition)
                .send()
                .await
                .expect(status);
        }
        let call = repository.get(&path).header("range", "bytes=0-9,20-99999");
        assert_eq!(call.send().await.expect(200).body, blob.bytes);
        let call = repository
            .get(&path)
            .header("range", &format!("bytes={LARGE}-"));
        call.send().await.expect(416);
        let call = repository.get(&path).header("if-none-match", &tag);
        call.send().await.expect(304);
        let call = repository
            .get(&path)
            .header("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT");
        call.send().await.expect(200);

        let head = repository.head(&path).send().await.expect(200);
        expect_described(&head, &blob);
        assert_eq!(head.header("content-length"), LARGE.to_string());
        assert!(head.body.is_empty());

        // Counted as if it had sent them: the whole one, and three quarters.
        let log = log_of(&behind, &blob);
        for bytes in [LARGE, LARGE / 4 * 3] {
            let bytes = format!("bytes={bytes} ");
            assert!(log.iter().any(|line| line.contains(&bytes)), "{log:#?}");
        }
    }
}

/// The same answer from the registry itself, without a proxy to tell that it was handed over: or
/// the tests above would pass without a hand-over.
#[tokio::test]
async fn only_a_trusted_proxy_that_offers_it_gets_a_path() {
    let offer = |call: acceptance::client::Call, kind: Kind| {
        call.header("x-sendfile-type", header_of(kind))
    };
    for kind in Kind::ALL {
        let setup = Front::new(kind, Variant::TwoHosts)
            .sending_blobs()
            .servers(Databases::Sqlite);
        let setup = setup.env("REGISTRY_AUTH_TOKEN_REALM", "http://127.0.0.1:1/none");
        let trusting = setup.clone().start().await;
        let distrusting = setup
            .env("REGISTRY_HTTP_TRUSTEDPROXIES", "[192.0.2.99]")
            .start()
            .await;
        for (portcullis, trusts) in [(trusting, true), (distrusting, false)] {
            let auth = Client::new(portcullis.auth_origin()).login("admin", ADMIN_PASSWORD);
            let token = auth
                .get("/jwt/auth?service=portcullis-registry&scope=repository:admin/app:pull,push");
            let token = token
                .basic("admin", ADMIN_PASSWORD)
                .send()
                .await
                .expect(200);
            let token = token.json()["token"].as_str().unwrap().to_owned();
            let repository = portcullis
                .anonymous()
                .with_token(&token)
                .repository("admin/app");
            let blob = Blob::random(LARGE);
            repository.push_blob(&blob).await;
            let path = format!("blobs/{}", blob.digest);

            let offered = offer(repository.get(&path), kind).send().await.expect(200);
            if trusts {
                let (_, hex) = blob.digest.split_once(':').unwrap();
                let below = format!("/sha256/{}/{hex}/data", &hex[..2]);
                let named = offered.header(header_of(kind));
                assert!(named.ends_with(&below), "{offered}");
                assert!(offered.body.is_empty());
            } else {
                assert!(!offered.has(header_of(kind)), "{offered}");
                assert_eq!(offered.body, blob.bytes);
            }
            // Without an offer, and with an offer of something else, everybody gets the bytes.
            repository.expect_blob(&blob).await;
            for other in ["X-Lighttpd-Send-File", "", "X-Accel-Redirect, X-Sendfile"] {
                let call = repository.get(&path).header("x-sendfile-type", other);
                assert_eq!(call.send().await.expect(200).body, blob.bytes);
            }
            let twice = offer(offer(repository.get(&path), kind), kind);
            assert_eq!(twice.send().await.expect(200).body, blob.bytes);
            // What the proxy would decide by a date is decided here.
            let date = "Fri, 01 Jan 2100 00:00:00 GMT";
            let call = offer(repository.get(&path), kind).header("if-unmodified-since", date);
            assert_eq!(call.send().await.expect(200).body, blob.bytes);
        }
    }
}

#[tokio::test]
async fn nobody_is_handed_what_he_may_not_pull() {
    for kind in Kind::ALL {
        let (behind, _, blob) = with_blob(kind).await;
        let path = format!("/v2/admin/app/blobs/{}", blob.digest);
        for offer in OFFERS {
            let call = behind
                .anonymous()
                .get(&path)
                .header("x-sendfile-type", offer);
            let refused = call.send().await.expect(401);
            assert!(!refused.has("x-accel-redirect") && !refused.has("x-sendfile"));
        }
        // Nor is who may push elsewhere, or asks another repository for the same digest.
        let create = ["auth", "user", "create", "carol", "--password-stdin"];
        let create = behind.portcullis.accounts(create);
        create
            .input(format!("{ADMIN_PASSWORD}\n"))
            .run()
            .expect_success();
        let carol = behind.anonymous().login("carol", ADMIN_PASSWORD);
        let theirs = carol.repository("admin/app").get_blob(&blob.digest).await;
        theirs.expect_error(401, "UNAUTHORIZED");
        let own = carol.repository("carol/app");
        own.push_blob(&Blob::random(10)).await;
        let unknown = own.get_blob(&blob.digest).await;
        unknown.expect_error(404, "BLOB_UNKNOWN");
    }
}

/// A client's own offer does not reach the registry through a proxy that knows no hand-over.
#[tokio::test]
async fn a_forged_offer_gets_the_bytes_and_nothing_else() {
    for kind in Kind::ALL {
        let pki = Pki::new();
        let front = Front::new(kind, Variant::TwoHosts);
        let setup: Setup = front.servers(Databases::Sqlite);
        let header = if kind == Kind::Nginx {
            OFFERS[0]
        } else {
            OFFERS[1]
        };
        let portcullis = setup
            .env("REGISTRY_HTTP_SENDFILE_HEADER", header)
            .start()
            .await;
        let proxy = front.start(&pki, &portcullis).await;
        // HTTP/2 has no `Connection`.
        let client = proxy.client_with(&pki, reqwest::ClientBuilder::http1_only);
        let admin = client.login("admin", ADMIN_PASSWORD);
        let repository = admin.repository("admin/app");
        let blob = Blob::random(LARGE);
        repository.push_blob(&blob).await;
        let path = format!("blobs/{}", blob.digest);
        for connection in ["keep-alive", "close, x-sendfile-type"] {
            let call = repository.get(&path).header("x-sendfile-type", header);
            let answer = call
                .header("connection", connection)
                .send()
                .await
                .expect(200);
            assert_eq!(answer.body, blob.bytes);
            expect_described(&answer, &blob);
        }
    }
}

#[tokio::test]
async fn no_bytes_are_sent_before_all_are_there() {
    for kind in Kind::ALL {
        let behind = Behind::start(Front::new(kind, Variant::TwoHosts).sending_blobs()).await;
        let repository = behind.admin().repository("admin/app");
        let blob = Blob::random(LARGE);
        let unknown = async || {
            let answer = repository.get_blob(&blob.digest).await;
            answer.expect_error(404, "BLOB_UNKNOWN");
        };
        let mut upload = repository.start_upload().await;
        upload
            .append(blob.bytes.slice(..LARGE / 2))
            .await
            .expect(202);
        unknown().await;
        let refused = upload.finish(&blob.digest).await;
        refused.expect_error(400, "DIGEST_INVALID");
        unknown().await;
        repository.push_blob(&blob).await;
        repository.expect_blob(&blob).await;
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_read_the_blob_says_so() {
    let (behind, repository, blob) = with_blob(Kind::Nginx).await;
    let (_, hex) = blob.digest.split_once(':').unwrap();
    let file = behind
        .portcullis
        .blob_folder()
        .join(format!("sha256/{}/{hex}/data", &hex[..2]));
    // The registry keeps it open for a moment.
    repository.expect_blob(&blob).await;
    std::fs::rename(&file, file.with_extension("elsewhere")).unwrap();
    let answer = repository.get_blob(&blob.digest).await;
    let answer = answer.expect_error(502, "UNAVAILABLE");
    assert!(
        answer.json().to_string().contains("cannot read the blob"),
        "{answer}"
    );
}
