//! The end of a process, and the wish to reload.
//!
//! SIGTERM or SIGINT begins a shutdown: listeners close, requests in flight get their drain time,
//! jobs see [`Shutdown::begun`] and finish what they hold. A second signal ends at once. SIGHUP
//! asks everybody who subscribed to [`Reload`] to read their files again.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether, and how hurriedly, the process is asked to end. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    forced: CancellationToken,
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a graceful shutdown. Again: no effect.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Ends at once: what is in flight is cut off.
    pub fn force(&self) {
        self.begun.cancel();
        self.forced.cancel();
    }

    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Completes when a shutdown begins. A job selects on this beside its sleep.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Completes when there is no more time to finish anything.
    pub async fn forced(&self) {
        self.forced.cancelled().await;
    }

    /// For libraries that take a token, and for children that end earlier than the process.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.begun.clone()
    }
}

/// The wish to read files again. Clones share their state.
#[derive(Clone, Debug)]
pub struct Reload(Arc<watch::Sender<()>>);

impl Default for Reload {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Reload {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks all subscribers to reload.
    pub fn request(&self) {
        self.0.send_replace(());
    }

    /// Sees every wish from now on; several at once are one.
    #[must_use]
    pub fn subscribe(&self) -> ReloadRequests {
        ReloadRequests(self.0.subscribe())
    }
}

/// What a subscriber of [`Reload`] waits on.
#[derive(Debug)]
pub struct ReloadRequests(watch::Receiver<()>);

impl ReloadRequests {
    /// Completes when a reload is asked for; never again once all senders are gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Listens to the process' signals from now on, until the runtime ends.
pub fn listen_to_signals(shutdown: &Shutdown, reload: &Reload) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (shutdown, reload) = (shutdown.clone(), reload.clone());
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hang_up.recv() => {
                    tracing::info!("SIGHUP: reloading");
                    reload.request();
                    continue;
                }
            };
            if shutdown.has_begun() {
                tracing::warn!("{name} again: stopping at once");
                shutdown.force();
            } else {
                tracing::info!("{name}: finishing what is in flight; once more stops at once");
                shutdown.begin();
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn forcing_begins_too() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.has_begun());
        shutdown.clone().force();
        assert!(shutdown.has_begun());
        timeout(SOON, shutdown.begun()).await.unwrap();
        timeout(SOON, shutdown.forced()).await.unwrap();
    }

    #[tokio::test]
    async fn beginning_leaves_time() {
        let shutdown = Shutdown::new();
        shutdown.begin();
        timeout(SOON, shutdown.begun()).await.unwrap();
        let forced = timeout(Duration::from_millis(20), shutdown.forced()).await;
        assert!(forced.is_err(), "nobody forced it");
    }

    #[tokio::test]
    async fn every_subscriber_sees_a_reload() {
        let reload = Reload::new();
        let (mut first, mut second) = (reload.subscribe(), reload.subscribe());
        reload.request();
        timeout(SOON, first.next()).await.unwrap();
        timeout(SOON, second.next()).await.unwrap();
        let again = timeout(Duration::from_millis(20), first.next()).await;
        assert!(again.is_err(), "one wish, one reload");
    }
}
