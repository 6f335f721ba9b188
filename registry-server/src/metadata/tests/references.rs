//! What manifests refer to, referrers, deletion, and what keeps the collector away.

use super::*;
use crate::metadata::referrers::Referrer;

async fn missing_from(tx: &mut Tx, repository: RepositoryId, manifest: &Value) -> Vec<Digest> {
    match put_in(tx, repository, manifest).await {
        Put::Stored(_) => Vec::new(),
        Put::MissingBlobs(missing) => missing,
        Put::WrongSize { digest, size } => panic!("{digest} has {size} bytes"),
    }
}

fn about(subject: &Value, config: &str, artifact_type: Option<&str>) -> Value {
    let mut manifest = image(&[config]);
    manifest["subject"] = descriptor(&subject.to_string());
    if let Some(artifact_type) = artifact_type {
        manifest["artifactType"] = json!(artifact_type);
    }
    manifest
}

async fn list(
    tx: &mut Tx,
    repository: &str,
    subject: &Value,
    artifact_type: Option<&str>,
    after: Option<&Digest>,
    limit: u32,
) -> Vec<Referrer> {
    let subject = digest_of(subject);
    referrers::page(tx, &name(repository), &subject, artifact_type, after, limit)
        .await
        .unwrap()
}

/// Tries to take a blob's row as the collector does, without waiting.
async fn collector_may_lock(database: &Database, content: &str) -> bool {
    let mut tx = begin(database).await;
    let found: Option<(i64,)> = sql!(
        &mut tx,
        fetch_optional(i64,),
        "SELECT id FROM blobs WHERE digest = $1 FOR UPDATE SKIP LOCKED",
        digest(content).as_str()
    )
    .unwrap();
    found.is_some()
}

database::test_on_both! {
    migrations: (SQLITE_MIGRATIONS, POSTGRES_MIGRATIONS);

    async fn a_manifest_must_know_the_size_of_its_blobs(database: Database) {
        let repository = repository(&database, "a", &["config", "layer"]).await;
        let mut manifest = image(&["config", "layer"]);
        manifest["layers"][0]["size"] = json!(6);
        let mut tx = begin(&database).await;
        let put = put_in(&mut tx, repository, &manifest).await;
        assert_eq!(put, Put::WrongSize { digest: digest("layer"), size: 5 });
    }

    async fn a_manifest_without_its_blobs_is_not_stored(database: Database) {
        let id = repository(&database, "a", &["config"]).await;
        repository(&database, "b", &["elsewhere"]).await;
        let mut tx = begin(&database).await;
        let manifest = image(&["config", "absent", "elsewhere", "absent"]);
        let mut expected = vec![digest("absent"), digest("elsewhere")];
        expected.sort();
        assert_eq!(missing_from(&mut tx, id, &manifest).await, expected);
        tx.commit().await.unwrap();
        assert_eq!(count(&database, "SELECT count(*) FROM manifests").await, 0);
        assert_eq!(count(&database, "SELECT count(*) FROM manifest_blobs").await, 0);
    }

    async fn a_reserved_blob_does_not_satisfy_a_manifest(database: Database) {
        let id = repository(&database, "a", &[]).await;
        let mut tx = begin(&database).await;
        blobs::reserve(&mut tx, &digest("c"), 1, minute(60), minute(0)).await.unwrap();
        assert_eq!(missing_from(&mut tx, id, &image(&["c"])).await, [digest("c")]);
    }

    async fn storing_a_manifest_twice_changes_nothing(database: Database) {
        let id = repository(&database, "a", &["c", "l"]).await;
        let manifest = image(&["c", "l", "l"]);
        let mut tx = begin(&database).await;
        let first = put_in(&mut tx, id, &manifest).await;
        assert_eq!(put_in(&mut tx, id, &manifest).await, first);
        tx.commit().await.unwrap();
        assert_eq!(count(&database, "SELECT count(*) FROM manifests").await, 1);
        assert_eq!(count(&database, "SELECT count(*) FROM manifest_blobs").await, 2);
        // But its blobs must still be shown.
        let mut tx = begin(&database).await;
        blobs::unlink(&mut tx, &name("a"), &digest("l"), minute(60)).await.unwrap();
        assert_eq!(missing_from(&mut tx, id, &manifest).await, [digest("l")]);
    }

    async fn the_same_manifest_pushed_by_many_at_once(database: Database) {
        let id = repository(&database, "a", &["c", "l"]).await;
        let manifest = image(&["c", "l"]);
        let pushes = (0..8).map(|n| {
            let (database, manifest) = (database.clone(), manifest.clone());
            async move { push(&database, id, &manifest, &[&format!("tag-{n}")]).await }
        });
        futures_util::future::join_all(pushes).await;
        assert_eq!(count(&database, "SELECT count(*) FROM manifests").await, 1);
        assert_eq!(count(&database, "SELECT count(*) FROM tags").await, 8);
        assert_eq!(count(&database, "SELECT count(*) FROM manifest_reviews").await, 0);
    }

    async fn storing_a_manifest_again_postpones_its_review(database: Database) {
        let id = repository(&database, "a", &["c"]).await;
        let manifest = image(&["c"]);
        push(&database, id, &manifest, &["t"]).await;
        let mut tx = begin(&database).await;
        tags::delete(&mut tx, &name("a"), &tag("t"), minute(71)).await.unwrap();
        tx.commit().await.unwrap();
        push(&database, id, &manifest, &[]).await;
        assert_eq!(manifest_review(&database, &manifest).await, Some(minute(100)));
    }

    async fn a_sparse_index_is_stored(database: Database) {
        let id = repository(&database, "a", &["c"]).await;
        let (present, absent) = (image(&["c"]), image(&["nowhere"]));
        push(&database, id, &present, &[]).await;
        let index = index(&[&present, &absent, &present]);
        push(&database, id, &index, &["multi"]).await;
        assert_eq!(count(&database, "SELECT count(*) FROM manifest_references").await, 2);
        let mut tx = read(&database).await;
        let digests = [digest_of(&present), digest_of(&absent)];
        let digests: Vec<&Digest> = digests.iter().collect();
        let missing = manifests::missing(&mut tx, id, &digests).await.unwrap();
        assert_eq!(missing, [digest_of(&absent)]);
    }

    async fn the_database_keeps_what_a_manifest_requires(database: Database) {
        let id = repository(&database, "a", &["c", "l"]).await;
        push(&database, id, &image(&["c", "l"]), &[]).await;
        let mut tx = begin(&database).await;
        let error = sql!(
            &mut tx, execute, "DELETE FROM blobs WHERE digest = $1", digest("l").as_str()
        ).unwrap_err();
        assert!(matches!(error, database::Error::Conflict(_)), "{error:?}");
    }

    async fn a_blob_is_known_to_be_required(database: Database) {
        let id = repository(&database, "a", &["c", "l"]).await;
        repository(&database, "b", &["c"]).await;
        push(&database, id, &image(&["c"]), &[]).await;
        let mut tx = read(&database).await;
        for (repository, content, required) in
            [("a", "c", true), ("a", "l", false), ("b", "c", false), ("a", "x", false)]
        {
            let found = blobs::is_required(&mut tx, &name(repository), &digest(content)).await;
            assert_eq!(found.unwrap(), required, "{repository} {content}");
        }
    }

    async fn a_deleted_manifest_takes_its_tags_and_releases_its_content(database: Database) {
        let id = repository(&database, "a", &["c", "l", "cache"]).await;
        let child = image(&["c", "l"]);
        push(&database, id, &child, &[]).await;
        let mut parent = index(&[&child]);
        // A build cache: an index that lists a layer.
        parent["manifests"].as_array_mut().unwrap().push(descriptor("cache"));
        push(&database, id, &parent, &["multi", "latest"]).await;
        let sbom = about(&parent, "c", Some("sbom"));
        push(&database, id, &sbom, &[]).await;

        let mut tx = begin(&database).await;
        let parent_digest = digest_of(&parent);
        assert!(!manifests::delete(&mut tx, &name("b"), &parent_digest, minute(90)).await.unwrap());
        assert!(manifests::delete(&mut tx, &name("a"), &parent_digest, minute(90)).await.unwrap());
        assert!(!manifests::delete(&mut tx, &name("a"), &parent_digest, minute(91)).await.unwrap());
        tx.commit().await.unwrap();

        let mut tx = read(&database).await;
        assert!(tags::page(&mut tx, &name("a"), None, 9).await.unwrap().is_empty());
        let found = manifests::find_by_digest(&mut tx, &name("a"), &parent_digest).await.unwrap();
        assert_eq!(found, None);
        drop(tx);
        assert_eq!(manifest_review(&database, &child).await, Some(minute(90)));
        assert_eq!(manifest_review(&database, &sbom).await, Some(minute(90)));
        assert_eq!(blob_review(&database, "cache").await, Some(minute(90)));
        assert_eq!(blob_review(&database, "l").await, Some(minute(60)), "not the parent's");

        let mut tx = begin(&database).await;
        assert!(manifests::delete(&mut tx, &name("a"), &digest_of(&child), minute(95)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(blob_review(&database, "c").await, Some(minute(95)));
        assert_eq!(blob_review(&database, "l").await, Some(minute(95)));
        assert_eq!(count(&database, "SELECT count(*) FROM manifest_references").await, 0);
    }

    async fn reviews_are_postponed_for_who_asks(database: Database) {
        let id = repository(&database, "a", &["c"]).await;
        let manifest = image(&["c"]);
        push(&database, id, &manifest, &["t"]).await;
        let mut tx = begin(&database).await;
        // Nothing to postpone.
        reviews::postpone_manifest(&mut tx, &name("a"), &digest_of(&manifest), minute(80)).await.unwrap();
        reviews::postpone_blob(&mut tx, &digest("absent"), minute(80)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(manifest_review(&database, &manifest).await, None);

        let mut tx = begin(&database).await;
        tags::delete(&mut tx, &name("a"), &tag("t"), minute(70)).await.unwrap();
        for due in [80, 75] {
            let due = minute(due);
            reviews::postpone_manifest(&mut tx, &name("a"), &digest_of(&manifest), due).await.unwrap();
            reviews::postpone_blob(&mut tx, &digest("c"), due).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(manifest_review(&database, &manifest).await, Some(minute(80)));
        assert_eq!(blob_review(&database, "c").await, Some(minute(80)));
    }

    async fn referrers_are_listed_by_subject_and_type(database: Database) {
        let id = repository(&database, "a", &["c", "d"]).await;
        let other = repository(&database, "b", &["c"]).await;
        let subject = image(&["c"]);
        // The subject does not exist yet.
        let mut sbom = about(&subject, "c", Some("sbom"));
        sbom["annotations"] = json!({"by": "me", "quote": "\"ü"});
        let plain = about(&subject, "d", None);
        push(&database, id, &sbom, &[]).await;
        push(&database, id, &plain, &[]).await;
        push(&database, other, &sbom, &[]).await;
        push(&database, id, &about(&sbom, "c", Some("signature")), &[]).await;

        let mut tx = read(&database).await;
        let all = list(&mut tx, "a", &subject, None, None, 9).await;
        let mut expected = [digest_of(&sbom), digest_of(&plain)];
        expected.sort();
        let found: Vec<&Digest> = all.iter().map(|referrer| &referrer.digest).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());

        let sboms = list(&mut tx, "a", &subject, Some("sbom"), None, 9).await;
        let [found] = sboms.as_slice() else { panic!("{sboms:?}") };
        let annotations: Value = serde_json::from_str(found.annotations.as_ref().unwrap()).unwrap();
        assert_eq!(annotations, sbom["annotations"]);
        assert_eq!(found, &Referrer {
            digest: digest_of(&sbom),
            media_type: media_type::OCI_MANIFEST.to_owned(),
            size: sbom.to_string().len() as u64,
            artifact_type: Some("sbom".to_owned()),
            annotations: found.annotations.clone(),
        });

        // Its config stands in for the type that it does not have.
        let of_config = list(&mut tx, "a", &subject, Some("application/x"), None, 9).await;
        assert_eq!(of_config[0].digest, digest_of(&plain));
        assert_eq!(of_config[0].annotations, None);

        let first = list(&mut tx, "a", &subject, None, None, 1).await;
        let rest = list(&mut tx, "a", &subject, None, Some(&first[0].digest), 1).await;
        assert_eq!([&first[0].digest, &rest[0].digest], [&expected[0], &expected[1]]);
        assert!(list(&mut tx, "unknown", &subject, None, None, 9).await.is_empty());
    }

    async fn a_manifest_of_a_thousand_layers_is_stored(database: Database) {
        let contents: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let id = repository(&database, "a", &["config"]).await;
        let mut tx = begin(&database).await;
        for content in &contents {
            push_blob(&mut tx, id, content).await;
        }
        let mut all = vec!["config"];
        all.extend(contents.iter().map(String::as_str));
        assert!(missing_from(&mut tx, id, &image(&all)).await.is_empty());
        tx.commit().await.unwrap();
        let references = count(&database, "SELECT count(*) FROM manifest_blobs").await;
        assert_eq!(references, 1 + i64::try_from(contents.len()).unwrap());
    }
}

/// On `SQLite` there is one writer, so these questions do not arise.
#[tokio::test]
async fn blobs_of_a_manifest_under_way_are_locked_against_collection() {
    let test = database::testing::TestDatabase::postgres(&POSTGRES_MIGRATIONS).await;
    let database = &test.database;
    let id = repository(database, "a", &["c", "l", "listed", "free"]).await;
    let mut tx = begin(database).await;
    put_in(&mut tx, id, &image(&["c", "l"])).await;
    let mut index = index(&[]);
    index["manifests"] = json!([descriptor("listed")]);
    put_in(&mut tx, id, &index).await;
    for content in ["c", "l", "listed"] {
        assert!(!collector_may_lock(database, content).await, "{content}");
    }
    assert!(collector_may_lock(database, "free").await);
    // Another push of the same content does not wait.
    let mut other = begin(database).await;
    put_in(&mut other, id, &image(&["l", "c"])).await;
    other.commit().await.unwrap();
    tx.commit().await.unwrap();
    assert!(collector_may_lock(database, "c").await);
}

#[tokio::test]
async fn a_reservation_waits_for_a_deletion_under_way() {
    let test = database::testing::TestDatabase::postgres(&POSTGRES_MIGRATIONS).await;
    let database = &test.database;
    let id = repository(database, "a", &["x"]).await;
    let mut collector = begin(database).await;
    sql!(
        &mut collector,
        execute,
        "SELECT id FROM blobs WHERE digest = $1 FOR UPDATE",
        digest("x").as_str()
    )
    .unwrap();
    let reserving = tokio::spawn({
        let database = database.clone();
        async move {
            let mut tx = begin(&database).await;
            let reserved = blobs::reserve(&mut tx, &digest("x"), 1, minute(99), minute(1))
                .await
                .unwrap();
            tx.commit().await.unwrap();
            reserved
        }
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!reserving.is_finished());
    sql!(
        &mut collector,
        execute,
        "DELETE FROM blobs WHERE digest = $1",
        digest("x").as_str()
    )
    .unwrap();
    collector.commit().await.unwrap();
    let reserved = reserving.await.unwrap();
    // The row is a new one, and no link has survived.
    let mut tx = begin(database).await;
    let found = blobs::find_linked(&mut tx, &name("a"), &digest("x")).await;
    assert_eq!(found.unwrap(), None);
    assert!(
        blobs::link(&mut tx, id, &digest("x"), reserved, 1, minute(1))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(blob_review(database, "x").await, Some(minute(99)));
}

/// Who deletes the blob has found that no manifest needs it; the manifest, that the blob is there.
#[tokio::test]
async fn a_manifest_waits_for_a_blob_that_leaves_its_repository() {
    let test = database::testing::TestDatabase::postgres(&POSTGRES_MIGRATIONS).await;
    let database = &test.database;
    let id = repository(database, "a", &["c", "l"]).await;
    let mut deletion = begin(database).await;
    blobs::lock_to_unlink(&mut deletion, &digest("l"))
        .await
        .unwrap();
    assert!(
        !blobs::is_required(&mut deletion, &name("a"), &digest("l"))
            .await
            .unwrap()
    );
    let putting = tokio::spawn({
        let database = database.clone();
        async move {
            let mut tx = begin(&database).await;
            let put = put_in(&mut tx, id, &image(&["c", "l"])).await;
            tx.commit().await.unwrap();
            put
        }
    });
    until_one_waits(database).await;
    blobs::unlink(&mut deletion, &name("a"), &digest("l"), minute(60))
        .await
        .unwrap();
    deletion.commit().await.unwrap();
    assert_eq!(putting.await.unwrap(), Put::MissingBlobs(vec![digest("l")]));
}

/// Until a transaction of this database waits for another.
async fn until_one_waits(database: &Database) {
    let waiting = async {
        while count(
            database,
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE NOT l.granted AND a.datname = current_database()",
        )
        .await
            == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), waiting)
        .await
        .expect("a manifest waits for the lock");
}
