//! The list of all repositories, for who may see it.

use acceptance::client::strings;
use acceptance::{Image, Portcullis};

async fn filled(names: &[&str]) -> Portcullis {
    let portcullis = Portcullis::up().await;
    for name in names {
        let repository = portcullis.admin().repository(name);
        repository.push(&Image::random(), "v1").await;
    }
    portcullis
}

#[tokio::test]
async fn repositories_are_listed_in_the_order_of_their_bytes() {
    let portcullis = filled(&["b", "admin/a", "admin-a", "a/b/c"]).await;

    let answer = portcullis.admin().catalog("").await.expect(200);

    let names = strings(&answer.json()["repositories"]);
    assert_eq!(names, ["a/b/c", "admin-a", "admin/a", "b"]);
}

#[tokio::test]
async fn an_empty_registry_has_an_empty_catalog() {
    let portcullis = Portcullis::up().await;

    let answer = portcullis.admin().catalog("").await.expect(200);

    assert_eq!(answer.json()["repositories"], serde_json::json!([]));
}

#[tokio::test]
async fn pages_follow_one_another() {
    let portcullis = filled(&["a", "b", "c", "d", "e"]).await;
    let admin = portcullis.admin();
    let token = admin.token(&["registry:catalog:*"]).await;

    let mut found = Vec::new();
    let mut next = Some("/v2/_catalog?n=2".to_owned());
    while let Some(path) = next {
        let answer = admin.get(&path).bearer(&token).send().await.expect(200);
        found.extend(strings(&answer.json()["repositories"]));
        next = answer.next_page();
    }

    assert_eq!(found, ["a", "b", "c", "d", "e"]);
    let rest = admin.catalog("?last=c").await.expect(200);
    assert_eq!(strings(&rest.json()["repositories"]), ["d", "e"]);
}

#[tokio::test]
async fn a_page_of_no_size_or_too_great_a_size_is_refused() {
    let portcullis = filled(&["a"]).await;

    for n in ["0", "-1", "x", "1000000"] {
        let answer = portcullis.admin().catalog(&format!("?n={n}")).await;
        answer.expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
}

#[tokio::test]
async fn only_admins_see_the_catalog() {
    let portcullis = filled(&["a"]).await;
    let alice = portcullis.new_user("alice");

    for client in [alice, portcullis.anonymous()] {
        let answer = client.catalog("").await.expect_error(401, "UNAUTHORIZED");
        let challenge = answer.challenge();
        assert_eq!(challenge.scope.as_deref(), Some("registry:catalog:*"));
        assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
    }
}
