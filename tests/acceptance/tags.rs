//! Lists of tags.

use acceptance::client::strings;
use acceptance::content::{empty_blob, unique};
use acceptance::{Image, Manifest, Portcullis, Repository};
use serde_json::json;

use crate::empty_repository;

/// A repository with one manifest under all these tags.
async fn tagged(tags: &[&str]) -> (Portcullis, Repository) {
    let (portcullis, repository) = empty_repository().await;
    repository.push_blob(&empty_blob()).await;
    let manifest = Manifest::artifact(&json!({}));
    for tag in tags {
        repository.push_manifest(&manifest, tag).await;
    }
    (portcullis, repository)
}

async fn list(repository: &Repository, query: &str) -> Vec<String> {
    let path = format!("tags/list{query}");
    let answer = repository.get(&path).send().await.expect(200);
    strings(&answer.json()["tags"])
}

#[tokio::test]
async fn tags_are_listed_in_the_order_of_their_bytes() {
    let (_portcullis, repository) = tagged(&["b", "a", "_", "B", "10", "9", "a.b", "a-b"]).await;

    assert_eq!(
        repository.tags().await,
        ["10", "9", "B", "_", "a", "a-b", "a.b", "b"]
    );
}

#[tokio::test]
async fn a_list_is_json_and_names_the_repository() {
    let (_portcullis, repository) = tagged(&["v1"]).await;

    let answer = repository.get("tags/list").send().await.expect(200);

    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
    let expected = json!({"name": repository.name(), "tags": ["v1"]});
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn pages_follow_one_another() {
    let names: Vec<String> = (0..25).map(|i| format!("tag-{i:02}")).collect();
    let tags: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_portcullis, repository) = tagged(&tags).await;

    let mut found = Vec::new();
    let mut pages = 0;
    let mut next = Some("tags/list?n=10".to_owned());
    while let Some(path) = next {
        let answer = repository.get(&path).send().await.expect(200);
        found.extend(strings(&answer.json()["tags"]));
        next = answer.next_page();
        pages += 1;
    }

    assert_eq!(found, names);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn a_page_starts_after_the_last_of_the_one_before() {
    let (_portcullis, repository) = tagged(&["a", "b", "c", "d"]).await;

    assert_eq!(list(&repository, "?n=2").await, ["a", "b"]);
    assert_eq!(list(&repository, "?n=2&last=b").await, ["c", "d"]);
    assert_eq!(list(&repository, "?last=b").await, ["c", "d"]);
    assert_eq!(list(&repository, "?last=bb").await, ["c", "d"]);
    assert_eq!(list(&repository, "?last=d").await, [""; 0]);
    assert_eq!(list(&repository, "?n=0").await, [""; 0]);
    assert_eq!(list(&repository, "?n=100").await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_page_that_ends_the_list_has_no_next() {
    let (_portcullis, repository) = tagged(&["a", "b"]).await;

    for query in ["", "?n=2", "?n=3", "?n=1&last=a", "?n=0"] {
        let path = format!("tags/list{query}");
        let answer = repository.get(&path).send().await.expect(200);
        assert_eq!(answer.next_page(), None, "{query}");
    }
}

#[tokio::test]
async fn more_than_the_greatest_page_is_as_much_as_there_can_be() {
    let (_portcullis, repository) = tagged(&["a", "b"]).await;

    assert_eq!(list(&repository, "?n=999999999").await, ["a", "b"]);
}

#[tokio::test]
async fn what_is_no_number_of_tags_is_refused() {
    let (_portcullis, repository) = tagged(&["a"]).await;

    for n in ["-1", "x", "1.5", ""] {
        let path = format!("tags/list?n={n}");
        let answer = repository.get(&path).send().await;
        answer.expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
}

#[tokio::test]
async fn a_repository_nobody_pushed_to_has_no_list() {
    let (_portcullis, repository) = empty_repository().await;

    let answer = repository.get("tags/list").send().await;

    answer.expect_error(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn tags_of_other_repositories_do_not_show() {
    let (portcullis, repository) = tagged(&["a"]).await;
    let inner = format!("{}/inner", repository.name());
    let inner = portcullis.admin().repository(&inner);
    inner.push(&Image::random(), &unique()).await;

    assert_eq!(repository.tags().await, ["a"]);
}
