//! Public projects are for everyone to pull; private ones do not exist for strangers.

use acceptance::{Image, Portcullis};

async fn with_project(visibility: &str) -> (Portcullis, Image) {
    let portcullis = Portcullis::up().await;
    portcullis.new_project("team", visibility);
    let image = Image::random();
    portcullis
        .admin()
        .repository("team/app")
        .push(&image, "v1")
        .await;
    (portcullis, image)
}

#[tokio::test]
async fn anyone_pulls_from_a_public_project() {
    let (portcullis, image) = with_project("public").await;
    let alice = portcullis.new_user("alice");

    for client in [portcullis.anonymous(), alice] {
        let repository = client.repository("team/app");
        repository.expect_image(&image, "v1").await;
        assert_eq!(repository.tags().await, ["v1"]);
    }
}

#[tokio::test]
async fn nobody_else_pushes_to_a_public_project_or_deletes_from_it() {
    let (portcullis, image) = with_project("public").await;
    let alice = portcullis.new_user("alice");

    for client in [portcullis.anonymous(), alice] {
        let repository = client.repository("team/app");
        let push = repository.post("blobs/uploads/").send().await;
        push.expect_error(401, "UNAUTHORIZED");
        let put = repository.put_manifest(&image.manifest, "v2").await;
        put.expect_error(401, "UNAUTHORIZED");
        let delete = repository.delete_manifest("v1").await;
        delete.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_private_project_is_closed_to_strangers() {
    let (portcullis, _image) = with_project("private").await;
    let alice = portcullis.new_user("alice");

    for client in [portcullis.anonymous(), alice] {
        let answer = client.repository("team/app").get_manifest("v1").await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn visibility_changes_with_the_next_token() {
    let (portcullis, image) = with_project("private").await;
    let set = |visibility| {
        portcullis
            .accounts(["auth", "project", "set-visibility", "team", visibility])
            .run()
            .expect_success()
    };

    set("public");
    let stranger = portcullis.anonymous();
    stranger
        .repository("team/app")
        .expect_image(&image, "v1")
        .await;

    set("private");
    let answer = stranger.repository("team/app").get_manifest("v1").await;
    answer.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_project_covers_what_is_below_it_and_nothing_beside_it() {
    let (portcullis, image) = with_project("public").await;
    let admin = portcullis.admin();
    for name in ["team/deep/er/app", "teams/app", "tea/app"] {
        admin.repository(name).push(&image, "v1").await;
    }

    let stranger = portcullis.anonymous();

    let below = stranger.repository("team/deep/er/app");
    below.expect_image(&image, "v1").await;
    for name in ["teams/app", "tea/app"] {
        let answer = stranger.repository(name).get_manifest("v1").await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_users_own_images_are_private() {
    let portcullis = Portcullis::up().await;
    let alice = portcullis.new_user("alice");
    let bob = portcullis.new_user("bob");
    alice
        .repository("alice/app")
        .push(&Image::random(), "v1")
        .await;

    for client in [portcullis.anonymous(), bob] {
        let answer = client.repository("alice/app").get_manifest("v1").await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
}
