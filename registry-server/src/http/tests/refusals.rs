use std::io;

use actix_web::http::Method;
use registry_token::Actions;
use serde_json::json;

use crate::config::LocationBase;
use crate::http::error::Error;
use crate::oci::MAX_MANIFEST_BYTES;
use crate::registry::{self, Interrupted, Rules};
use crate::testing::{TestRegistry, image};

const DIGEST: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

async fn open() -> (TestRegistry, String) {
    let registry = TestRegistry::new().await;
    let token = registry.token(&[("a", Actions::ALL)]);
    (registry, token)
}

#[actix_web::test]
async fn what_is_malformed_is_named() {
    let (registry, token) = open().await;
    for (method, path, status, code, says) in [
        (Method::GET, "/v2/a", 404, "NOT_FOUND", "no endpoint"),
        (Method::GET, "/v2/a/tags", 404, "NOT_FOUND", "no endpoint"),
        (Method::GET, "/v2/A/tags/list", 400, "NAME_INVALID", "'A'"),
        (
            Method::GET,
            "/v2/a//b/tags/list",
            400,
            "NAME_INVALID",
            "empty",
        ),
        (Method::GET, "/v2/a/manifests/.x", 400, "TAG_INVALID", "tag"),
        (
            Method::GET,
            "/v2/a/manifests/sha256:0",
            400,
            "DIGEST_INVALID",
            "64",
        ),
        (
            Method::GET,
            "/v2/a/blobs/md5:0",
            400,
            "DIGEST_INVALID",
            "sha512",
        ),
        (
            Method::GET,
            "/v2/a/referrers/x",
            400,
            "DIGEST_INVALID",
            "sha256",
        ),
        (
            Method::GET,
            "/v2/a/blobs/uploads/x",
            404,
            "BLOB_UPLOAD_UNKNOWN",
            "no such upload",
        ),
        (
            Method::GET,
            "/v2/a/tags/list?n=-1",
            400,
            "PAGINATION_NUMBER_INVALID",
            "\\\"-1\\\"",
        ),
        (
            Method::POST,
            "/v2/a/blobs/uploads/?digest=x",
            400,
            "DIGEST_INVALID",
            "`digest`",
        ),
        (
            Method::POST,
            "/v2/a/blobs/uploads/?mount=x",
            400,
            "DIGEST_INVALID",
            "`mount`",
        ),
        (
            Method::POST,
            "/v2/a/blobs/uploads/?mount=x&from=B",
            400,
            "NAME_INVALID",
            "`from`",
        ),
        (
            Method::POST,
            "/v2/a/blobs/uploads/?digest-algorithm=crc",
            400,
            "DIGEST_INVALID",
            "`digest-algorithm`",
        ),
        (
            Method::PUT,
            "/v2/a/manifests/v1?tag=v2",
            400,
            "TAG_INVALID",
            "digest in the path",
        ),
    ] {
        let answer = registry.call(method, path, Some(&token)).await;
        let answer = answer.expect_error(status, code);
        let message = answer.json()["errors"][0]["message"].to_string();
        assert!(message.contains(says), "{path}: {message}");
    }
    let path = format!("/v2/a/manifests/{DIGEST}?tag=.x");
    let answer = registry.call(Method::PUT, &path, Some(&token)).await;
    answer.expect_error(400, "TAG_INVALID");
    let tags = "&tag=v".repeat(101);
    let path = format!("/v2/a/manifests/{DIGEST}?{tags}");
    let answer = registry.call(Method::PUT, &path, Some(&token)).await;
    answer.expect_error(414, "TAG_INVALID");
}

#[actix_web::test]
async fn a_body_where_none_belongs_does_no_harm() {
    let (registry, token) = open().await;
    registry.push_blob("a", b"hello").await;
    for (method, path, status) in [
        (Method::GET, "/v2/".to_owned(), 200),
        (Method::GET, format!("/v2/a/blobs/{DIGEST}"), 200),
        (Method::DELETE, format!("/v2/a/blobs/{DIGEST}"), 202),
    ] {
        let answer = registry
            .send(method, &path, Some(&token), &[], "unexpected")
            .await;
        answer.expect(status);
    }
}

#[actix_web::test]
async fn chunks_that_do_not_fit_leave_the_upload_as_it_was() {
    let (registry, token) = open().await;
    let token = Some(token.as_str());
    let answer = registry
        .call(Method::POST, "/v2/a/blobs/uploads/", token)
        .await
        .expect(202);
    let location = answer.header("location").to_owned();
    assert_eq!(answer.header("range"), "0-0");
    let patch = async |range: &'static str, body: &'static str| {
        registry
            .send(
                Method::PATCH,
                &location,
                token,
                &[("content-range", range)],
                body,
            )
            .await
    };
    patch("0-4", "hello").await.expect(202);

    let late = patch("9-13", "hello").await;
    let late = late.expect_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(late.header("range"), "0-4");
    patch("0-4", "hello").await.expect(416);
    patch("x", "hello").await.expect(416);
    patch("9-5", "hello").await.expect(416);
    let long = patch("5-12", "hello").await;
    long.expect_error(400, "SIZE_INVALID");
    let short = patch("5-6", "hello").await;
    short.expect_error(400, "SIZE_INVALID");

    let answer = registry.call(Method::GET, &location, token).await;
    assert_eq!(answer.expect(204).header("range"), "0-4");
    let close = format!("{location}?digest={DIGEST}");
    registry.call(Method::PUT, &close, token).await.expect(201);
}

#[actix_web::test]
async fn a_manifest_that_is_too_large_is_refused() {
    let (registry, token) = open().await;
    let answer = registry
        .send(
            Method::PUT,
            "/v2/a/manifests/v1",
            Some(&token),
            &[],
            vec![b' '; MAX_MANIFEST_BYTES + 1],
        )
        .await;
    answer.expect_error(413, "SIZE_INVALID");
}

#[actix_web::test]
async fn each_missing_blob_is_an_error_of_its_own() {
    let (registry, token) = open().await;
    registry.push_blob("a", b"there").await;
    let manifest = image(&[b"there", b"one", b"two"]).to_string();
    let answer = registry
        .send(
            Method::PUT,
            "/v2/a/manifests/v1",
            Some(&token),
            &[],
            manifest,
        )
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    assert_eq!(errors.len(), 2);
    for error in errors {
        assert!(error["detail"]["digest"].is_string(), "{error}");
    }
}

#[actix_web::test]
async fn ranges_of_blobs() {
    let (registry, token) = open().await;
    registry.push_blob("a", b"hello").await;
    let path = format!("/v2/a/blobs/{DIGEST}");
    let get = async |headers: &[(&str, &str)]| {
        registry
            .send(Method::GET, &path, Some(&token), headers, "")
            .await
    };
    let whole = get(&[]).await.expect(200);
    assert_eq!(&whole.body[..], b"hello");
    let etag = whole.header("etag").to_owned();
    let part = get(&[("range", "bytes=1-2")]).await.expect(206);
    assert_eq!(&part.body[..], b"el");
    assert_eq!(part.header("content-range"), "bytes 1-2/5");
    let outside = get(&[("range", "bytes=9-")]).await;
    let outside = outside.expect_error(416, "RANGE_INVALID");
    assert_eq!(outside.header("content-range"), "bytes */5");

    get(&[("if-none-match", &etag)]).await.expect(304);
    get(&[("if-none-match", "\"x\", *")]).await.expect(304);
    get(&[("if-none-match", "\"x\"")]).await.expect(200);
    let part = [("range", "bytes=1-2"), ("if-range", etag.as_str())];
    get(&part).await.expect(206);
    let other = [("range", "bytes=1-2"), ("if-range", "\"x\"")];
    get(&other).await.expect(200);
}

#[actix_web::test]
async fn without_deletion_nothing_is_deleted() {
    let registry = TestRegistry::with(Rules::default(), |_| {}).await;
    let token = registry.token(&[("a", Actions::ALL)]);
    registry.push_blob("a", b"hello").await;
    for path in [
        format!("/v2/a/blobs/{DIGEST}"),
        format!("/v2/a/manifests/{DIGEST}"),
        "/v2/a/manifests/v1".to_owned(),
    ] {
        let answer = registry.call(Method::DELETE, &path, Some(&token)).await;
        answer.expect_error(405, "UNSUPPORTED");
    }
}

#[actix_web::test]
async fn locations_are_built_as_configured() {
    for (base, expected) in [
        (LocationBase::Relative, "/v2/a/blobs/uploads/"),
        (
            LocationBase::Fixed("https://r.test/x".to_owned()),
            "https://r.test/x/v2/a/blobs/uploads/",
        ),
        (
            LocationBase::FromRequest,
            "http://localhost:8080/v2/a/blobs/uploads/",
        ),
    ] {
        let registry = TestRegistry::with(Rules::default(), |web| web.location = base).await;
        let token = registry.token(&[("a", Actions::ALL)]);
        let answer = registry
            .send(
                Method::POST,
                "/v2/a/blobs/uploads/",
                Some(&token),
                &[("host", "localhost:8080")],
                "",
            )
            .await;
        let location = answer.header("location").to_owned();
        assert!(location.starts_with(expected), "{location}");
    }
}

#[actix_web::test]
async fn lists_come_in_pages() {
    let (registry, token) = open().await;
    registry.push_blob("a", b"there").await;
    let manifest = image(&[b"there"]).to_string();
    for tag in ["v1", "v2", "v3"] {
        let path = format!("/v2/a/manifests/{tag}");
        let answer = registry
            .send(Method::PUT, &path, Some(&token), &[], manifest.clone())
            .await;
        answer.expect(201);
    }
    let get = async |path: &str| registry.call(Method::GET, path, Some(&token)).await;
    let answer = get("/v2/a/tags/list?n=2").await.expect(200);
    assert_eq!(answer.json(), json!({"name": "a", "tags": ["v1", "v2"]}));
    assert_eq!(
        answer.header("link"),
        "</v2/a/tags/list?last=v2&n=2>; rel=\"next\""
    );
    let answer = get("/v2/a/tags/list?last=v2&n=2").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["v3"]));
    assert_eq!(answer.header("link"), "");
    let answer = get("/v2/a/tags/list?n=0").await.expect(200);
    assert_eq!(answer.json()["tags"], json!([]));
    assert_eq!(answer.header("link"), "");

    let token = registry.token(&[("b", Actions::ALL)]);
    let answer = registry
        .call(Method::GET, "/v2/b/tags/list", Some(&token))
        .await;
    answer.expect_error(404, "NAME_UNKNOWN");
}

/// What no test of the API can bring about.
#[test]
fn failures_of_our_own_are_told_apart_and_give_nothing_away() {
    let broken = || io::Error::other("/secret/path");
    let unavailable = || database::Error::Unavailable(sqlx::Error::PoolTimedOut);
    for (error, status, code, retry) in [
        (
            registry::Error::StoreFull(broken()),
            507,
            "UNAVAILABLE",
            false,
        ),
        (
            registry::Error::StoreReadOnly(broken()),
            405,
            "UNSUPPORTED",
            false,
        ),
        (
            registry::Error::StoreUnavailable(broken()),
            503,
            "UNAVAILABLE",
            true,
        ),
        (
            registry::Error::from(unavailable()),
            503,
            "UNAVAILABLE",
            true,
        ),
        (
            registry::Error::from(database::Error::Full(sqlx::Error::RowNotFound)),
            507,
            "UNAVAILABLE",
            false,
        ),
        (
            registry::Error::from(database::Error::ReadOnly(sqlx::Error::RowNotFound)),
            405,
            "UNSUPPORTED",
            false,
        ),
        (
            registry::Error::from(database::Error::Race(sqlx::Error::RowNotFound)),
            503,
            "UNAVAILABLE",
            true,
        ),
        (
            registry::Error::from(database::Error::Internal(sqlx::Error::RowNotFound)),
            500,
            "UNKNOWN",
            false,
        ),
        (
            registry::Error::UploadBusy,
            409,
            "BLOB_UPLOAD_INVALID",
            true,
        ),
        (registry::Error::Maintenance, 405, "UNSUPPORTED", false),
        (
            registry::Error::Interrupted(Interrupted::TooSlow),
            408,
            "BLOB_UPLOAD_INVALID",
            false,
        ),
        (
            registry::Error::Interrupted(Interrupted::Disconnected),
            400,
            "BLOB_UPLOAD_INVALID",
            false,
        ),
    ] {
        let answer = Error::Registry(error).answer();
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(json!(answer.code), json!(code), "{answer:?}");
        assert_eq!(answer.retry_after.is_some(), retry, "{answer:?}");
        let body = answer.body().to_string();
        for internal in ["secret", "sqlx", "pool", "row"] {
            assert!(!body.to_lowercase().contains(internal), "{body}");
        }
    }
}
