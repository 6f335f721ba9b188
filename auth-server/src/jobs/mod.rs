//! Work in the background.

use std::time::Duration;

use chrono::TimeDelta;
use database::Database;
use service::shutdown::{Reload, Shutdown};

use crate::accounts::session::SessionPolicy;
use crate::accounts::throttle;
use crate::audit::{Actor, Origin, retention};
use crate::clock::Clock;
use crate::context::Context;
use crate::store;
use crate::token::{KeyRing, upkeep};

/// How often the signing keys are looked at. A new key takes this long to be published by every
/// server, and registries read it from there: small against the time before it signs.
const KEY_INTERVAL: Duration = Duration::from_secs(2);

/// How often what is over is removed.
const INTERVAL: Duration = Duration::from_hours(1);

/// How often old events of the audit log are removed.
const AUDIT_INTERVAL: Duration = Duration::from_hours(24);

/// How long tokens and sessions are kept after their end, so that who comes with one learns what
/// became of it, and lists show it.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Starts all of it, until the shutdown.
pub(crate) fn spawn(
    database: Database,
    clock: Clock,
    keys: KeyRing,
    audit_retention: Duration,
    sessions: SessionPolicy,
    shutdown: &Shutdown,
    reload: &Reload,
) {
    if let Some(pair) = keys.mounted().cloned() {
        tokio::spawn(pair.follow(shutdown.clone(), reload.clone()));
    }
    tokio::spawn(keep_keys(keys, shutdown.clone()));
    let context = Context {
        database: database.clone(),
        clock: clock.clone(),
        origin: Origin::local(Actor::system()),
    };
    tokio::spawn(purge_audit_events(
        context,
        audit_retention,
        shutdown.clone(),
    ));
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            match purge(&database, &clock, sessions).await {
                Ok(0) => {}
                Ok(removed) => {
                    tracing::debug!(removed, "removed tokens and sessions that are over");
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "tokens and sessions that are over could not be removed; trying again later"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.begun() => return,
            }
        }
    });
}

/// Keeps the signing keys in step with the time and with other servers.
async fn keep_keys(keys: KeyRing, shutdown: Shutdown) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(KEY_INTERVAL) => {}
            () = shutdown.begun() => return,
        }
        match upkeep::tick(&keys).await {
            Ok(()) => failing = false,
            // Once: what is tried every other second must not fill the log.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the signing keys could not be brought up to date; trying again"
                );
            }
            Err(_) => {}
        }
    }
}

/// Ends the events of the audit log whose time is over, once a day.
async fn purge_audit_events(context: Context, retention: Duration, shutdown: Shutdown) {
    loop {
        let pause = match retention::purge(&context, retention).await {
            Ok(removed) => {
                if removed > 0 {
                    tracing::info!(removed, "removed old events from the audit log");
                }
                AUDIT_INTERVAL
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old events of the audit log could not be removed; trying again later"
                );
                INTERVAL
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.begun() => return,
        }
    }
}

/// Removes tokens, sessions and failed logins that are over. The number of rows.
pub(crate) async fn purge(
    database: &Database,
    clock: &Clock,
    sessions: SessionPolicy,
) -> Result<u64, database::Error> {
    let now = clock.now();
    let ended = now - KEPT;
    let mut tx = database.begin().await?;
    let removed = [
        store::refresh_tokens::delete_ended(&mut tx, ended).await?,
        store::tokens::delete_ended(&mut tx, ended).await?,
        store::sessions::delete_ended(&mut tx, ended, ended - sessions.idle).await?,
        store::logins::delete_old(&mut tx, now - throttle::REMEMBERED, now - throttle::KNOWN)
            .await?,
    ];
    tx.commit().await?;
    Ok(removed.iter().sum())
}
