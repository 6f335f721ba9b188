//! With other people's partners: our tokens at their registry, their tokens at ours.

use acceptance::peers::DockerRegistry;
use acceptance::tokens::{ForeignIssuer, claims, header_of, now};
use acceptance::tools::Docker;
use acceptance::{
    ADMIN_PASSWORD, Answer, Blob, Client, Image, LoneRegistry, Portcullis, Setup, Upload, host,
};
use serde_json::{Value, json};

const ISSUER: &str = "gitlab-issuer";
const SERVICE: &str = "container_registry";

fn push_access(repository: &str) -> Value {
    json!([{"type": "repository", "name": repository, "actions": ["pull", "push", "delete"]}])
}

/// Our registry behind GitLab.
async fn registry_of_gitlab(issuer: &ForeignIssuer) -> LoneRegistry {
    LoneRegistry::with_bundle(ISSUER, SERVICE, &issuer.certificate()).await
}

/// Our gatekeeper in front of Debian's `docker-registry`.
async fn distribution_behind(portcullis: &Portcullis) -> DockerRegistry {
    let realm = portcullis.auth_origin().join("auth/token").unwrap();
    let bundle = portcullis.folder().join("keys/bundle.pem");
    DockerRegistry::with_token_auth(&realm, "portcullis-registry", "portcullis-auth", &bundle).await
}

#[tokio::test]
async fn our_tokens_open_distribution() {
    let portcullis = Portcullis::up().await;
    let peer = distribution_behind(&portcullis).await;
    let image = Image::docker();
    let at_peer = Client::new(peer.origin());

    let repository = at_peer
        .login("admin", ADMIN_PASSWORD)
        .repository("admin/app");
    repository.push(&image, "v1").await;
    repository.expect_image(&image, "v1").await;

    let stranger = at_peer.repository("admin/app").get_manifest("v1").await;
    stranger.expect(401);
}

#[tokio::test]
async fn docker_works_at_distribution_with_our_tokens() {
    let portcullis = Portcullis::up().await;
    let peer = distribution_behind(&portcullis).await;
    let docker = Docker::new();
    let host = host(peer.origin());

    docker
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success();
    let image = docker.build(&format!("{host}/admin/app:v1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);
}

#[tokio::test]
async fn rsa_keys_open_distribution_too() {
    let portcullis = Setup::up()
        .env("AUTH_KEYS_ALGORITHM", "RS256")
        .start()
        .await;
    let peer = distribution_behind(&portcullis).await;
    let token = portcullis.admin().token(&[]).await;
    assert_eq!(header_of(&token)["alg"], "RS256");

    let image = Image::docker();
    for origin in [peer.origin(), portcullis.origin()] {
        let client = Client::new(origin).login("admin", ADMIN_PASSWORD);
        let repository = client.repository("admin/app");
        repository.push(&image, "v1").await;
        repository.expect_image(&image, "v1").await;
    }
}

#[tokio::test]
async fn gitlabs_tokens_open_our_registry() {
    let issuer = ForeignIssuer::new();
    let registry = registry_of_gitlab(&issuer).await;
    let token = issuer.gitlab_token(&claims(ISSUER, SERVICE, &push_access("group/app")));
    let image = Image::random();

    let repository = registry.with_token(&token).repository("group/app");
    repository.push(&image, "v1").await;

    repository.expect_image(&image, "v1").await;
    let elsewhere = registry.with_token(&token).repository("group/other");
    elsewhere
        .get_manifest("v1")
        .await
        .expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_lone_registry_names_its_own_realm() {
    let issuer = ForeignIssuer::new();
    let registry = registry_of_gitlab(&issuer).await;

    let answer = Client::new(registry.origin()).get("/v2/").send().await;

    let challenge = answer.expect(401).challenge();
    assert_eq!(
        challenge.realm.as_str(),
        "https://gitlab.example.com/jwt/auth"
    );
    assert_eq!(challenge.service, SERVICE);
}

async fn base(registry: &LoneRegistry, token: &str) -> Answer {
    registry.with_token(token).get("/v2/").send().await
}

#[tokio::test]
async fn every_claim_of_a_token_counts() {
    let issuer = ForeignIssuer::new();
    let registry = registry_of_gitlab(&issuer).await;
    let good = claims(ISSUER, SERVICE, &json!([]));
    base(&registry, &issuer.gitlab_token(&good))
        .await
        .expect(200);
    let now = now();

    // A clock that is a little off is forgiven; 60 s either way.
    for (name, value) in [
        ("aud", json!([SERVICE])),
        ("aud", json!(["other", SERVICE])),
        ("exp", json!(now - 30)),
        ("nbf", json!(now + 30)),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        let answer = base(&registry, &issuer.gitlab_token(&claims)).await;
        assert_eq!(answer.status, 200, "{name}: {answer}");
    }
    for (name, value) in [
        ("iss", json!("somebody-else")),
        ("iss", Value::Null),
        ("aud", json!("another_registry")),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("exp", json!(now - 120)),
        ("exp", Value::Null),
        ("exp", json!("tomorrow")),
        ("nbf", json!(now + 120)),
        ("access", json!("everything")),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        let answer = base(&registry, &issuer.gitlab_token(&claims)).await;
        let shown = format!("{name}={value}: {answer}");
        assert_eq!(answer.status, 401, "{shown}");
        assert_eq!(
            answer.challenge().error.as_deref(),
            Some("invalid_token"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_key_that_nobody_vouched_for_opens_nothing() {
    let issuer = ForeignIssuer::new();
    let impostor = ForeignIssuer::new();
    let registry = registry_of_gitlab(&issuer).await;
    let good = claims(ISSUER, SERVICE, &push_access("group/app"));
    let theirs = std::fs::read_to_string(impostor.certificate()).unwrap();
    let x5c: String = theirs
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let kid = header_of(&issuer.gitlab_token(&good))["kid"].clone();

    for token in [
        impostor.gitlab_token(&good),
        // The right name on the wrong key.
        impostor.token(&json!({"typ": "JWT", "alg": "RS256", "kid": kid}), &good),
        // A chain that ends nowhere we know.
        impostor.token(&json!({"typ": "JWT", "alg": "RS256", "x5c": [x5c]}), &good),
        // No name at all: only one key may fit, and this is not its signature.
        impostor.token(&json!({"typ": "JWT", "alg": "RS256"}), &good),
    ] {
        let answer = base(&registry, &token).await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn algorithms_that_prove_nothing_are_refused() {
    let issuer = ForeignIssuer::new();
    let registry = registry_of_gitlab(&issuer).await;
    let good = claims(ISSUER, SERVICE, &json!([]));
    let kid = header_of(&issuer.gitlab_token(&good))["kid"].clone();
    for algorithm in ["none", "None", "HS256", "RS512", "ES256", "XX"] {
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": kid});
        let signed = issuer.token(&header, &good);
        let (message, _) = signed.rsplit_once('.').unwrap();
        for token in [signed.clone(), format!("{message}.")] {
            let answer = base(&registry, &token).await;
            assert_eq!(answer.status, 401, "{algorithm}: {answer}");
        }
    }
}

#[tokio::test]
async fn an_upload_outlives_the_token_that_opened_it() {
    let issuer = ForeignIssuer::new();
    let mut registry = registry_of_gitlab(&issuer).await;
    let mut of_alice = claims(ISSUER, SERVICE, &push_access("group/app"));
    of_alice["sub"] = json!("alice");
    let token = issuer.gitlab_token(&of_alice);
    let at_first = registry.with_token(&token).repository("group/app");
    let mut upload = at_first.start_upload().await;
    upload.append("first, ").await.expect(202);
    let path = upload.location.clone();

    // A layer of many gigabytes later, the token of five minutes is long expired.
    registry.start_again_later("1h").await;
    let late = registry.with_token(&token).repository("group/app");
    let mut upload = Upload::resume(&late, &path);
    upload.append("second").await.expect(202);

    // It opens this upload and nothing else, and to nobody else.
    let another = late.post("blobs/uploads/").send().await;
    another.expect_error(401, "UNAUTHORIZED");
    let read = late.get("tags/list").send().await;
    read.expect_error(401, "UNAUTHORIZED");
    of_alice["sub"] = json!("mallory");
    let stranger = registry
        .with_token(&issuer.gitlab_token(&of_alice))
        .repository("group/app");
    let answer = Upload::resume(&stranger, &path).append("third").await;
    answer.expect_error(401, "UNAUTHORIZED");

    let blob = Blob::new("first, second");
    upload.finish(&blob.digest).await.expect(201);

    // Nor for ever.
    registry.start_again_later("4h").await;
    let too_late = registry.with_token(&token).repository("group/app");
    let answer = Upload::resume(&too_late, &path).append("fourth").await;
    answer.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_that_expired_before_an_upload_began_does_not_open_it() {
    let issuer = ForeignIssuer::new();
    let registry = registry_of_gitlab(&issuer).await;
    let mut claims = claims(ISSUER, SERVICE, &push_access("group/app"));
    let good = issuer.gitlab_token(&claims);
    let upload = registry
        .with_token(&good)
        .repository("group/app")
        .start_upload()
        .await;
    claims["exp"] = json!(now() - 600);
    claims["nbf"] = json!(now() - 900);

    let expired = issuer.gitlab_token(&claims);
    let late = registry.with_token(&expired).repository("group/app");
    let answer = Upload::resume(&late, &upload.location)
        .append("bytes")
        .await;

    answer.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_registry_takes_the_keys_from_a_jwks() {
    let portcullis = Portcullis::up().await;
    let keys = portcullis
        .anonymous()
        .get("/.well-known/jwks.json")
        .send()
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, keys.expect(200).body).unwrap();

    let registry = LoneRegistry::with_jwks("portcullis-auth", "portcullis-registry", &file).await;

    let image = Image::random();
    let token = portcullis
        .admin()
        .token(&["repository:admin/app:pull,push,delete"])
        .await;
    let repository = registry.with_token(&token).repository("admin/app");
    repository.push(&image, "v1").await;
    repository.expect_image(&image, "v1").await;
}
