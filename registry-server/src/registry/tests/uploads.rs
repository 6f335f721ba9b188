use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::stream;
use std::time::Duration;
use uuid::Uuid;

use crate::auth::{Delete, Permission, Presented, Pull, Push, UploadProof};
use crate::oci::{Algorithm, Digest};
use crate::registry::{Announced, Error, Interrupted};
use crate::testing::{TestRegistry, repository};

fn proof<P>(registry: &TestRegistry) -> UploadProof<P>
where
    P: Permission<Resource = registry_token::RepositoryName>,
{
    let token = registry.token(&[("a", registry_token::Actions::ALL)]);
    let gatekeeper = &registry.state.gatekeeper;
    gatekeeper
        .continue_upload(
            Presented::Token(&token),
            repository("a"),
            registry.clock.now(),
        )
        .unwrap()
}

type Body = stream::Iter<std::vec::IntoIter<Result<Bytes, Interrupted>>>;

fn body(parts: &[&'static str]) -> Body {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from(*part))).collect();
    stream::iter(parts)
}

fn broken(parts: &[&'static str], interrupted: Interrupted) -> Body {
    let parts = parts.iter().map(|part| Ok(Bytes::from(*part)));
    stream::iter(parts.chain([Err(interrupted)]).collect::<Vec<_>>())
}

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

async fn open(registry: &TestRegistry) -> Uuid {
    let push = registry.proof::<Push>("a");
    let opened = registry.registry().open_upload(&push, Algorithm::Sha256);
    opened.await.unwrap()
}

async fn append(registry: &TestRegistry, id: Uuid, body: Body) -> Result<u64, Error> {
    let proof = proof(registry);
    registry
        .registry()
        .append_to_upload(proof, id, Announced::default(), body)
        .await
}

async fn offset(registry: &TestRegistry, id: Uuid) -> Result<u64, Error> {
    registry.registry().upload_offset(proof(registry), id).await
}

async fn complete(
    registry: &TestRegistry,
    id: Uuid,
    body: Body,
    digest: &Digest,
) -> Result<(), Error> {
    let proof = proof(registry);
    registry
        .registry()
        .complete_upload(proof, id, Announced::default(), body, digest)
        .await
}

async fn stored(registry: &TestRegistry, digest: &Digest) -> bool {
    let pull = registry.proof::<Pull>("a");
    match registry.registry().blob(&pull, digest).await {
        Ok(_) => true,
        Err(Error::BlobUnknown(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_arrived_before_an_interruption_is_kept() {
    let registry = TestRegistry::new().await;
    let id = open(&registry).await;
    for interrupted in [Interrupted::Disconnected, Interrupted::TooSlow] {
        let result = append(&registry, id, broken(&["he", "l"], interrupted)).await;
        assert!(matches!(result, Err(Error::Interrupted(error)) if error == interrupted));
    }
    assert_eq!(offset(&registry, id).await.unwrap(), 6);
    let digest = digest("helheltogether");
    let last = broken(&["to"], Interrupted::Disconnected);
    let result = complete(&registry, id, last, &digest).await;
    assert!(matches!(result, Err(Error::Interrupted(_))));
    assert!(!stored(&registry, &digest).await);

    complete(&registry, id, body(&["gether"]), &digest)
        .await
        .unwrap();
    assert!(stored(&registry, &digest).await);
}

#[tokio::test]
async fn a_session_ends_with_its_blob() {
    let registry = TestRegistry::new().await;
    let id = open(&registry).await;
    append(&registry, id, body(&["hello"])).await.unwrap();
    complete(&registry, id, body(&[]), &digest("hello"))
        .await
        .unwrap();
    let result = offset(&registry, id).await;
    assert!(matches!(result, Err(Error::UploadUnknown)));
    let result = complete(&registry, id, body(&[]), &digest("hello")).await;
    assert!(matches!(result, Err(Error::UploadUnknown)));
}

#[tokio::test]
async fn a_wrong_digest_ends_the_session_and_leaves_nothing() {
    let registry = TestRegistry::new().await;
    let id = open(&registry).await;
    append(&registry, id, body(&["hello"])).await.unwrap();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let id = open(&registry).await;
        let wrong = Digest::of(algorithm, b"other");
        let result = complete(&registry, id, body(&["hello"]), &wrong).await;
        let Err(Error::DigestMismatch { expected, actual }) = result else {
            panic!("{result:?}");
        };
        assert_eq!(expected, wrong);
        assert_eq!(actual, Digest::of(algorithm, b"hello"));
        assert!(!stored(&registry, &wrong).await);
        let result = offset(&registry, id).await;
        assert!(matches!(result, Err(Error::UploadUnknown)));
    }
    // Others go on.
    assert_eq!(offset(&registry, id).await.unwrap(), 5);
}

#[tokio::test]
async fn a_blob_may_be_named_by_another_algorithm_than_was_announced() {
    let registry = TestRegistry::new().await;
    let id = open(&registry).await;
    let digest = Digest::of(Algorithm::Sha512, b"hello");
    complete(&registry, id, body(&["he", "llo"]), &digest)
        .await
        .unwrap();
    assert!(stored(&registry, &digest).await);
}

#[tokio::test]
async fn of_two_writers_the_later_one_is_turned_away() {
    let registry = TestRegistry::new().await;
    let id = open(&registry).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let slow = stream::unfold(receiver, |mut receiver| async {
        let bytes: Bytes = receiver.recv().await?;
        Some((Ok(bytes), receiver))
    });
    let first = {
        let proof = proof(&registry);
        registry
            .registry()
            .append_to_upload(proof, id, Announced::default(), slow)
    };
    let others = async {
        sender.send(Bytes::from("he")).await.unwrap();
        // The first holds its lease as soon as it takes bytes.
        sender.send(Bytes::from("llo")).await.unwrap();
        let result = append(&registry, id, body(&["x"])).await;
        assert!(matches!(result, Err(Error::UploadBusy)), "{result:?}");
        let result = offset(&registry, id).await;
        assert!(matches!(result, Err(Error::UploadBusy)), "{result:?}");
        let cancel = registry
            .registry()
            .cancel_upload(proof::<Delete>(&registry), id);
        assert!(matches!(cancel.await, Err(Error::UploadBusy)));
        drop(sender);
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.unwrap(), 5);
    complete(&registry, id, body(&[]), &digest("hello"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cancelled_session_is_gone() {
    let registry = TestRegistry::new().await;
    let id = open(&registry).await;
    append(&registry, id, body(&["hello"])).await.unwrap();
    let cancel = registry
        .registry()
        .cancel_upload(proof::<Delete>(&registry), id);
    cancel.await.unwrap();
    let result = append(&registry, id, body(&["hello"])).await;
    assert!(matches!(result, Err(Error::UploadUnknown)));
}

#[tokio::test]
async fn sessions_that_nobody_goes_on_with_expire() {
    let registry = TestRegistry::new().await;
    let old = open(&registry).await;
    append(&registry, old, body(&["hello"])).await.unwrap();
    registry.clock.advance(Duration::from_secs(100));
    let new = open(&registry).await;
    let before = registry.clock.now() - TimeDelta::seconds(50);

    let would = registry.registry().expire_uploads(before, true).await;
    assert_eq!(would.unwrap().len(), 1);
    assert_eq!(offset(&registry, old).await.unwrap(), 5);

    let expired = registry.registry().expire_uploads(before, false).await;
    let expired = expired.unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].id, old);
    let result = offset(&registry, old).await;
    assert!(matches!(result, Err(Error::UploadUnknown)));
    assert_eq!(offset(&registry, new).await.unwrap(), 0);
}

/// Listed as idle, written to, and only then looked at again: sixty times, beside each other.
#[tokio::test]
async fn a_session_that_is_written_to_while_others_expire_goes_on() {
    let registry = TestRegistry::new().await;
    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(open(&registry).await);
    }
    registry.clock.advance(Duration::from_secs(100));
    let before = registry.clock.now() - TimeDelta::seconds(50);
    let appends = async {
        let mut acknowledged = Vec::new();
        for id in ids {
            match append(&registry, id, body(&["hello"])).await {
                Ok(_) => acknowledged.push(id),
                Err(error) => assert!(matches!(error, Error::UploadUnknown), "{error}"),
            }
        }
        acknowledged
    };
    let expiry = registry.registry().expire_uploads(before, false);
    let (acknowledged, expired) = tokio::join!(appends, expiry);
    assert_eq!(acknowledged.len() + expired.unwrap().len(), 60);
    for id in acknowledged {
        assert_eq!(offset(&registry, id).await.unwrap(), 5);
        complete(&registry, id, body(&[]), &digest("hello"))
            .await
            .unwrap();
    }
}

fn upload_file(registry: &TestRegistry, id: Uuid) -> std::path::PathBuf {
    let repositories = registry
        .folder
        .path()
        .join("docker/registry/v2/repositories");
    repositories.join(format!("a/_uploads/{id}/data"))
}

#[tokio::test]
async fn a_session_whose_acknowledged_bytes_are_gone_is_over() {
    let registry = TestRegistry::new().await;
    for damage in [
        (|file| std::fs::remove_file(file).unwrap()) as fn(&std::path::Path),
        |file| std::fs::write(file, "hell").unwrap(),
    ] {
        let (appended, completed) = (open(&registry).await, open(&registry).await);
        for id in [appended, completed] {
            append(&registry, id, body(&["hello"])).await.unwrap();
            damage(&upload_file(&registry, id));
        }
        let result = append(&registry, appended, body(&["x"])).await;
        assert!(matches!(result, Err(Error::UploadLost)), "{result:?}");
        let result = complete(&registry, completed, body(&[]), &digest("hello")).await;
        assert!(matches!(result, Err(Error::UploadLost)), "{result:?}");
        for id in [appended, completed] {
            let result = offset(&registry, id).await;
            assert!(matches!(result, Err(Error::UploadUnknown)), "{result:?}");
        }
    }
}

/// Nobody may get at content by naming it: only who has sent it all, or what misses.
#[tokio::test]
async fn a_session_is_not_finished_with_content_that_it_never_had() {
    let registry = TestRegistry::new().await;
    let secret = registry.push_blob("b", b"secret").await;
    let id = open(&registry).await;
    append(&registry, id, body(&["guess!"])).await.unwrap();
    std::fs::remove_file(upload_file(&registry, id)).unwrap();
    let result = complete(&registry, id, body(&[]), &secret).await;
    assert!(result.is_err());
    assert!(!stored(&registry, &secret).await);
}
