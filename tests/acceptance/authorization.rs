//! What a token opens, and what the registry says to those who show none or a wrong one.

use acceptance::content::{media, unique};
use acceptance::{Answer, Blob, Client, Image, Portcullis};
use reqwest::Method;

/// Every route of a repository, and the actions it needs.
fn routes(image: &Image) -> Vec<(Method, String, &'static [&'static str])> {
    const PULL: &[&str] = &["pull"];
    const PUSH: &[&str] = &["pull", "push"];
    const DELETE: &[&str] = &["delete"];
    let digest = &image.manifest.digest;
    let blob = &image.config.digest;
    let upload = "0198c5a0-0000-7000-8000-000000000000";
    vec![
        (Method::GET, "manifests/v1".to_owned(), PULL),
        (Method::HEAD, "manifests/v1".to_owned(), PULL),
        (Method::GET, format!("manifests/{digest}"), PULL),
        (Method::PUT, "manifests/v1".to_owned(), PUSH),
        (Method::DELETE, "manifests/v9".to_owned(), DELETE),
        (Method::GET, format!("blobs/{blob}"), PULL),
        (Method::HEAD, format!("blobs/{blob}"), PULL),
        (
            Method::DELETE,
            format!("blobs/{}", Blob::random(9).digest),
            DELETE,
        ),
        (Method::GET, "tags/list".to_owned(), PULL),
        (Method::GET, format!("referrers/{digest}"), PULL),
        (Method::POST, "blobs/uploads/".to_owned(), PUSH),
        (Method::POST, format!("blobs/uploads/?mount={blob}"), PUSH),
        (Method::GET, format!("blobs/uploads/{upload}"), PULL),
        (Method::PATCH, format!("blobs/uploads/{upload}"), PUSH),
        (
            Method::PUT,
            format!("blobs/uploads/{upload}?digest={blob}"),
            PUSH,
        ),
        (Method::DELETE, format!("blobs/uploads/{upload}"), DELETE),
    ]
}

async fn with_image() -> (Portcullis, Image) {
    let portcullis = Portcullis::up().await;
    let image = Image::random();
    portcullis
        .admin()
        .repository("admin/app")
        .push(&image, "v1")
        .await;
    (portcullis, image)
}

async fn call(client: &Client, image: &Image, method: &Method, path: &str) -> Answer {
    let mut call = client.call(method.clone(), &format!("/v2/admin/app/{path}"));
    if *method == Method::PUT && path.starts_with("manifests") {
        call = call
            .header("content-type", media::OCI_MANIFEST)
            .body(image.manifest.bytes.clone());
    }
    call.send().await
}

fn expect_challenge(answer: &Answer, scope: &str, error: Option<&str>) {
    assert_eq!(answer.status, 401, "{answer}");
    let challenge = answer.challenge();
    assert_eq!(challenge.scope.as_deref(), Some(scope), "{answer}");
    assert_eq!(challenge.error.as_deref(), error, "{answer}");
    assert!(answer.has("docker-distribution-api-version"), "{answer}");
}

#[tokio::test]
async fn the_base_asks_who_is_there() {
    let portcullis = Portcullis::up().await;

    let answer = portcullis.anonymous().get("/v2/").send().await;

    let answer = answer
        .expect_error(401, "UNAUTHORIZED")
        .expect_header("docker-distribution-api-version", "registry/2.0");
    let challenge = answer.challenge();
    assert_eq!(challenge.realm.path(), "/auth/token");
    assert_eq!(challenge.realm.port(), portcullis.origin().port());
    assert_eq!(challenge.service, "portcullis-registry");
    assert_eq!(challenge.scope, None);
    assert_eq!(challenge.error, None, "nobody sent a wrong token");
}

#[tokio::test]
async fn any_valid_token_opens_the_base() {
    let portcullis = Portcullis::up().await;
    for client in [portcullis.admin(), portcullis.new_user("alice")] {
        let token = client.token(&[]).await;
        let answer = portcullis
            .anonymous()
            .get("/v2/")
            .bearer(&token)
            .send()
            .await;
        answer
            .expect(200)
            .expect_header("docker-distribution-api-version", "registry/2.0");
    }
}

#[tokio::test]
async fn without_a_token_every_route_asks_for_its_scope() {
    let (portcullis, image) = with_image().await;
    for (method, path, actions) in routes(&image) {
        let answer = call(&portcullis.anonymous(), &image, &method, &path).await;
        let scope = format!("repository:admin/app:{}", actions.join(","));
        expect_challenge(&answer, &scope, None);
    }
}

#[tokio::test]
async fn every_route_opens_to_its_own_actions_and_to_no_others() {
    let (portcullis, image) = with_image().await;
    let admin = portcullis.admin();
    for granted in [
        &["pull"][..],
        &["push"],
        &["delete"],
        &["pull", "push"],
        &["pull", "delete"],
        &["push", "delete"],
    ] {
        let scope = format!("repository:admin/app:{}", granted.join(","));
        let client = admin.with_token(&admin.token(&[&scope]).await);
        for (method, path, needed) in routes(&image) {
            let answer = call(&client, &image, &method, &path).await;
            if needed.iter().all(|action| granted.contains(action)) {
                assert_ne!(answer.status, 401, "{granted:?}: {answer}");
            } else {
                let scope = format!("repository:admin/app:{}", needed.join(","));
                expect_challenge(&answer, &scope, Some("insufficient_scope"));
            }
        }
    }
}

#[tokio::test]
async fn a_token_of_one_repository_opens_no_other() {
    let (portcullis, image) = with_image().await;
    let admin = portcullis.admin();
    let scopes = [
        "repository:admin/app2:pull,push,delete",
        "repository:admin:pull,push,delete",
    ];
    let client = admin.with_token(&admin.token(&scopes).await);
    for (method, path, needed) in routes(&image) {
        let answer = call(&client, &image, &method, &path).await;
        let scope = format!("repository:admin/app:{}", needed.join(","));
        expect_challenge(&answer, &scope, Some("insufficient_scope"));
    }
}

#[tokio::test]
async fn a_mount_asks_for_the_source_too() {
    let (portcullis, image) = with_image().await;

    let answer = portcullis
        .anonymous()
        .call(
            Method::POST,
            &format!(
                "/v2/admin/new/blobs/uploads/?mount={}&from=admin/app",
                image.config.digest
            ),
        )
        .send()
        .await;

    let challenge = answer.expect(401).challenge();
    let mut scopes: Vec<_> = challenge.scope.as_deref().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(
        scopes,
        [
            "repository:admin/app:pull",
            "repository:admin/new:pull,push"
        ]
    );
}

#[tokio::test]
async fn a_token_that_is_none_is_called_invalid() {
    let (portcullis, image) = with_image().await;
    let real = portcullis
        .admin()
        .token(&["repository:admin/app:pull"])
        .await;
    let (message, signature) = real.rsplit_once('.').unwrap();
    let foreign_signature = format!("{message}.{}", signature.chars().rev().collect::<String>());
    for token in [
        "x",
        "a.b.c",
        "..",
        message,
        &foreign_signature,
        &"a".repeat(7000),
    ] {
        let client = portcullis.anonymous().with_token(token);
        let answer = call(&client, &image, &Method::GET, "manifests/v1").await;
        expect_challenge(&answer, "repository:admin/app:pull", Some("invalid_token"));
    }
}

#[tokio::test]
async fn a_password_is_no_token() {
    let (portcullis, _image) = with_image().await;

    let answer = portcullis
        .anonymous()
        .get("/v2/admin/app/manifests/v1")
        .basic("admin", acceptance::ADMIN_PASSWORD)
        .send()
        .await;

    answer.expect(401).challenge();
}

#[tokio::test]
async fn users_own_their_name_and_nothing_else() {
    let (portcullis, image) = with_image().await;
    let alice = portcullis.new_user("alice");

    alice.repository("alice/app").push(&image, "v1").await;
    alice.repository("alice/deep/er").push(&image, "v1").await;

    for name in [
        "admin/app",
        "alice2/app",
        "alic/app",
        "app",
        "library/alice",
    ] {
        let answer = alice.repository(name).get_manifest("v1").await;
        answer.expect_error(401, "UNAUTHORIZED");
        let answer = alice.repository(name).post("blobs/uploads/").send().await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn the_admin_may_do_everything() {
    let (portcullis, image) = with_image().await;
    let alice = portcullis.new_user("alice");
    alice.repository("alice/app").push(&image, "v1").await;

    let theirs = portcullis.admin().repository("alice/app");

    theirs.expect_image(&image, "v1").await;
    theirs.delete_manifest("v1").await.expect(202);
}

#[tokio::test]
async fn whether_a_repository_exists_is_not_told() {
    let (portcullis, _image) = with_image().await;
    let alice = portcullis.new_user("alice");
    for client in [alice, portcullis.anonymous()] {
        let mut answers = Vec::new();
        for name in ["admin/app", "admin/nil"] {
            let answer = client.repository(name).get_manifest("v1").await;
            let shown = format!(
                "{} {} {}",
                answer.status,
                answer.header("www-authenticate"),
                String::from_utf8_lossy(&answer.body)
            );
            answers.push(shown.replace(name, "NAME"));
        }
        assert_eq!(answers[0], answers[1]);
    }
}

#[tokio::test]
async fn the_realm_follows_the_name_the_client_uses() {
    let portcullis = Portcullis::up().await;
    let port = portcullis.origin().port().unwrap();

    let answer = portcullis
        .anonymous()
        .get("/v2/")
        .header("host", &format!("localhost:{port}"))
        .send()
        .await;

    let realm = answer.expect(401).challenge().realm;
    assert_eq!(
        realm.as_str(),
        format!("http://localhost:{port}/auth/token")
    );
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_whoever_asks() {
    let portcullis = Portcullis::up().await;
    let admin = portcullis.admin();
    let token = admin.token(&[]).await;
    let long = "a/".repeat(128) + "a";
    let unique = unique();
    for name in [
        "Admin/app",
        "admin//app",
        "-admin",
        "admin/app-",
        "a%20b",
        "a..b",
        &long,
    ] {
        let answer = portcullis
            .anonymous()
            .get(&format!("/v2/{name}/manifests/{unique}"))
            .bearer(&token)
            .send()
            .await;
        let status = answer.status.as_u16();
        assert!([400, 404].contains(&status), "{name}: {answer}");
        let code = answer.json()["errors"][0]["code"].clone();
        assert!(
            ["NAME_INVALID", "NAME_UNKNOWN", "UNKNOWN"].contains(&code.as_str().unwrap()),
            "{answer}"
        );
    }
}
