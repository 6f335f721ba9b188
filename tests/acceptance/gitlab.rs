//! In the place of `registry:2` beside GitLab: its compose file with another image.

use acceptance::gitlab::{GitLab, PASSWORD, USER};
use acceptance::served::{Configured, Served};
use acceptance::tokens::header_of;
use acceptance::tools::{Docker, Layout, Skopeo};

const ISSUER: &str = "gitlab-issuer";
const SERVICE: &str = "container_registry";

/// The configuration inside our image, and what a compose file of GitLab says in variables.
async fn registry_of(gitlab: &GitLab) -> Served {
    let certificate = std::fs::read(gitlab.issuer.certificate()).unwrap();
    Configured::image()
        .file("registry.crt", certificate)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_LOG_LEVEL", "info")
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "registry")
        .env("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        .env("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")
        .env("REGISTRY_HTTP_SECRET", "0123456789")
        .env("REGISTRY_VALIDATION_DISABLED", "true")
        .env("REGISTRY_AUTH_TOKEN_REALM", &gitlab.realm())
        .env("REGISTRY_AUTH_TOKEN_SERVICE", SERVICE)
        .env("REGISTRY_AUTH_TOKEN_ISSUER", ISSUER)
        .env("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "registry.crt")
        .start()
        .await
}

#[tokio::test]
async fn docker_logs_in_pushes_and_pulls_with_gitlabs_tokens() {
    let gitlab = GitLab::start(ISSUER, SERVICE);
    let registry = registry_of(&gitlab).await;
    let (docker, host) = (Docker::new(), registry.host());

    docker.login(&host, USER, "wrong").expect_failure();
    docker
        .login(&host, USER, PASSWORD)
        .expect_success()
        .expect_says(["Login Succeeded"]);
    let image = docker.build(&format!("{host}/group/project/app:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);

    docker.run(["logout", &host]);
    docker.run(["image", "rm", "--force", &image.name]);
    docker.command(["pull", &image.name]).run().expect_failure();
}

#[tokio::test]
async fn gitlabs_clean_up_deletes_tags() {
    let gitlab = GitLab::start(ISSUER, SERVICE);
    let registry = registry_of(&gitlab).await;
    let (skopeo, host) = (Skopeo::new(), registry.host());
    skopeo.login(&host, USER, PASSWORD).expect_success();
    let layout = Layout::new().image("linux", "amd64", &[1_000]);
    let source = layout.finish();
    let image = format!("docker://{host}/group/app:1");
    skopeo.copy(&source, &image).expect_success();

    skopeo.run(["delete", "--tls-verify=false", &image]);

    let inspect = skopeo.command(["inspect", "--tls-verify=false", &image]);
    inspect.run().expect_failure();
}

/// The pairing is GitLab's own: an RSA key that the header names by libtrust's id, and no more.
#[test]
fn the_tokens_are_what_gitlab_makes() {
    let gitlab = GitLab::start(ISSUER, SERVICE);
    let claims = acceptance::tokens::claims(ISSUER, SERVICE, &serde_json::json!([]));
    let header = header_of(&gitlab.issuer.gitlab_token(&claims));
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["kid"].as_str().unwrap().split(':').count(), 12);
    assert!(header.get("x5c").is_none() && header.get("jwk").is_none());
}

#[tokio::test]
async fn the_registry_listens_where_it_is_told_and_says_what_it_is_told() {
    let text = "version: 0.1
log:
  formatter: json
  fields: {service: registry, environment: staging}
storage: {\"filesystem\":{\"rootdirectory\":\"blobs\",\"maxthreads\":100},\"redirect\":{\"disable\":true}}
http:
  addr: 127.0.0.1:0
  prefix: /registry/
  relativeurls: false
  draintimeout: 5s
  headers: {X-Content-Type-Options: [nosniff], X-Where: [here, there]}
catalog: {maxentries: 2}
tags: {maxtags: 1}
auth: none
";
    let registry = Configured::registry(text).start().await;
    let client = registry.anybody();

    client.get("/v2/").send().await.expect(404);
    let base = client.get("/registry/v2/").send().await.expect(200);
    assert_eq!(base.header("x-content-type-options"), "nosniff");
    let where_to = base.headers.get_all("x-where").iter().count();
    assert_eq!(where_to, 2);
    let upload = client
        .call(reqwest::Method::POST, "/registry/v2/app/blobs/uploads/")
        .send()
        .await
        .expect(202);
    let location = upload.header("location");
    let expected = format!("{}registry/v2/app/blobs/uploads/", registry.origin());
    assert!(location.starts_with(&expected), "{location}");
    let too_many = client.get("/registry/v2/_catalog?n=3").send().await;
    too_many.expect_error(400, "PAGINATION_NUMBER_INVALID");
    client
        .get("/registry/v2/_catalog?n=2")
        .send()
        .await
        .expect(200);
    let line = registry.logs(&["\"listening\""]).await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["service"], "registry");
    assert_eq!(line["environment"], "staging");
}
