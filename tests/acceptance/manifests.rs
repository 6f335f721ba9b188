//! Manifests: pushed, pulled, tagged, refused, deleted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use acceptance::content::{empty_blob, media, sha512, unique};
use acceptance::{Answer, Blob, Image, Manifest, Portcullis, Repository};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::empty_repository;

/// The greatest manifest: 4 MiB.
const LIMIT: usize = 4 << 20;

/// A repository with the blobs of an image that is not pushed yet.
async fn prepared() -> (Portcullis, Repository, Image) {
    let (portcullis, repository) = empty_repository().await;
    let image = Image::random();
    for blob in image.blobs() {
        repository.push_blob(blob).await;
    }
    (portcullis, repository, image)
}

async fn expect_pullable(repository: &Repository, manifest: &Manifest, reference: &str) {
    let path = format!("manifests/{reference}");
    let got = repository.get(&path).send().await.expect(200);
    assert_eq!(got.body, manifest.bytes);
    let head = repository.head(&path).send().await.expect(200);
    assert!(head.body.is_empty());
    for answer in [got, head] {
        answer
            .expect_header("content-type", &manifest.media_type)
            .expect_header("docker-content-digest", &manifest.digest)
            .expect_header("content-length", &manifest.bytes.len().to_string());
    }
}

#[tokio::test]
async fn a_manifest_comes_back_by_tag_and_by_digest() {
    let (_portcullis, repository, image) = prepared().await;

    let answer = repository.put_manifest(&image.manifest, "v1").await;

    let answer = answer
        .expect(201)
        .expect_header("docker-content-digest", &image.manifest.digest);
    let location = answer.header("location");
    let fetched = repository.get(location).send().await.expect(200);
    assert_eq!(fetched.body, image.manifest.bytes);
    for reference in ["v1", &image.manifest.digest] {
        expect_pullable(&repository, &image.manifest, reference).await;
    }
}

#[tokio::test]
async fn a_manifest_pushed_by_digest_has_no_tag() {
    let (_portcullis, repository, image) = prepared().await;

    repository
        .push_manifest(&image.manifest, &image.manifest.digest)
        .await;

    expect_pullable(&repository, &image.manifest, &image.manifest.digest).await;
    assert_eq!(repository.tags().await, [""; 0]);
}

#[tokio::test]
async fn a_manifest_pushed_by_the_digest_of_another_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    let other = Blob::random(10).digest;

    let answer = repository.put_manifest(&image.manifest, &other).await;

    answer.expect_error(400, "DIGEST_INVALID");
    repository.get_manifest(&other).await.expect(404);
}

#[tokio::test]
async fn a_manifest_can_be_named_by_sha512() {
    let (_portcullis, repository, image) = prepared().await;
    let digest = sha512(&image.manifest.bytes);

    let answer = repository.put_manifest(&image.manifest, &digest).await;

    answer
        .expect(201)
        .expect_header("docker-content-digest", &digest);
    let named = Manifest {
        digest: digest.clone(),
        ..image.manifest
    };
    expect_pullable(&repository, &named, &digest).await;
}

#[tokio::test]
async fn several_tags_in_one_push() {
    let (_portcullis, repository, image) = prepared().await;
    let tags: Vec<String> = (0..10).map(|i| format!("tag-{i}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();

    let reference = format!("{}?{}", image.manifest.digest, query.join("&"));
    let answer = repository.put_manifest(&image.manifest, &reference).await;

    let answer = answer.expect(201);
    let acknowledged: Vec<&str> = answer
        .headers
        .get_all("oci-tag")
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(", "))
        .collect();
    assert_eq!(acknowledged, tags, "{answer}");
    for tag in &tags {
        expect_pullable(&repository, &image.manifest, tag).await;
    }
}

#[tokio::test]
async fn of_several_tags_in_one_push_none_may_be_bad() {
    let (_portcullis, repository, image) = prepared().await;

    let reference = format!("{}?tag=good&tag=.bad", image.manifest.digest);
    let answer = repository.put_manifest(&image.manifest, &reference).await;

    answer.expect(400);
    repository.get_manifest("good").await.expect(404);
}

#[tokio::test]
async fn a_tag_moves_and_the_old_manifest_stays() {
    let (_portcullis, repository) = empty_repository().await;
    let (old, new) = (Image::random(), Image::random());
    repository.push(&old, "latest").await;

    repository.push(&new, "latest").await;

    expect_pullable(&repository, &new.manifest, "latest").await;
    expect_pullable(&repository, &old.manifest, &old.manifest.digest).await;
}

#[tokio::test]
async fn one_tag_pushed_by_many_at_once_points_at_one_of_them() {
    let (_portcullis, repository) = empty_repository().await;
    let images: Vec<_> = (0..8).map(|_| Image::random()).collect();

    join_all(images.iter().map(|image| repository.push(image, "latest"))).await;

    let got = repository.get_manifest("latest").await.expect(200);
    let digest = got.header("docker-content-digest");
    let winner = images.iter().find(|i| i.manifest.digest == digest);
    repository.expect_image(winner.unwrap(), "latest").await;
    for image in &images {
        expect_pullable(&repository, &image.manifest, &image.manifest.digest).await;
    }
}

#[tokio::test]
async fn what_is_stored_comes_back_whatever_accept_says() {
    let (_portcullis, repository, image) = prepared().await;
    repository.push_manifest(&image.manifest, "v1").await;

    for accept in [
        "*/*",
        media::OCI_MANIFEST,
        media::DOCKER_MANIFEST,
        "text/html",
    ] {
        let answer = repository
            .get("manifests/v1")
            .header("accept", accept)
            .send()
            .await;
        answer
            .expect(200)
            .expect_header("content-type", media::OCI_MANIFEST);
    }
}

#[tokio::test]
async fn docker_schema_2_images_and_lists() {
    let (_portcullis, repository) = empty_repository().await;
    let image = Image::docker();
    repository.push(&image, "docker").await;
    expect_pullable(&repository, &image.manifest, "docker").await;

    let list = Manifest::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_LIST,
        "manifests": [image.manifest.descriptor_for("linux", "amd64")],
    }));
    repository.push_manifest(&list, "list").await;

    expect_pullable(&repository, &list, "list").await;
}

#[tokio::test]
async fn docker_schema_1_is_refused_with_a_reason() {
    let (_portcullis, repository) = empty_repository().await;
    let old = json!({"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": []});
    let old = Manifest::from_bytes(media::DOCKER_SCHEMA_1, old.to_string());

    let answer = repository.put_manifest(&old, "old").await;

    let answer = answer.expect_error(400, "MANIFEST_INVALID");
    let message = answer.json()["errors"][0].to_string();
    assert!(message.contains("schema 1"), "{message}");
}

#[tokio::test]
async fn an_index_of_images_and_of_indexes() {
    let (_portcullis, repository) = empty_repository().await;
    let (one, two) = (Image::random(), Image::random());
    repository.push(&one, &one.manifest.digest).await;
    repository.push(&two, &two.manifest.digest).await;
    let inner = Manifest::index([
        one.manifest.descriptor_for("linux", "amd64"),
        two.manifest.descriptor_for("linux", "arm64"),
    ]);
    let outer = Manifest::index([inner.descriptor()]);

    repository.push_manifest(&inner, "inner").await;
    repository.push_manifest(&outer, "outer").await;

    expect_pullable(&repository, &inner, "inner").await;
    expect_pullable(&repository, &outer, "outer").await;
}

#[tokio::test]
async fn an_index_may_be_sparse() {
    let (_portcullis, repository) = empty_repository().await;
    let (present, absent) = (Image::random(), Image::random());
    repository.push(&present, &present.manifest.digest).await;
    let index = Manifest::index([
        present.manifest.descriptor_for("linux", "amd64"),
        absent.manifest.descriptor_for("linux", "s390x"),
    ]);

    repository.push_manifest(&index, "sparse").await;

    expect_pullable(&repository, &index, "sparse").await;
    let missing = repository.get_manifest(&absent.manifest.digest).await;
    missing.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn an_index_of_nothing() {
    let (_portcullis, repository) = empty_repository().await;
    let index = Manifest::index([]);

    repository.push_manifest(&index, "empty").await;

    expect_pullable(&repository, &index, "empty").await;
}

#[tokio::test]
async fn an_artifact_of_the_empty_blob() {
    let (_portcullis, repository) = empty_repository().await;
    repository.push_blob(&empty_blob()).await;
    let artifact = Manifest::artifact(&json!({"artifactType": "application/x.test"}));

    repository.push_manifest(&artifact, "artifact").await;

    expect_pullable(&repository, &artifact, "artifact").await;
}

#[tokio::test]
async fn fields_nobody_knows_are_kept() {
    let (_portcullis, repository, image) = prepared().await;
    let config = image.config.bytes.clone();
    let image = image.edited(|manifest| {
        manifest["org.example.unknown"] = json!({"deep": [1, "two", null]});
        manifest["layers"][0]["org.example.unknown"] = json!(true);
        manifest["config"]["data"] = json!(BASE64_STANDARD.encode(&config));
    });

    repository.push_manifest(&image.manifest, "v1").await;

    expect_pullable(&repository, &image.manifest, "v1").await;
}

#[tokio::test]
async fn data_that_is_not_what_its_digest_says_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    let image = image.edited(|manifest| manifest["config"]["data"] = json!("e30="));

    let answer = repository.put_manifest(&image.manifest, "v1").await;

    answer.expect_error(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn layers_that_are_kept_elsewhere_need_not_be_here() {
    let (_portcullis, repository, image) = prepared().await;
    for (media_type, urls) in [
        (media::OCI_NONDISTRIBUTABLE, json!([])),
        (
            media::DOCKER_FOREIGN_LAYER,
            json!(["https://example.com/layer"]),
        ),
    ] {
        let image = image.edited(|manifest| {
            let mut layer = Blob::random(100).descriptor(media_type);
            layer["urls"] = urls;
            manifest["layers"].as_array_mut().unwrap().push(layer);
        });
        repository.push_manifest(&image.manifest, "v1").await;
        expect_pullable(&repository, &image.manifest, "v1").await;
    }
}

#[tokio::test]
async fn a_manifest_whose_blobs_are_missing_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    let missing = Blob::random(10);
    for part in ["config", "layer"] {
        let image = image.edited(|manifest| {
            let place = match part {
                "config" => &mut manifest["config"]["digest"],
                _ => &mut manifest["layers"][1]["digest"],
            };
            *place = json!(missing.digest);
        });
        let answer = repository.put_manifest(&image.manifest, "broken").await;
        let status = answer.status.as_u16();
        assert!([400, 404].contains(&status), "{answer}");
        let answer = answer.expect_error(status, "MANIFEST_BLOB_UNKNOWN");
        let body = answer.json().to_string();
        assert!(body.contains(&missing.digest), "{body} names no digest");
        repository.get_manifest("broken").await.expect(404);
    }
}

#[tokio::test]
async fn blobs_of_another_repository_do_not_count() {
    let (portcullis, _repository, image) = prepared().await;
    let other = portcullis.admin().repository("admin/other");

    let answer = other.put_manifest(&image.manifest, "v1").await;

    assert!(answer.status.is_client_error(), "{answer}");
    assert_eq!(answer.json()["errors"][0]["code"], "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    let edited = |edit: fn(&mut Value)| image.edited(edit).manifest.bytes;
    for (what, bytes) in [
        ("nothing", "".into()),
        ("no JSON", "{\"schemaVersion\": 2".into()),
        ("a list", "[]".into()),
        ("a string", "\"manifest\"".into()),
        (
            "no UTF-8",
            b"{\"schemaVersion\": 2, \"a\": \"\xff\"}".to_vec().into(),
        ),
        ("two documents", "{} {}".into()),
        (
            "no schema version",
            edited(|m| drop(m.as_object_mut().unwrap().remove("schemaVersion"))),
        ),
        (
            "another schema version",
            edited(|m| m["schemaVersion"] = json!(3)),
        ),
        (
            "no config",
            edited(|m| drop(m.as_object_mut().unwrap().remove("config"))),
        ),
        (
            "layers that are no list",
            edited(|m| m["layers"] = json!("none")),
        ),
        (
            "no digest",
            edited(|m| m["config"]["digest"] = json!("latest")),
        ),
        (
            "a negative size",
            edited(|m| m["config"]["size"] = json!(-1)),
        ),
        (
            "another media type",
            edited(|m| m["mediaType"] = json!(media::OCI_INDEX)),
        ),
        (
            "nested too deep",
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into(),
        ),
    ] {
        let manifest = Manifest::from_bytes(media::OCI_MANIFEST, bytes);
        let answer = repository.put_manifest(&manifest, "v1").await;
        assert_eq!(answer.status, 400, "{what}: {answer}");
        let code = &answer.json()["errors"][0]["code"];
        assert!(
            ["MANIFEST_INVALID", "DIGEST_INVALID"].contains(&code.as_str().unwrap()),
            "{what}: {answer}"
        );
    }
    repository.get_manifest("v1").await.expect(404);
}

#[tokio::test]
async fn a_media_type_that_is_none_of_ours_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    for media_type in ["text/html", "application/octet-stream", "application/json"] {
        let manifest = Manifest::from_bytes(media_type, "{\"schemaVersion\": 2}");
        let answer = repository.put_manifest(&manifest, "v1").await;
        assert!([400, 415].contains(&answer.status.as_u16()), "{answer}");
        assert_eq!(answer.json()["errors"][0]["code"], "MANIFEST_INVALID");
    }
    drop(image);
}

#[tokio::test]
async fn a_size_that_is_not_the_blobs_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    let image = image.edited(|manifest| manifest["layers"][0]["size"] = json!(999_999));

    let answer = repository.put_manifest(&image.manifest, "v1").await;

    assert_eq!(answer.status, 400, "{answer}");
}

fn padded(image: &Image, length: usize) -> Manifest {
    let padded = |spaces: usize| {
        image.edited(|manifest| {
            manifest["annotations"] = json!({"padding": "x".repeat(spaces)});
        })
    };
    let overhead = padded(0).manifest.bytes.len();
    let manifest = padded(length - overhead).manifest;
    assert_eq!(manifest.bytes.len(), length);
    manifest
}

#[tokio::test]
async fn a_manifest_may_have_4_mib_and_not_a_byte_more() {
    let (_portcullis, repository, image) = prepared().await;
    let greatest = padded(&image, LIMIT);
    repository.push_manifest(&greatest, "greatest").await;
    expect_pullable(&repository, &greatest, "greatest").await;

    let too_great = padded(&image, LIMIT + 1);
    let answer = repository.put_manifest(&too_great, "v1").await;

    assert_eq!(answer.status, 413, "{answer}");
    assert_eq!(
        answer.json()["errors"][0]["code"],
        "SIZE_INVALID",
        "{answer}"
    );
    repository.get_manifest("v1").await.expect(404);
}

#[tokio::test]
async fn an_unknown_manifest_is_not_found() {
    let (_portcullis, repository, image) = prepared().await;
    repository.push_manifest(&image.manifest, "v1").await;
    for reference in ["v2", &Blob::random(10).digest] {
        let answer = repository.get_manifest(reference).await;
        answer.expect_error(404, "MANIFEST_UNKNOWN");
        let path = format!("manifests/{reference}");
        let head = repository.head(&path).send().await.expect(404);
        assert!(head.body.is_empty());
        let answer = repository.delete_manifest(reference).await;
        answer.expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn what_is_no_reference_is_refused() {
    let (_portcullis, repository, image) = prepared().await;
    let long = "a".repeat(129);
    for reference in [
        ".dot",
        "-dash",
        "sp%20ace",
        "a%2Fb",
        "%00",
        "sha256:abc",
        "a:b",
        &long,
    ] {
        let put = repository.put_manifest(&image.manifest, reference).await;
        let get = repository.get_manifest(reference).await;
        for answer in [put, get] {
            let status = answer.status.as_u16();
            assert!([400, 404].contains(&status), "{reference}: {answer}");
            assert!(
                answer.json()["errors"][0]["message"].is_string(),
                "{answer}"
            );
        }
    }
    let longest = "a".repeat(128);
    for reference in [longest.as_str(), "A", "0", "_a", "a.b-c_D"] {
        repository.push_manifest(&image.manifest, reference).await;
        expect_pullable(&repository, &image.manifest, reference).await;
    }
}

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest() {
    let (_portcullis, repository, image) = prepared().await;
    repository.push_manifest(&image.manifest, "v1").await;
    repository.push_manifest(&image.manifest, "v2").await;

    repository.delete_manifest("v1").await.expect(202);

    let gone = repository.get_manifest("v1").await;
    gone.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(repository.tags().await, ["v2"]);
    expect_pullable(&repository, &image.manifest, "v2").await;
    expect_pullable(&repository, &image.manifest, &image.manifest.digest).await;
}

#[tokio::test]
async fn deleting_a_manifest_removes_its_tags() {
    let (_portcullis, repository, image) = prepared().await;
    repository.push_manifest(&image.manifest, "v1").await;
    repository.push_manifest(&image.manifest, "v2").await;

    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);

    for reference in ["v1", "v2", &image.manifest.digest] {
        let answer = repository.get_manifest(reference).await;
        answer.expect_error(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(repository.tags().await, [""; 0]);
    repository.push_manifest(&image.manifest, "v1").await;
    repository.expect_image(&image, "v1").await;
}

#[tokio::test]
async fn a_manifest_is_no_blob_and_a_blob_no_manifest() {
    let (_portcullis, repository, image) = prepared().await;
    repository.push_manifest(&image.manifest, "v1").await;

    let answer = repository.get_manifest(&image.config.digest).await;

    answer.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_manifest_of_another_repository_is_not_found() {
    let (portcullis, repository, image) = prepared().await;
    repository.push_manifest(&image.manifest, "v1").await;
    let other = portcullis.admin().repository("admin/other");
    other.push(&Image::random(), &unique()).await;

    let answer: Answer = other.get_manifest(&image.manifest.digest).await;

    answer.expect_error(404, "MANIFEST_UNKNOWN");
}
