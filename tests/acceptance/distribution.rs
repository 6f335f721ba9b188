//! Keys of distribution's configuration, one test for each that no other module covers: what is
//! written for `registry:2` means the same here, is refused with a sentence, or is said to change
//! nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use acceptance::content::media;
use acceptance::raw::Connection;
use acceptance::served::{Configured, OPEN_REGISTRY, Served};
use acceptance::tokens::{ForeignIssuer, claims};
use acceptance::tools::Skopeo;
use acceptance::{Blob, Image, Invocation, Manifest};
use serde_json::json;

async fn served(text: &str) -> Served {
    Configured::registry(text).start().await
}

fn with_http(lines: &str) -> String {
    OPEN_REGISTRY.replace("http:\n", &format!("http:\n{lines}"))
}

/// What Windows' base images look like: a layer that its makers give out themselves.
fn with_foreign_layer(url: &str) -> Image {
    Image::docker().edited(|manifest| {
        let mut layer = Blob::random(100).descriptor(media::DOCKER_FOREIGN_LAYER);
        layer["urls"] = json!([url]);
        manifest["layers"].as_array_mut().unwrap().insert(0, layer);
    })
}

/// As `skopeo copy … dir:` leaves it.
fn in_folder(image: &Image, folder: &Path) -> String {
    for blob in image.blobs() {
        let (_, hex) = blob.digest.split_once(':').unwrap();
        std::fs::write(folder.join(hex), &blob.bytes).unwrap();
    }
    std::fs::write(folder.join("manifest.json"), &image.manifest.bytes).unwrap();
    std::fs::write(folder.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    format!("dir:{}", folder.display())
}

#[tokio::test]
async fn layers_from_elsewhere_are_for_who_allows_their_address() {
    let allowing = |patterns: &str| {
        format!("{OPEN_REGISTRY}validation: {{manifests: {{urls: {patterns}}}}}\n")
    };
    let url = "https://mcr.microsoft.com/v2/windows/blobs/1";
    let folder = tempfile::tempdir().unwrap();
    let image = in_folder(&with_foreign_layer(url), folder.path());
    for (text, accepted) in [
        (OPEN_REGISTRY.to_owned(), false),
        (
            allowing(r"{allow: ['^https://mcr\.microsoft\.com/']}"),
            true,
        ),
        (allowing(r"{allow: ['^https://example\.com/']}"), false),
        (allowing("{deny: ['microsoft']}"), false),
        (allowing("{deny: ['example']}"), true),
        (
            format!("{OPEN_REGISTRY}validation: {{disabled: true}}\n"),
            true,
        ),
    ] {
        let registry = served(&text).await;
        let skopeo = Skopeo::new();
        let to = format!("docker://{}/windows/app:1", registry.host());
        let pushed = skopeo.copy(&image, &to);
        if accepted {
            pushed.expect_success();
        } else {
            pushed
                .expect_failure()
                .expect_says([url, "validation.manifests.urls.allow"]);
        }
        let there = registry.anybody().repository("windows/app");
        let status = if accepted { 200 } else { 404 };
        there.get_manifest("1").await.expect(status);
    }
}

/// GitLab's package writes `validation: {disabled: true}`.
#[tokio::test]
async fn no_image_comes_in_without_its_layers_whatever_is_switched_off() {
    let registry = served(&format!("{OPEN_REGISTRY}validation: {{disabled: true}}\n")).await;
    let repository = registry.anybody().repository("app");
    let image = Image::random();
    repository.push_blob(&image.config).await;
    let refused = repository.put_manifest(&image.manifest, "1").await;
    refused.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    repository.get_manifest("1").await.expect(404);
}

#[tokio::test]
async fn an_index_must_find_the_platforms_that_are_listed() {
    let indexes = "validation:
  manifests:
    indexes:
      platforms: list
      platformlist: [{architecture: amd64, os: linux}]
";
    let registry = served(&format!("{OPEN_REGISTRY}{indexes}")).await;
    let repository = registry.anybody().repository("app");
    let (here, elsewhere) = (Image::random(), Image::random());
    repository.push(&here, "amd64").await;
    let of = |image: &Image, architecture| image.manifest.descriptor_for("linux", architecture);

    let sparse = Manifest::index([of(&here, "amd64"), of(&elsewhere, "arm64")]);
    repository.push_manifest(&sparse, "sparse").await;
    let lacking = Manifest::index([of(&here, "arm64"), of(&elsewhere, "amd64")]);
    let refused = repository.put_manifest(&lacking, "lacking").await;
    let refused = refused.expect_error(400, "MANIFEST_BLOB_UNKNOWN").json();
    let named = refused.to_string();
    assert!(named.contains(&elsewhere.manifest.digest), "{named}");

    registry.reload(&format!(
        "{OPEN_REGISTRY}{}",
        indexes.replace("list\n", "all\n")
    ));
    registry
        .logs(&["validation.manifests.indexes.platforms", "in force"])
        .await;
    let refused = repository.put_manifest(&sparse, "sparse").await;
    refused.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn the_realm_is_where_the_client_came_if_it_is_asked_for() {
    let issuer = ForeignIssuer::new();
    let auth = "auth:
  token:
    autoredirect: true
    autoredirectpath: /jwt/auth
    service: registry
    issuer: issuer
    rootcertbundle: bundle.pem
    signingalgorithms: [ES256]
";
    let text = OPEN_REGISTRY.replace("auth: none\n", auth);
    let registry = Configured::registry(&text)
        .file("bundle.pem", issuer.certificate_pem())
        .start()
        .await;
    let anonymous = registry.client().get("/v2/").send().await.expect(401);
    let challenge = anonymous.challenge();
    let expected = registry.origin().join("jwt/auth").unwrap();
    assert_eq!(challenge.realm, expected);
    assert_eq!(challenge.service, "registry");

    // Of the right issuer and key, but by an algorithm that is not listed.
    let token = issuer.gitlab_token(&claims("issuer", "registry", &json!([])));
    let by_rs256 = registry.client().with_token(&token);
    by_rs256.get("/v2/").send().await.expect(401);
    let both = text.replace("[ES256]", "[ES256, RS256]");
    let registry = Configured::registry(&both)
        .file("bundle.pem", issuer.certificate_pem())
        .start()
        .await;
    let by_rs256 = registry.client().with_token(&token);
    by_rs256.get("/v2/").send().await.expect(200);
}

#[tokio::test]
async fn it_listens_on_a_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("registry.sock");
    let text = OPEN_REGISTRY.replace(
        "addr: 127.0.0.1:0",
        &format!("net: unix\n  addr: {}", socket.display()),
    );
    let configured = Configured::registry(&text);
    let mut registry = configured.invocation().command().spawn().unwrap();
    let ask = || {
        Invocation::new("curl")
            .args([
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--unix-socket",
            ])
            .arg(&socket)
            .arg("http://registry.example.com/v2/")
            .run()
    };
    let begun = Instant::now();
    while ask().stdout != "200" && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answered = ask();
    registry.kill().unwrap();
    registry.wait().unwrap();
    assert_eq!(answered.stdout, "200", "{answered}");
}

#[tokio::test]
async fn locations_begin_with_the_host_that_is_configured() {
    let registry = served(&with_http("  host: https://registry.example.com/\n")).await;
    let repository = registry.anybody().repository("app");
    let opened = repository.post("blobs/uploads/").send().await.expect(202);
    let location = opened.header("location");
    let expected = "https://registry.example.com/v2/app/blobs/uploads/";
    assert!(location.starts_with(expected), "{location}");
}

#[tokio::test]
async fn a_push_that_does_not_end_is_drained_for_as_long_as_it_is_said() {
    let mut registry = served(&with_http("  draintimeout: 1s\n")).await;
    let repository = registry.anybody().repository("app");
    let opened = repository.post("blobs/uploads/").send().await.expect(202);
    let mut slow = Connection::open(registry.origin()).await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\nbegun",
        opened.header("location"),
        registry.host()
    );
    slow.send(head).await;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let begun = Instant::now();
    registry.process().stop().await;

    // Otherwise it is a minute.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    registry.logs(&["drain time is up"]).await;
}

#[tokio::test]
async fn pages_of_tags_are_as_long_as_is_said() {
    let registry = served(&format!("{OPEN_REGISTRY}tags: {{maxtags: 2}}\n")).await;
    let repository = registry.anybody().repository("app");
    let image = Image::random();
    for tag in ["a", "b", "c"] {
        repository.push(&image, tag).await;
    }
    for query in ["", "?n=100"] {
        let page = repository
            .get(&format!("tags/list{query}"))
            .send()
            .await
            .expect(200);
        assert_eq!(page.json()["tags"], json!(["a", "b"]), "{query}");
        let next = page.next_page().unwrap();
        let last = repository.get(&next).send().await.expect(200);
        assert_eq!(last.json()["tags"], json!(["c"]));
    }
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_are_purged_unless_it_is_a_dry_run() {
    for (dryrun, status) in [(false, 404), (true, 204)] {
        let purging = format!(
            "  maintenance:\n    uploadpurging: {{enabled: true, age: 1s, interval: 1s, dryrun: {dryrun}}}\nhttp:"
        );
        let registry = served(&OPEN_REGISTRY.replace("http:", &purging)).await;
        let repository = registry.anybody().repository("app");
        let opened = repository.post("blobs/uploads/").send().await.expect(202);
        let location = opened.header("location");
        let begun = Instant::now();
        // A dry run is given the time in which the other has long been seen to work.
        let (enough, patience) = (Duration::from_secs(4), Duration::from_secs(30));
        loop {
            let answer = repository.get(location).send().await;
            let over = if dryrun { enough } else { patience };
            if answer.status == status && (!dryrun || begun.elapsed() > over) {
                break;
            }
            assert!(begun.elapsed() <= over, "dryrun: {dryrun}: {answer}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test]
async fn what_changes_nothing_is_said_once_and_is_no_warning() {
    let text = OPEN_REGISTRY
        .replace(
            "    rootdirectory: blobs\n",
            "    rootdirectory: blobs\n    maxthreads: 100\n  cache: {blobdescriptor: inmemory}\n  \
             redirect: {disable: true}\n  tag: {concurrencylimit: 8}\n",
        )
        .replace("http:\n", "http:\n  secret: hidden\n");
    let registry = served(&text).await;
    for key in [
        "storage.cache",
        "storage.redirect",
        "storage.tag",
        "http.secret",
    ] {
        let line = registry.logs(&[key, "changes nothing"]).await;
        assert!(line.contains("INFO"), "{line}");
    }
    let log = registry.log();
    assert!(!log.contains("WARN") && !log.contains("hidden"), "{log}");
    registry
        .anybody()
        .repository("app")
        .push(&Image::random(), "1")
        .await;
}

#[test]
fn what_is_still_to_come_is_refused_in_a_sentence() {
    let storage =
        |driver: &str| OPEN_REGISTRY.replace("storage:\n", &format!("storage:\n  {driver}\n"));
    let added = |section: &str| format!("{OPEN_REGISTRY}{section}\n");
    for (text, key, says) in [
        (
            added("proxy: {remoteurl: https://registry-1.docker.io}"),
            "proxy",
            "cannot mirror another registry yet",
        ),
        (
            added("notifications: {endpoints: [{name: a, url: https://a.example.com}]}"),
            "notifications",
            "sends no notifications yet",
        ),
        (
            added("redis: {addr: localhost}"),
            "redis",
            "nothing to cache",
        ),
        (
            added("middleware: {storage: []}"),
            "middleware",
            "cannot be loaded",
        ),
        (
            storage("s3: {bucket: b, region: r}"),
            "storage.s3",
            "file system only",
        ),
        (
            storage("azure: {accountname: a}"),
            "storage.azure",
            "file system only",
        ),
        (
            storage("gcs: {bucket: b}"),
            "storage.gcs",
            "file system only",
        ),
        (
            storage("inmemory: {}"),
            "storage.inmemory",
            "cannot live in memory",
        ),
    ] {
        let refused = Configured::registry(&text)
            .invocation()
            .run()
            .expect_code(2);
        refused.expect_says(["config.yml:", key, says]);
    }
    // And so they are as variables, over sections that are not there.
    for (name, value, says) in [
        (
            "REGISTRY_PROXY_REMOTEURL",
            "https://registry-1.docker.io",
            "mirror",
        ),
        ("REGISTRY_STORAGE_S3_BUCKET", "b", "file system only"),
        ("REGISTRY_REDIS_ADDR", "localhost", "nothing to cache"),
        (
            "REGISTRY_HTTP_HTTP2_DISABLED",
            "perhaps",
            "http.http2.disabled",
        ),
        (
            "REGISTRY_HTTP_HTTP2_DISABLE",
            "true",
            "REGISTRY_HTTP_HTTP2_DISABLED",
        ),
        (
            "REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS",
            "many",
            "storage.filesystem.maxthreads",
        ),
        (
            "REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMS",
            "some",
            "`all`, `list`, `none`",
        ),
        ("REGISTRY_HTTP_TLS_CIPHERSUITES", "[RC4]", "certificate"),
    ] {
        let configured = Configured::registry(OPEN_REGISTRY).env(name, value);
        let refused = configured.invocation().run().expect_code(2);
        refused.expect_says([name, says]);
    }
}
