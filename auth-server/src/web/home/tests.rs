use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use sha2::{Digest as _, Sha256};

use crate::http::test_app::{Answer, TestApp};

async fn page(app: &TestApp, host: &str) -> Answer {
    Answer::of(app.request(Method::GET, "/").header("host", host))
        .await
        .expect(200)
}

#[tokio::test]
async fn the_page_tells_how_to_log_in_to_the_host_that_was_asked() {
    let app = TestApp::start().await;
    let local = page(&app, "localhost:5000").await;
    assert_eq!(local.header("content-type"), "text/html; charset=utf-8");
    assert!(
        local.text.contains("docker login localhost:5000<"),
        "{}",
        local.text
    );
    assert!(
        !local.text.contains("insecure-registries"),
        "docker trusts localhost"
    );
    let remote = page(&app, "registry.example.com").await;
    assert!(
        remote.text.contains("docker login registry.example.com<"),
        "{}",
        remote.text
    );
    assert!(remote.text.contains("insecure-registries"), "no TLS here");
}

#[tokio::test]
async fn nothing_on_the_page_comes_from_elsewhere_or_runs() {
    let app = TestApp::start().await;
    let page = page(&app, "localhost").await;
    assert!(!page.text.contains("<script"), "{}", page.text);
    assert!(!page.text.contains("https://"), "{}", page.text);
    let start = page.text.find("<style>").unwrap() + "<style>".len();
    let end = page.text.find("</style>").unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(&page.text.as_bytes()[start..end]));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(
        policy.contains(&format!("style-src 'sha256-{hash}'")),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("x-frame-options"), "DENY");
}

#[tokio::test]
async fn a_host_that_is_none_does_not_get_into_the_page() {
    let app = TestApp::start().await;
    for host in ["\"><script>alert(1)</script>", "a b", "-"] {
        let page = page(&app, host).await;
        assert!(!page.text.contains("<script"), "{}", page.text);
        assert!(page.text.contains("docker login "), "{}", page.text);
    }
}
