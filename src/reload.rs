//! SIGHUP: the configuration file is read again. What can change while the server runs takes
//! effect; what cannot is named. A file that is refused changes nothing.
//!
//! Files that the configuration names (certificates, bundles, passwords) follow by themselves.

use std::sync::Arc;

use service::config::Values;
use service::shutdown::{Reload, Shutdown};
use tokio::task::spawn_blocking;

use crate::failure::Failure;

/// How a configuration is read again, and what becomes of it.
pub struct Followed<C> {
    /// Reads and checks it as at the start.
    pub read: Box<dyn Fn() -> Result<(C, Values), Failure> + Send + Sync>,
    /// Takes over what can change.
    pub apply: Box<dyn Fn(C) + Send + Sync>,
    /// The sections and keys that `apply` takes over.
    pub live: &'static [&'static str],
    /// What is in force.
    pub values: Values,
}

/// Follows every wish to reload, until the shutdown.
pub fn follow<C: Send + 'static>(followed: Followed<C>, reload: &Reload, shutdown: &Shutdown) {
    let (mut requests, shutdown) = (reload.subscribe(), shutdown.clone());
    tokio::spawn(async move {
        let Followed {
            read,
            apply,
            live,
            mut values,
        } = followed;
        let read = Arc::new(read);
        loop {
            tokio::select! {
                () = requests.next() => {}
                () = shutdown.begun() => return,
            }
            let read = Arc::clone(&read);
            match spawn_blocking(move || read()).await {
                Ok(Ok((configuration, now))) => {
                    let applied = report(&mut values, &now, live);
                    if applied {
                        apply(configuration);
                    }
                }
                Ok(Err(failure)) => tracing::error!(
                    reason = failure.reason(),
                    "the configuration is refused; the one before stays in force"
                ),
                Err(_) => return,
            }
        }
    });
}

/// Says what has changed. Whether anything of it can be taken over.
fn report(values: &mut Values, now: &Values, live: &[&str]) -> bool {
    let is_live = |key: &String| {
        live.iter().any(|section| {
            let below = key.strip_prefix(section);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let (live, other): (Vec<String>, Vec<String>) =
        values.changes(now).into_iter().partition(is_live);
    for key in &live {
        values.adopt(key, now);
    }
    if !other.is_empty() {
        tracing::warn!(
            settings = other.join(", "),
            "these settings have changed and take effect after a restart"
        );
    }
    if live.is_empty() {
        tracing::info!("the configuration was read again; nothing of it takes effect now");
    } else {
        tracing::info!(settings = live.join(", "), "new settings are in force");
    }
    !live.is_empty()
}
