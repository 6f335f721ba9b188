use std::cell::Cell;

use tokio::sync::Mutex;

use super::*;

const INTERVAL: Duration = Duration::from_millis(20);

/// `SQLite` has one connection for all changes. The work has it, the renewal waits for it.
#[tokio::test]
async fn a_renewal_does_not_stop_the_work_that_it_waits_for() {
    let writer = Mutex::new(());
    let renewals = Cell::new(0);
    let work = async {
        for _ in 0..3 {
            let _turn = writer.lock().await;
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    };
    let renewed = beside_renewals(work, INTERVAL, async || {
        let _turn = writer.lock().await;
        renewals.set(renewals.get() + 1);
        Ok(true)
    });
    tokio::time::timeout(Duration::from_secs(5), renewed)
        .await
        .expect("the work and the renewal wait for each other")
        .unwrap();
    assert!(renewals.get() > 0);
}

#[tokio::test]
async fn who_has_lost_the_lease_stops() {
    let work = std::future::pending::<Result<(), Error>>();
    let result = beside_renewals(work, INTERVAL, async || Ok(false)).await;
    assert!(matches!(result, Err(Error::UploadBusy)), "{result:?}");
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again() {
    let attempts = Cell::new(0);
    let work = async {
        tokio::time::sleep(INTERVAL * 10).await;
        Ok(())
    };
    let result = beside_renewals(work, INTERVAL, async || {
        attempts.set(attempts.get() + 1);
        Err(Error::UploadBusy)
    });
    result.await.unwrap();
    assert!(attempts.get() > 1);
}
