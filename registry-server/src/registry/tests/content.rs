use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

use crate::auth::{Delete, Gatekeeper, Presented, Pull, Push};
use crate::oci::{Algorithm, Digest, Platform, Reference, media_type};
use crate::registry::{Error, IndexRules, PushedManifest, REVIEW_DELAY, Rules, UrlRules};
use crate::testing::{TestRegistry, image};

fn tag(name: &str) -> Reference {
    name.parse().unwrap()
}

async fn put(
    registry: &TestRegistry,
    name: &str,
    reference: &str,
    manifest: &Value,
) -> Result<PushedManifest, Error> {
    registry
        .registry()
        .put_manifest(
            &registry.proof::<Push>(name),
            &tag(reference),
            &[],
            None,
            Bytes::from(manifest.to_string()),
        )
        .await
}

async fn with_image(rules: Rules) -> (TestRegistry, Digest) {
    let registry = TestRegistry::with(rules, |_| {}).await;
    registry.push_blob("a", b"config").await;
    registry.push_blob("a", b"layer").await;
    let pushed = put(&registry, "a", "v1", &image(&[b"config", b"layer"])).await;
    (registry, pushed.unwrap().digest)
}

fn deletion() -> Rules {
    Rules {
        deletion: true,
        ..Rules::default()
    }
}

#[tokio::test]
async fn a_manifest_is_found_by_tag_and_by_digest_until_it_is_deleted() {
    let (registry, digest) = with_image(deletion()).await;
    let pull = registry.proof::<Pull>("a");
    let by_digest = Reference::Digest(digest.clone());
    for reference in [&tag("v1"), &by_digest] {
        let found = registry.registry().manifest(&pull, reference).await;
        assert_eq!(found.unwrap().digest, digest);
    }
    let delete = registry.proof::<Delete>("a");
    registry
        .registry()
        .delete_manifest(&delete, &digest)
        .await
        .unwrap();
    let result = registry.registry().manifest(&pull, &tag("v1")).await;
    assert!(matches!(result, Err(Error::TagUnknown(_))));
    let result = registry.registry().manifest(&pull, &by_digest).await;
    assert!(matches!(result, Err(Error::ManifestUnknown)));
    let result = registry.registry().delete_manifest(&delete, &digest).await;
    assert!(matches!(result, Err(Error::ManifestUnknown)));
}

#[tokio::test]
async fn a_refused_manifest_makes_no_repository() {
    let registry = TestRegistry::new().await;
    let result = put(&registry, "new", "v1", &image(&[b"config"])).await;
    let Err(Error::ContentMissing(missing)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(missing, [Digest::of(Algorithm::Sha256, b"config")]);
    let pull = registry.proof::<Pull>("new");
    let result = registry.registry().tags(&pull, None, 10).await;
    assert!(matches!(result, Err(Error::RepositoryUnknown)));
}

#[tokio::test]
async fn a_size_that_is_not_the_blobs_is_refused() {
    let (registry, _) = with_image(deletion()).await;
    let mut manifest = image(&[b"config", b"layer"]);
    manifest["layers"][0]["size"] = json!(4);
    let result = put(&registry, "a", "v1", &manifest).await;
    assert!(matches!(result, Err(Error::SizeMismatch { size: 5, .. })));
}

#[tokio::test]
async fn a_blob_that_a_manifest_needs_cannot_be_deleted_before_it() {
    let (registry, digest) = with_image(deletion()).await;
    let delete = registry.proof::<Delete>("a");
    let layer = Digest::of(Algorithm::Sha256, b"layer");
    let result = registry.registry().delete_blob(&delete, &layer).await;
    assert!(matches!(result, Err(Error::BlobRequired(_))));
    registry
        .registry()
        .delete_manifest(&delete, &digest)
        .await
        .unwrap();
    registry
        .registry()
        .delete_blob(&delete, &layer)
        .await
        .unwrap();
    let pull = registry.proof::<Pull>("a");
    let result = registry.registry().blob(&pull, &layer).await;
    assert!(matches!(result, Err(Error::BlobUnknown(_))));
}

#[tokio::test]
async fn a_blob_that_was_just_pulled_is_gone_as_soon_as_it_is_deleted() {
    let registry = TestRegistry::new().await;
    let digest = registry.push_blob("a", b"hello").await;
    let pull = registry.proof::<Pull>("a");
    registry.registry().blob(&pull, &digest).await.unwrap();
    let delete = registry.proof::<Delete>("a");
    registry
        .registry()
        .delete_blob(&delete, &digest)
        .await
        .unwrap();
    let result = registry.registry().blob(&pull, &digest).await;
    assert!(matches!(result, Err(Error::BlobUnknown(_))));
}

#[tokio::test]
async fn what_the_store_has_lost_is_unknown_and_can_be_pushed_again() {
    let registry = TestRegistry::new().await;
    let digest = registry.push_blob("a", b"hello").await;
    let store: &dyn crate::blob_store::BlobStore = &*registry.store;
    store.delete(&digest).await.unwrap();
    let pull = registry.proof::<Pull>("a");
    let result = registry.registry().blob_size(&pull, &digest).await;
    assert!(matches!(result, Err(Error::BlobUnknown(_))));
    let push = registry.proof::<Push>("b");
    let mounted = registry.registry().mount(&push, Some(&pull), &digest).await;
    assert!(!mounted.unwrap());

    registry.push_blob("a", b"hello").await;
    let size = registry.registry().blob_size(&pull, &digest).await;
    assert_eq!(size.unwrap(), 5);
}

#[tokio::test]
async fn a_mount_shows_what_the_caller_may_pull_and_nothing_else() {
    let registry = TestRegistry::new().await;
    let digest = registry.push_blob("a", b"hello").await;
    let push = registry.proof::<Push>("b");
    // alice's token for `b` names no other repository.
    assert!(
        !registry
            .registry()
            .mount(&push, None, &digest)
            .await
            .unwrap()
    );
    let pull = registry.proof::<Pull>("a");
    let mounted = registry.registry().mount(&push, Some(&pull), &digest).await;
    assert!(mounted.unwrap());
    // Now `b` has it, and her token names `b`.
    assert!(
        registry
            .registry()
            .mount(&push, None, &digest)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_mount_that_fails_makes_no_repository() {
    let registry = TestRegistry::new().await;
    let digest = registry.push_blob("a", b"hello").await;
    let push = registry.proof::<Push>("new");
    assert!(
        !registry
            .registry()
            .mount(&push, None, &digest)
            .await
            .unwrap()
    );
    let open = Gatekeeper::open();
    let new = crate::testing::repository("new");
    let push = open
        .authorize::<Push>(Presented::Nothing, new, registry.clock.now())
        .unwrap();
    let unknown = Digest::of(Algorithm::Sha256, b"unknown");
    assert!(
        !registry
            .registry()
            .mount(&push, None, &unknown)
            .await
            .unwrap()
    );
    let pull = registry.proof::<Pull>("new");
    let result = registry.registry().tags(&pull, None, 10).await;
    assert!(matches!(result, Err(Error::RepositoryUnknown)));
    // Where everybody may pull everything, everything may be mounted.
    assert!(
        registry
            .registry()
            .mount(&push, None, &digest)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn whoever_is_told_that_a_blob_exists_has_time_to_use_it() {
    let registry = TestRegistry::new().await;
    let digest = registry.push_blob("a", b"hello").await;
    let due = || async {
        let mut tx = registry.database.database.read().await.unwrap();
        let repository = crate::testing::repository("a");
        let found = crate::metadata::blobs::find_linked(&mut tx, &repository, &digest).await;
        found.unwrap().unwrap().review_due_at.unwrap()
    };
    let pull = registry.proof::<Pull>("a");
    assert_eq!(due().await, registry.clock.now() + REVIEW_DELAY);
    registry.clock.advance(Duration::from_hours(20));
    registry.registry().blob_size(&pull, &digest).await.unwrap();
    assert_eq!(due().await, registry.clock.now() + REVIEW_DELAY);
}

/// What `HEAD` writes is for the client's sake, and must not cost it the answer.
#[tokio::test]
async fn a_blob_is_known_although_nothing_can_be_written() {
    let registry = due_soon_and_read_only().await;
    let layer = Digest::of(Algorithm::Sha256, b"layer");
    let pull = registry.proof::<Pull>("a");
    let size = registry.registry().blob_size(&pull, &layer).await;
    assert_eq!(size.unwrap(), 5);
}

#[tokio::test]
async fn a_manifest_is_known_although_nothing_can_be_written() {
    let registry = due_soon_and_read_only().await;
    let digest = Digest::of(
        Algorithm::Sha256,
        image(&[b"config", b"layer"]).to_string().as_bytes(),
    );
    let pull = registry.proof::<Pull>("a");
    let reference = Reference::Digest(digest.clone());
    let found = registry.registry().manifest_exists(&pull, &reference).await;
    let found = found.unwrap();
    assert_eq!(found.digest, digest);
    assert!(found.review_due_at.unwrap() < registry.clock.now() + REVIEW_DELAY / 2);
}

/// An image without a tag whose reviews would be put off, and a database that takes no changes.
async fn due_soon_and_read_only() -> TestRegistry {
    let (registry, _) = with_image(deletion()).await;
    let (delete, tag) = (registry.proof::<Delete>("a"), "v1".parse().unwrap());
    registry.registry().delete_tag(&delete, &tag).await.unwrap();
    registry.clock.advance(Duration::from_hours(20));
    // The one connection that writes.
    let mut tx = registry.database.database.begin().await.unwrap();
    database::sql!(&mut tx, execute, "PRAGMA query_only = ON").unwrap();
    registry
}

#[tokio::test]
async fn maintenance_stops_every_kind_of_writing() {
    let registry = TestRegistry::with(
        Rules {
            deletion: true,
            read_only: true,
            ..Rules::default()
        },
        |_| {},
    )
    .await;
    let rules = registry.registry();
    let push = registry.proof::<Push>("a");
    let delete = registry.proof::<Delete>("a");
    let digest = Digest::of(Algorithm::Sha256, b"x");
    let nothing = futures_util::stream::iter([]);
    let results = [
        rules.open_upload(&push, Algorithm::Sha256).await.map(drop),
        rules.push_blob(&push, &digest, None, nothing).await,
        rules.mount(&push, None, &digest).await.map(drop),
        put(&registry, "a", "v1", &image(&[b"x"])).await.map(drop),
        rules.delete_blob(&delete, &digest).await,
        rules.delete_manifest(&delete, &digest).await,
        rules.delete_tag(&delete, &"v1".parse().unwrap()).await,
    ];
    for result in results {
        assert!(matches!(result, Err(Error::Maintenance)), "{result:?}");
    }
}

fn index(children: &[(&Digest, &str)]) -> Value {
    let entry = |(digest, architecture): &(&Digest, &str)| {
        let mut entry = json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1});
        if !architecture.is_empty() {
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
        }
        entry
    };
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": children.iter().map(entry).collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn indexes_may_be_sparse_unless_the_rules_want_them_complete() {
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    let listed = |architecture: &str| Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
    };
    let windows = Platform {
        architecture: "arm64".to_owned(),
        os: "windows".to_owned(),
    };
    // Whether an index is accepted that lacks: everything, arm64, what runs nowhere in particular.
    for (indexes, accepted) in [
        (IndexRules::Sparse, [true, true, true]),
        (IndexRules::Complete, [false, false, false]),
        (
            IndexRules::Platforms(vec![listed("arm64")]),
            [false, false, true],
        ),
        (
            IndexRules::Platforms(vec![listed("amd64")]),
            [false, true, true],
        ),
        (IndexRules::Platforms(vec![windows]), [true, true, true]),
    ] {
        let rules = Rules {
            indexes: indexes.clone(),
            ..Rules::default()
        };
        let (registry, present) = with_image(rules).await;
        let full = index(&[(&present, "amd64"), (&present, "arm64"), (&present, "")]);
        put(&registry, "a", "v1", &full).await.unwrap();
        let lacking = [
            index(&[(&absent, "amd64"), (&absent, "arm64"), (&absent, "")]),
            index(&[(&present, "amd64"), (&absent, "arm64")]),
            index(&[(&present, "amd64"), (&absent, "")]),
        ];
        for (index, accepted) in lacking.iter().zip(accepted) {
            let result = put(&registry, "a", "v1", index).await;
            match result {
                Ok(_) => assert!(accepted, "{indexes:?}: {index}"),
                Err(Error::ContentMissing(missing)) => {
                    assert!(
                        !accepted && missing.contains(&absent),
                        "{indexes:?}: {index}"
                    );
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn urls_are_checked_wherever_a_client_would_follow_them() {
    let urls = UrlRules::Matching {
        allow: vec![regex::Regex::new("^https://good\\.test/").unwrap()],
        deny: Vec::new(),
    };
    let strict = Rules {
        urls,
        ..Rules::default()
    };
    let ((registry, _), (nowhere, _)) =
        tokio::join!(with_image(strict), with_image(Rules::default()));
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    for (url, accepted) in [
        ("https://good.test/layer", true),
        ("https://bad.test/layer", false),
        ("https://good.test/layer#part", false),
    ] {
        let mut layer = image(&[b"config", b"elsewhere"]);
        layer["layers"][0]["urls"] = json!(["https://good.test/", url]);
        let mut config = image(&[b"config"]);
        config["config"]["urls"] = json!([url]);
        let mut entry = index(&[(&absent, "amd64")]);
        entry["manifests"][0]["urls"] = json!([url]);
        for manifest in [layer, config, entry] {
            match put(&registry, "a", "v1", &manifest).await {
                Ok(_) => assert!(accepted, "{manifest}"),
                Err(Error::UrlForbidden(named)) => assert!(!accepted && named == url),
                Err(error) => panic!("{error}"),
            }
            let refused = put(&nowhere, "a", "v1", &manifest).await;
            assert!(
                matches!(refused, Err(Error::UrlForbidden(_))),
                "{refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn long_lists_of_referrers_come_in_pages() {
    let (registry, subject) = with_image(Rules::default()).await;
    let note = "x".repeat(1 << 20);
    for number in 0..6 {
        let mut manifest = image(&[b"config"]);
        manifest["subject"] =
            json!({"mediaType": media_type::OCI_MANIFEST, "digest": subject, "size": 1});
        manifest["annotations"] = json!({"note": note, "number": number.to_string()});
        put(&registry, "a", &format!("r{number}"), &manifest)
            .await
            .unwrap();
    }
    let pull = registry.proof::<Pull>("a");
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = registry
            .registry()
            .referrers(&pull, &subject, None, seen.last())
            .await
            .unwrap();
        seen.extend(page.entries.into_iter().map(|entry| entry.digest));
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (6, 2));
    assert!(seen.is_sorted());
}
