//! Sweeps again and again (distribution's `uploadpurging`, which has uploads alone in mind).

use std::sync::Arc;
use std::time::Duration;

use database::Database;
use service::shutdown::Shutdown;

use super::{SweepOptions, SweepReport, sweep};
use crate::blob_store::BlobStore;
use crate::clock::Clock;
use crate::config::Purging;
use crate::registry::{REVIEW_DELAY, Registry};

/// Bytes that nothing speaks of are left alone as long as content that nothing refers to.
const GRACE: Duration = Duration::from_secs(REVIEW_DELAY.num_seconds().unsigned_abs());

/// All that a sweep needs to know of a registry.
#[derive(Clone, Debug)]
pub struct Swept {
    pub database: Database,
    pub store: Arc<dyn BlobStore>,
    pub registry: Arc<Registry>,
    pub clock: Clock,
    /// How long blobs that were set aside are kept.
    pub keep_aside: Duration,
}

/// Sweeps now, and then at each interval, until `shutdown` begins.
///
/// Replicas do this beside each other, and beside pushes: whoever gets the lease of a session or
/// the row of a blob decides what becomes of it. While the registry is read-only, nothing is swept.
pub async fn sweep_regularly(swept: Swept, purging: Purging, shutdown: Shutdown) {
    let options = SweepOptions {
        idle_uploads: purging.age,
        grace: GRACE,
        keep_aside: swept.keep_aside,
        dry_run: purging.dry_run,
    };
    let mut interval = tokio::time::interval(purging.interval);
    loop {
        let report = tokio::select! {
            report = async {
                interval.tick().await;
                let Swept { database, store, registry, clock, .. } = &swept;
                if registry.rules().read_only {
                    return Ok(SweepReport::default());
                }
                sweep(database, &**store, registry, clock.now(), options).await
            } => report,
            () = shutdown.begun() => return,
        };
        match report {
            Ok(report) if report == SweepReport::default() => {}
            Ok(report) if options.dry_run => tracing::info!("a sweep would remove {report}"),
            Ok(report) => tracing::info!("removed {report}"),
            Err(error) => tracing::warn!(%error, "cannot sweep"),
        }
    }
}
