//! Uploads that nobody goes on with end after a while (distribution's `uploadpurging`).

use std::sync::Arc;

use service::shutdown::Shutdown;

use crate::clock::Clock;
use crate::config::Purging;
use crate::registry::Registry;

/// Drops old sessions now, and then at each interval, until `shutdown` begins.
pub async fn expire_uploads(
    registry: Arc<Registry>,
    clock: Clock,
    purging: Purging,
    shutdown: Shutdown,
) {
    let mut interval = tokio::time::interval(purging.interval);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = shutdown.begun() => return,
        }
        let before = clock.now() - purging.age;
        // Replicas do this beside each other; the lease of a session decides who drops it.
        match registry.expire_uploads(before, purging.dry_run).await {
            Ok(expired) if expired.is_empty() => {}
            Ok(expired) if purging.dry_run => {
                for key in expired {
                    tracing::info!(
                        repository = %key.repository,
                        upload = %key.id,
                        "an abandoned upload would be dropped"
                    );
                }
            }
            Ok(expired) => tracing::info!(count = expired.len(), "dropped abandoned uploads"),
            Err(error) => tracing::warn!(%error, "cannot drop abandoned uploads"),
        }
    }
}
