//! Files that are read again while the server runs: every few seconds, and at once on a
//! [`Reload`].
//!
//! Polling also sees what no notification tells of: a network file system, and the symbolic links
//! that Kubernetes swaps under a mounted Secret.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use crate::shutdown::{Reload, Shutdown};

/// A file, in the words of the log.
#[derive(Clone, Debug)]
pub struct WatchedFile {
    /// `certificate`
    pub name: &'static str,
    pub path: PathBuf,
    /// How often it is looked at.
    pub interval: Duration,
}

/// Looks at a file until the server ends. `look` may block. It says whether there was something
/// new, and when it fails, it leaves what was in force.
pub async fn watch<E, L>(file: WatchedFile, mut look: L, shutdown: Shutdown, reload: Reload)
where
    E: Display,
    L: FnMut() -> Result<bool, E> + Send + 'static,
{
    let path = file.path.display();
    let mut requests = reload.subscribe();
    let mut warned: Option<String> = None;
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(file.interval) => false,
            () = requests.next() => true,
            () = shutdown.begun() => return,
        };
        // File reads block, on a network file system perhaps for long.
        let looked = tokio::task::spawn_blocking(move || {
            let result = look().map_err(|error| error.to_string());
            (look, result)
        });
        let Ok((back, result)) = looked.await else {
            return;
        };
        look = back;
        match result {
            Ok(true) => {
                warned = None;
                tracing::info!(%path, "new {} in use", file.name);
            }
            Ok(false) => warned = None,
            Err(error) => {
                // Once per fault, not every few seconds; and to whoever asked.
                if asked || warned.as_ref() != Some(&error) {
                    tracing::warn!(%path, error, "the old {} stays in use", file.name);
                }
                warned = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    fn file(interval: Duration) -> WatchedFile {
        WatchedFile {
            name: "certificate",
            path: "cert.pem".into(),
            interval,
        }
    }

    async fn until(looks: &AtomicU32, count: u32) {
        let wait = async {
            while looks.load(Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn it_looks_again_and_again_whatever_it_found() {
        let looks = Arc::new(AtomicU32::new(0));
        let look = {
            let looks = Arc::clone(&looks);
            move || match looks.fetch_add(1, Relaxed) % 3 {
                0 => Ok(true),
                1 => Ok(false),
                _ => Err("damaged"),
            }
        };
        let shutdown = Shutdown::new();
        let often = file(Duration::from_millis(1));
        let watching = tokio::spawn(watch(often, look, shutdown.clone(), Reload::new()));
        until(&looks, 7).await;
        shutdown.begin();
        watching.await.unwrap();
    }

    #[tokio::test]
    async fn it_looks_at_once_when_asked() {
        let looks = Arc::new(AtomicU32::new(0));
        let look = {
            let looks = Arc::clone(&looks);
            move || {
                looks.fetch_add(1, Relaxed);
                Ok::<bool, String>(false)
            }
        };
        let (shutdown, reload) = (Shutdown::new(), Reload::new());
        let hourly = file(Duration::from_hours(1));
        tokio::spawn(watch(hourly, look, shutdown.clone(), reload.clone()));
        tokio::task::yield_now().await;
        reload.request();
        until(&looks, 1).await;
        shutdown.begin();
    }
}
