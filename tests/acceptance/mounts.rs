//! Blobs mounted from one repository into another, without moving a byte.

use acceptance::{Blob, Portcullis, Repository};

struct Mount {
    portcullis: Portcullis,
    blob: Blob,
    /// Someone's repository that has the blob.
    source: Repository,
    /// Another of theirs.
    target: Repository,
}

async fn two_repositories() -> Mount {
    let portcullis = Portcullis::up().await;
    let blob = Blob::random(5000);
    let source = portcullis.admin().repository("admin/source");
    let target = portcullis.admin().repository("admin/target");
    source.push_blob(&blob).await;
    Mount {
        portcullis,
        blob,
        source,
        target,
    }
}

impl Mount {
    /// A token for both repositories, as `docker push` asks for it.
    async fn token_for_both(&self) -> String {
        let scopes = [
            "repository:admin/target:pull,push",
            "repository:admin/source:pull",
        ];
        self.portcullis.admin().token(&scopes).await
    }
}

#[tokio::test]
async fn a_blob_is_mounted_from_another_repository() {
    let mount = two_repositories().await;
    let token = mount.token_for_both().await;

    let answer = mount
        .target
        .post(&format!(
            "blobs/uploads/?mount={}&from={}",
            mount.blob.digest,
            mount.source.name()
        ))
        .bearer(&token)
        .send()
        .await
        .expect(201)
        .expect_header("docker-content-digest", &mount.blob.digest);

    let location = answer.header("location");
    assert!(location.contains(mount.target.name()), "{location}");
    let fetched = mount.target.get(location).send().await.expect(200);
    assert_eq!(fetched.body, mount.blob.bytes);
}

#[tokio::test]
async fn a_mount_of_what_is_not_there_becomes_an_upload() {
    let mount = two_repositories().await;
    let token = mount.token_for_both().await;
    let unknown = Blob::random(10);

    for from in [mount.source.name(), "admin/source-that-never-was"] {
        let token = if from == mount.source.name() {
            token.clone()
        } else {
            let scopes = [
                "repository:admin/target:pull,push",
                "repository:admin/source-that-never-was:pull",
            ];
            mount.portcullis.admin().token(&scopes).await
        };
        let answer = mount
            .target
            .post(&format!(
                "blobs/uploads/?mount={}&from={from}",
                unknown.digest
            ))
            .bearer(&token)
            .send()
            .await
            .expect(202);
        let closing = format!("{}?digest={}", answer.header("location"), unknown.digest);
        let stored = mount
            .target
            .put(&closing)
            .body(unknown.bytes.clone())
            .send()
            .await;
        stored.expect(201);
        let path = format!("blobs/{}", unknown.digest);
        mount.target.delete(&path).send().await.expect(202);
    }
}

#[tokio::test]
async fn a_mount_from_anywhere_finds_what_the_token_may_pull() {
    let mount = two_repositories().await;
    let token = mount.token_for_both().await;

    let answer = mount
        .target
        .post(&format!("blobs/uploads/?mount={}", mount.blob.digest))
        .bearer(&token)
        .send()
        .await;

    answer.expect(201);
    mount.target.expect_blob(&mount.blob).await;
}

#[tokio::test]
async fn a_mount_from_anywhere_does_not_tell_what_others_have() {
    let mount = two_repositories().await;
    let alice = mount.portcullis.new_user("alice");
    let target = alice.repository("alice/app");

    let answer = target
        .post(&format!("blobs/uploads/?mount={}", mount.blob.digest))
        .send()
        .await;

    answer.expect(202);
    target.get_blob(&mount.blob.digest).await.expect(404);
}

#[tokio::test]
async fn a_mount_from_a_repository_one_may_not_pull_gives_nothing_away() {
    let mount = two_repositories().await;
    let alice = mount.portcullis.new_user("alice");
    let target = alice.repository("alice/app");

    let answer = target
        .post(&format!(
            "blobs/uploads/?mount={}&from={}",
            mount.blob.digest,
            mount.source.name()
        ))
        .send()
        .await;

    assert!(
        answer.status == 401 || answer.status == 202,
        "neither mounted nor found: {answer}"
    );
    target.get_blob(&mount.blob.digest).await.expect(404);
}

#[tokio::test]
async fn what_is_no_digest_cannot_be_mounted() {
    let mount = two_repositories().await;

    let answer = mount
        .target
        .post("blobs/uploads/?mount=sha256:abc&from=admin/target")
        .send()
        .await;

    answer.expect_error(400, "DIGEST_INVALID");
}
