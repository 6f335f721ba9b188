use std::time::Duration;

use super::*;

fn file() -> Arc<File> {
    Arc::new(tempfile::tempfile().unwrap())
}

async fn all_turns(flushes: &Flushes) -> OwnedSemaphorePermit {
    let turns = Arc::clone(&flushes.0.turns);
    let all = u32::try_from(AT_ONCE).unwrap();
    turns.acquire_many_owned(all).await.unwrap()
}

/// Whether the future is still waiting after a while.
async fn waits(future: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(50), future)
        .await
        .is_err()
}

#[tokio::test]
async fn an_upload_runs_two_strides_ahead_of_the_disk_and_no_further() {
    let flushes = Flushes::default();
    let mut upload = flushes.of_upload(0);
    let (file, stride) = (file(), upload.stride());
    let busy = all_turns(&flushes).await;

    for offset in [stride - 1, stride, 2 * stride - 1] {
        upload.written(&file, offset).await.unwrap();
    }
    assert!(waits(upload.written(&file, 2 * stride)).await);
    drop(busy);
    upload.written(&file, 2 * stride).await.unwrap();
    upload.settle().await.unwrap();
}

#[tokio::test]
async fn the_more_uploads_the_less_each_may_have_waiting() {
    let flushes = Flushes::default();
    let first = flushes.of_upload(0);
    assert_eq!(first.stride(), LARGEST);
    let others: Vec<_> = (1..64).map(|_| flushes.of_upload(0)).collect();
    assert_eq!(first.stride(), BUDGET as u64 / 64);
    let crowd: Vec<_> = (64..10_000).map(|_| flushes.of_upload(0)).collect();
    assert_eq!(first.stride(), SMALLEST);
    drop((others, crowd));
    assert_eq!(first.stride(), LARGEST);
}

#[tokio::test]
async fn a_small_rest_does_not_wait_for_the_large_ones() {
    let flushes = Flushes::default();
    let upload = flushes.of_upload(0);
    let _busy = all_turns(&flushes).await;
    assert!(upload.last_turn(SMALLEST - 1).await.unwrap().is_none());
    assert!(waits(upload.last_turn(SMALLEST)).await);
}

/// A pipe cannot be synced.
#[tokio::test]
async fn what_a_flush_on_the_way_meets_is_the_uploads_error() {
    let flushes = Flushes::default();
    let mut upload = flushes.of_upload(0);
    let (_reader, writer) = io::pipe().unwrap();
    let file = Arc::new(File::from(std::os::fd::OwnedFd::from(writer)));
    upload.written(&file, LARGEST).await.unwrap();
    assert!(upload.settle().await.is_err());
}
