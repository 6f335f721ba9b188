use reqwest::Method;

use super::*;
use crate::http::test_app::{Answer, TestApp};

#[tokio::test]
async fn the_page_loads_what_is_there_and_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let page = Answer::of(app.request(Method::GET, "/api/docs"))
        .await
        .expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe-eval") && !policy.contains("http"),
        "{policy}"
    );
    assert!(!page.text.contains("://"), "{}", page.text);
    // No script in the page itself: the policy would not let it run.
    assert!(
        !page.text.contains("<script>") && !page.text.contains(" on"),
        "{}",
        page.text
    );

    let mut seen = 0;
    for part in page
        .text
        .split(['"'])
        .filter(|part| part.starts_with("docs/"))
    {
        let asset = app
            .request(Method::GET, &format!("/api/{part}"))
            .send()
            .await
            .unwrap();
        assert_eq!(asset.status(), 200, "{part}");
        assert!(
            asset.headers()["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        assert_eq!(asset.headers()["x-content-type-options"], "nosniff");
        seen += 1;
    }
    assert_eq!(seen, ASSETS.len());
}

#[tokio::test]
async fn files_of_another_version_or_name_are_not_there() {
    let app = TestApp::start().await;
    let version = VERSION.as_str();
    for path in [
        "/api/docs/x/explorer.js".to_owned(),
        format!("/api/docs/{version}/index.html"),
        format!("/api/docs/{version}/..%2Fexplorer.js"),
    ] {
        Answer::of(app.request(Method::GET, &path))
            .await
            .expect(404);
    }
}

#[test]
fn what_is_embedded_stays_small() {
    let bytes: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
    assert!(bytes < 600_000, "{bytes}");
    for asset in ASSETS.iter().filter(|asset| asset.is_compressed) {
        assert_eq!(asset.content[..2], [0x1f, 0x8b], "{}: gzip", asset.name);
    }
}
