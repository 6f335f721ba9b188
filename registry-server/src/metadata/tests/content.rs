//! Repositories, blobs, manifests by name and digest, tags.

use super::*;

database::test_on_both! {
    migrations: (SQLITE_MIGRATIONS, POSTGRES_MIGRATIONS);

    async fn a_repository_is_created_once(database: Database) {
        let mut tx = begin(&database).await;
        assert_eq!(repositories::find(&mut tx, &name("a/b")).await.unwrap(), None);
        let id = repositories::ensure(&mut tx, &name("a/b"), minute(0)).await.unwrap();
        assert_eq!(repositories::ensure(&mut tx, &name("a/b"), minute(1)).await.unwrap(), id);
        let other = repositories::ensure(&mut tx, &name("a"), minute(1)).await.unwrap();
        assert_ne!(id, other);
        assert_eq!(repositories::find(&mut tx, &name("a/b")).await.unwrap(), Some(id));
    }

    async fn many_create_one_repository_at_once(database: Database) {
        let create = || async {
            let mut tx = begin(&database).await;
            let id = repositories::ensure(&mut tx, &name("a"), minute(0)).await.unwrap();
            tx.commit().await.unwrap();
            id
        };
        let ids = tokio::join!(create(), create(), create());
        assert!(ids.0 == ids.1 && ids.1 == ids.2);
    }

    async fn the_catalog_comes_in_pages_in_bytewise_order(database: Database) {
        for text in ["b", "a-b", "a/b", "a_b", "a0b", "ab", "a"] {
            repository(&database, text, &[]).await;
        }
        let mut tx = read(&database).await;
        let mut pages = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = repositories::page(&mut tx, after.as_deref(), 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.to_string());
            pages.push(page);
        }
        let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 1]);
        let names: Vec<String> = pages.concat().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "a-b", "a/b", "a0b", "a_b", "ab", "b"]);
        // What `last` names need not exist.
        let page = repositories::page(&mut tx, Some("a1"), 9).await.unwrap();
        assert_eq!(page, [name("a_b"), name("ab"), name("b")]);
    }

    async fn a_blob_is_seen_only_where_it_is_linked(database: Database) {
        repository(&database, "mine", &["hello"]).await;
        repository(&database, "other", &[]).await;
        let mut tx = read(&database).await;
        let found = blobs::find_linked(&mut tx, &name("mine"), &digest("hello")).await.unwrap();
        let found = found.unwrap();
        assert_eq!((found.size, found.review_due_at), (5, Some(minute(60))));
        for (repository, content) in [("other", "hello"), ("unknown", "hello"), ("mine", "else")] {
            let found =
                blobs::find_linked(&mut tx, &name(repository), &digest(content)).await.unwrap();
            assert_eq!(found, None, "{repository} {content}");
        }
    }

    async fn a_reserved_blob_is_nowhere_to_be_seen(database: Database) {
        let id = repository(&database, "a", &[]).await;
        let mut tx = begin(&database).await;
        let reserved = blobs::reserve(&mut tx, &digest("x"), 1, minute(9), minute(0)).await.unwrap();
        assert_eq!(blobs::find_linked(&mut tx, &name("a"), &digest("x")).await.unwrap(), None);
        assert!(blobs::holders(&mut tx, &digest("x"), 9).await.unwrap().is_empty());
        let mounted = blobs::mount(&mut tx, None, id, &digest("x"), minute(9), minute(0)).await;
        assert_eq!(mounted.unwrap(), None);
        for _ in 0..2 {
            let linked = blobs::link(&mut tx, id, &digest("x"), reserved, 1, minute(0)).await;
            assert!(linked.unwrap());
        }
        assert!(blobs::find_linked(&mut tx, &name("a"), &digest("x")).await.unwrap().is_some());
    }

    async fn a_reservation_speaks_for_no_bytes_that_were_swept_before(database: Database) {
        let id = repository(&database, "a", &[]).await;
        let mut tx = begin(&database).await;
        let swept = blobs::reserve(&mut tx, &digest("x"), 1, minute(9), minute(0)).await.unwrap();
        blobs::remove(&mut tx, &digest("x")).await.unwrap();
        assert!(!blobs::link(&mut tx, id, &digest("x"), swept, 1, minute(2)).await.unwrap());
        let other = blobs::reserve(&mut tx, &digest("x"), 1, minute(9), minute(1)).await.unwrap();
        assert!(!blobs::link(&mut tx, id, &digest("x"), swept, 1, minute(2)).await.unwrap());
        assert!(blobs::link(&mut tx, id, &digest("x"), other, 1, minute(2)).await.unwrap());
    }

    async fn a_reservation_only_ever_postpones(database: Database) {
        repository(&database, "a", &["x"]).await;
        for (due, expected) in [(50, 60), (90, 90), (70, 90)] {
            let mut tx = begin(&database).await;
            blobs::reserve(&mut tx, &digest("x"), 1, minute(due), minute(1)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(blob_review(&database, "x").await, Some(minute(expected)));
        }
    }

    /// A reservation is made before the digest is verified.
    async fn a_reservation_for_other_bytes_changes_no_size(database: Database) {
        let id = repository(&database, "a", &["known"]).await;
        let mut tx = begin(&database).await;
        blobs::reserve(&mut tx, &digest("known"), 99, minute(60), minute(0)).await.unwrap();
        let new = digest("new");
        let reserved = blobs::reserve(&mut tx, &new, 99, minute(60), minute(0)).await.unwrap();
        let known = blobs::find_linked(&mut tx, &name("a"), &digest("known")).await.unwrap();
        assert_eq!(known.unwrap().size, 5);
        assert!(blobs::link(&mut tx, id, &new, reserved, 3, minute(0)).await.unwrap());
        let found = blobs::find_linked(&mut tx, &name("a"), &new).await.unwrap();
        assert_eq!(found.unwrap().size, 3);
    }

    async fn a_blob_is_mounted_from_where_it_is(database: Database) {
        repository(&database, "from", &["hello"]).await;
        let to = repository(&database, "to", &[]).await;
        let mut tx = begin(&database).await;
        for (source, content) in [("to", "hello"), ("unknown", "hello"), ("from", "else")] {
            let mounted = blobs::mount(
                &mut tx, Some(&name(source)), to, &digest(content), minute(80), minute(1),
            ).await.unwrap();
            assert_eq!(mounted, None, "{source} {content}");
        }
        let mounted = blobs::mount(
            &mut tx, Some(&name("from")), to, &digest("hello"), minute(80), minute(1),
        ).await.unwrap();
        assert_eq!(mounted, Some(5));
        let found = blobs::find_linked(&mut tx, &name("to"), &digest("hello")).await.unwrap();
        assert_eq!(found.unwrap().review_due_at, Some(minute(80)));
        let mut holders = blobs::holders(&mut tx, &digest("hello"), 9).await.unwrap();
        holders.sort();
        assert_eq!(holders, [name("from"), name("to")]);
        assert_eq!(blobs::holders(&mut tx, &digest("hello"), 1).await.unwrap().len(), 1);
    }

    async fn a_blob_is_mounted_from_anywhere(database: Database) {
        repository(&database, "from", &["hello"]).await;
        let to = repository(&database, "to", &[]).await;
        let mut tx = begin(&database).await;
        let hello = digest("hello");
        let mounted = blobs::mount(&mut tx, None, to, &hello, minute(80), minute(1)).await;
        assert_eq!(mounted.unwrap(), Some(5));
        let found = blobs::find_linked(&mut tx, &name("to"), &digest("hello")).await.unwrap();
        assert!(found.is_some());
    }

    async fn an_unlinked_blob_is_reviewed(database: Database) {
        repository(&database, "a", &["x"]).await;
        repository(&database, "b", &["x"]).await;
        let mut tx = begin(&database).await;
        assert!(blobs::unlink(&mut tx, &name("a"), &digest("x"), minute(75)).await.unwrap());
        assert!(!blobs::unlink(&mut tx, &name("a"), &digest("x"), minute(76)).await.unwrap());
        assert!(!blobs::unlink(&mut tx, &name("c"), &digest("x"), minute(76)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(blob_review(&database, "x").await, Some(minute(75)));
        let mut tx = read(&database).await;
        assert_eq!(blobs::find_linked(&mut tx, &name("a"), &digest("x")).await.unwrap(), None);
        assert!(blobs::find_linked(&mut tx, &name("b"), &digest("x")).await.unwrap().is_some());
    }

    async fn a_manifest_comes_back_as_it_was_pushed(database: Database) {
        let id = repository(&database, "a", &["config", "layer"]).await;
        let manifest = image(&["config", "layer"]);
        push(&database, id, &manifest, &["v1", "latest"]).await;
        let mut tx = read(&database).await;
        let digest = digest_of(&manifest);
        let by_tag = manifests::find_by_tag(&mut tx, &name("a"), &tag("v1")).await.unwrap().unwrap();
        assert_eq!(by_tag.digest, digest);
        assert_eq!(by_tag.media_type, media_type::OCI_MANIFEST);
        assert_eq!(by_tag.payload, manifest.to_string());
        assert_eq!(by_tag.review_due_at, None);
        let by_digest = manifests::find_by_digest(&mut tx, &name("a"), &digest).await.unwrap();
        assert_eq!(by_digest.unwrap(), by_tag);
        assert_eq!(
            tags::of_manifest(&mut tx, &name("a"), &digest).await.unwrap(),
            [tag("latest"), tag("v1")]
        );
        for repository in ["b", "unknown"] {
            let name = name(repository);
            let found = manifests::find_by_tag(&mut tx, &name, &tag("v1")).await.unwrap();
            assert_eq!(found, None);
            let found = manifests::find_by_digest(&mut tx, &name, &digest).await.unwrap();
            assert_eq!(found, None);
        }
        let found = manifests::find_by_tag(&mut tx, &name("a"), &tag("V1")).await.unwrap();
        assert_eq!(found, None, "tags differ by case");
    }

    async fn a_moved_tag_has_its_old_manifest_reviewed(database: Database) {
        let id = repository(&database, "a", &["one", "two"]).await;
        let (one, two) = (image(&["one"]), image(&["two"]));
        push(&database, id, &one, &["latest"]).await;
        push(&database, id, &one, &["latest"]).await;
        assert_eq!(manifest_review(&database, &one).await, None);
        push(&database, id, &two, &["latest"]).await;
        assert_eq!(manifest_review(&database, &one).await, Some(minute(70)));
        assert_eq!(manifest_review(&database, &two).await, None);
        let mut tx = read(&database).await;
        let found = manifests::find_by_tag(&mut tx, &name("a"), &tag("latest")).await.unwrap();
        assert_eq!(found.unwrap().digest, digest_of(&two));
        let found = manifests::find_by_digest(&mut tx, &name("a"), &digest_of(&one)).await.unwrap();
        assert_eq!(found.unwrap().review_due_at, Some(minute(70)));
    }

    async fn a_deleted_tag_has_its_manifest_reviewed(database: Database) {
        let id = repository(&database, "a", &["one"]).await;
        let one = image(&["one"]);
        push(&database, id, &one, &["v1", "v2"]).await;
        let mut tx = begin(&database).await;
        assert!(!tags::delete(&mut tx, &name("a"), &tag("v3"), minute(71)).await.unwrap());
        assert!(!tags::delete(&mut tx, &name("b"), &tag("v1"), minute(71)).await.unwrap());
        assert!(tags::delete(&mut tx, &name("a"), &tag("v1"), minute(71)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(manifest_review(&database, &one).await, Some(minute(71)));
        let mut tx = read(&database).await;
        assert_eq!(tags::page(&mut tx, &name("a"), None, 9).await.unwrap(), [tag("v2")]);
        let found = manifests::find_by_digest(&mut tx, &name("a"), &digest_of(&one)).await.unwrap();
        assert!(found.is_some());
    }

    async fn tags_come_in_pages_in_bytewise_order(database: Database) {
        let id = repository(&database, "a", &["one"]).await;
        let other = repository(&database, "b", &["one"]).await;
        let one = image(&["one"]);
        push(&database, id, &one, &["b", "B", "a.1", "a-1", "a_1", "1", "_"]).await;
        push(&database, other, &one, &["elsewhere"]).await;
        let mut tx = read(&database).await;
        let all = tags::page(&mut tx, &name("a"), None, 100).await.unwrap();
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["1", "B", "_", "a-1", "a.1", "a_1", "b"]);
        let page = tags::page(&mut tx, &name("a"), Some("B"), 2).await.unwrap();
        assert_eq!(page, [tag("_"), tag("a-1")]);
        // What `last` names need not exist, nor be a tag.
        let page = tags::page(&mut tx, &name("a"), Some("a."), 1).await.unwrap();
        assert_eq!(page, [tag("a.1")]);
        let page = tags::page(&mut tx, &name("a"), Some("%'ü"), 1).await.unwrap();
        assert_eq!(page, [tag("1")]);
        assert!(tags::page(&mut tx, &name("a"), Some("b"), 2).await.unwrap().is_empty());
        assert!(tags::page(&mut tx, &name("a"), None, 0).await.unwrap().is_empty());
        assert!(tags::page(&mut tx, &name("unknown"), None, 2).await.unwrap().is_empty());
    }

    async fn one_tag_set_by_many_at_once(database: Database) {
        let contents: Vec<String> = (0..8).map(|n| format!("content {n}")).collect();
        let all: Vec<&str> = contents.iter().map(String::as_str).collect();
        let id = repository(&database, "a", &all).await;
        let pushes = contents.iter().map(|content| {
            let database = database.clone();
            async move { push(&database, id, &image(&[content]), &["latest"]).await }
        });
        futures_util::future::join_all(pushes).await;
        // Whoever was last, all the others are reviewed.
        assert_eq!(count(&database, "SELECT count(*) FROM manifests").await, 8);
        assert_eq!(count(&database, "SELECT count(*) FROM manifest_reviews").await, 7);
        assert_eq!(count(&database, "SELECT count(*) FROM tags").await, 1);
    }
}
