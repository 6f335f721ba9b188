//! What refers to a manifest: signatures, attestations, and whatever else names it as its subject.

use acceptance::content::{empty_blob, media};
use acceptance::{Blob, Image, Manifest, Portcullis, Repository};
use serde_json::{Value, json};

use crate::empty_repository;

const SIGNATURE: &str = "application/vnd.test.signature";
const REPORT: &str = "application/vnd.test.report";

async fn with_image() -> (Portcullis, Repository, Image) {
    let (portcullis, repository) = empty_repository().await;
    let image = Image::random();
    repository.push(&image, "v1").await;
    repository.push_blob(&empty_blob()).await;
    (portcullis, repository, image)
}

fn digests(descriptors: &[Value]) -> Vec<&str> {
    let mut digests: Vec<_> = descriptors
        .iter()
        .map(|descriptor| descriptor["digest"].as_str().unwrap())
        .collect();
    digests.sort_unstable();
    digests
}

#[tokio::test]
async fn a_manifest_with_a_subject_is_listed() {
    let (_portcullis, repository, image) = with_image().await;
    let signature = Manifest::attached(&image.manifest.descriptor(), SIGNATURE);

    let answer = repository.put_manifest(&signature, &signature.digest).await;

    answer
        .expect(201)
        .expect_header("oci-subject", &image.manifest.digest);
    let listed = repository.referrers(&image.manifest.digest).await;
    let expected = json!({
        "mediaType": media::OCI_MANIFEST,
        "digest": signature.digest,
        "size": signature.bytes.len(),
        "artifactType": SIGNATURE,
        "annotations": signature.json()["annotations"],
    });
    assert_eq!(listed, [expected]);
}

#[tokio::test]
async fn a_push_without_a_subject_does_not_claim_one() {
    let (_portcullis, repository, image) = with_image().await;

    let answer = repository.put_manifest(&image.manifest, "v2").await;

    assert!(!answer.expect(201).has("oci-subject"));
}

#[tokio::test]
async fn a_subject_may_come_later_than_what_refers_to_it() {
    let (_portcullis, repository, _) = with_image().await;
    let image = Image::random();
    let signature = Manifest::attached(&image.manifest.descriptor(), SIGNATURE);
    let answer = repository.put_manifest(&signature, "signature").await;
    answer
        .expect(201)
        .expect_header("oci-subject", &image.manifest.digest);
    let before = repository.referrers(&image.manifest.digest).await;
    assert_eq!(digests(&before), [signature.digest.as_str()]);

    repository.push(&image, "later").await;

    let after = repository.referrers(&image.manifest.digest).await;
    assert_eq!(digests(&after), [signature.digest.as_str()]);
}

#[tokio::test]
async fn nothing_refers_to_an_unknown_digest() {
    let (_portcullis, repository, _) = with_image().await;

    let listed = repository.referrers(&Blob::random(10).digest).await;

    assert_eq!(listed, [Value::Null; 0]);
}

#[tokio::test]
async fn the_list_can_be_filtered_by_type() {
    let (_portcullis, repository, image) = with_image().await;
    let subject = image.manifest.descriptor();
    let signature = Manifest::attached(&subject, SIGNATURE);
    let report = Manifest::attached(&subject, REPORT);
    for manifest in [&signature, &report] {
        repository.push_manifest(manifest, &manifest.digest).await;
    }

    let path = format!("referrers/{}", image.manifest.digest);
    let all = repository.get(&path).send().await.expect(200);
    assert!(!all.has("oci-filters-applied"));
    let both = all.json();
    let mut expected = [signature.digest.as_str(), &report.digest];
    expected.sort_unstable();
    assert_eq!(digests(both["manifests"].as_array().unwrap()), expected);

    for (filter, expected) in [
        (SIGNATURE, Some(&signature)),
        (REPORT, Some(&report)),
        ("x/y", None),
    ] {
        let filtered = format!("{path}?artifactType={}", filter.replace('/', "%2F"));
        let answer = repository.get(&filtered).send().await.expect(200);
        let list = answer.json();
        let found = digests(list["manifests"].as_array().unwrap());
        let expected: Vec<&str> = expected.iter().map(|m| m.digest.as_str()).collect();
        assert_eq!(found, expected, "{filter}");
        answer.expect_header("oci-filters-applied", "artifactType");
    }
}

#[tokio::test]
async fn without_an_artifact_type_the_type_of_the_config_counts() {
    let (_portcullis, repository, image) = with_image().await;
    let config = Blob::new("{\"a\": 1}");
    repository.push_blob(&config).await;
    let attached = Manifest::artifact(&json!({
        "subject": image.manifest.descriptor(),
        "config": config.descriptor("application/vnd.test.config"),
    }));
    repository.push_manifest(&attached, "attached").await;

    let listed = repository.referrers(&image.manifest.digest).await;

    assert_eq!(listed[0]["artifactType"], "application/vnd.test.config");
    let path = format!(
        "referrers/{}?artifactType=application/vnd.test.config",
        image.manifest.digest
    );
    let filtered = repository.get(&path).send().await.expect(200).json();
    assert_eq!(filtered["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_index_may_have_a_subject() {
    let (_portcullis, repository, image) = with_image().await;
    let index = Manifest::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "artifactType": REPORT,
        "manifests": [],
        "subject": image.manifest.descriptor(),
    }));

    let answer = repository.put_manifest(&index, "index").await;

    answer
        .expect(201)
        .expect_header("oci-subject", &image.manifest.digest);
    let listed = repository.referrers(&image.manifest.digest).await;
    assert_eq!(listed[0]["mediaType"], media::OCI_INDEX);
    assert_eq!(listed[0]["artifactType"], REPORT);
}

#[tokio::test]
async fn what_refers_can_be_referred_to() {
    let (_portcullis, repository, image) = with_image().await;
    let report = Manifest::attached(&image.manifest.descriptor(), REPORT);
    repository.push_manifest(&report, "report").await;
    let signature = Manifest::attached(&report.descriptor(), SIGNATURE);
    repository.push_manifest(&signature, "signature").await;

    let of_image = repository.referrers(&image.manifest.digest).await;
    let of_report = repository.referrers(&report.digest).await;

    assert_eq!(digests(&of_image), [report.digest.as_str()]);
    assert_eq!(digests(&of_report), [signature.digest.as_str()]);
}

#[tokio::test]
async fn a_deleted_referrer_is_not_listed() {
    let (_portcullis, repository, image) = with_image().await;
    let signature = Manifest::attached(&image.manifest.descriptor(), SIGNATURE);
    repository.push_manifest(&signature, "signature").await;

    repository
        .delete_manifest(&signature.digest)
        .await
        .expect(202);

    let listed = repository.referrers(&image.manifest.digest).await;
    assert_eq!(listed, [Value::Null; 0]);
}

#[tokio::test]
async fn referrers_of_a_deleted_subject_are_still_listed() {
    let (_portcullis, repository, image) = with_image().await;
    let signature = Manifest::attached(&image.manifest.descriptor(), SIGNATURE);
    repository.push_manifest(&signature, "signature").await;

    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);

    let listed = repository.referrers(&image.manifest.digest).await;
    assert_eq!(digests(&listed), [signature.digest.as_str()]);
}

#[tokio::test]
async fn referrers_stay_in_their_repository() {
    let (portcullis, repository, image) = with_image().await;
    let other = portcullis.admin().repository("admin/other");
    other.push(&image, "v1").await;
    other.push_blob(&empty_blob()).await;
    let signature = Manifest::attached(&image.manifest.descriptor(), SIGNATURE);
    other.push_manifest(&signature, "signature").await;

    let listed = repository.referrers(&image.manifest.digest).await;

    assert_eq!(listed, [Value::Null; 0]);
}

#[tokio::test]
async fn what_is_no_digest_has_no_referrers() {
    let (_portcullis, repository, _) = with_image().await;
    for bad in ["v1", "sha256:abc", "sha256"] {
        let answer = repository.get(&format!("referrers/{bad}")).send().await;
        answer.expect_error(400, "DIGEST_INVALID");
    }
}

#[tokio::test]
async fn a_subject_that_is_no_descriptor_is_refused() {
    let (_portcullis, repository, _) = with_image().await;
    for subject in [json!("latest"), json!({"digest": "latest"}), json!([])] {
        let manifest = Manifest::artifact(&json!({"subject": subject}));
        let answer = repository.put_manifest(&manifest, "bad").await;
        assert_eq!(answer.status, 400, "{answer}");
    }
}
