//! What Portcullis does, seen from outside: one module for each capability.
//!
//! The registry's API follows the OCI distribution specification, one test for each of its rules:
//! [`blobs`], [`uploads`], [`mounts`], [`manifests`], [`tags`], [`catalog`], [`referrers`].
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod access_log;
mod api_fuzz;
mod authorization;
mod bad_input;
mod blobs;
mod catalog;
mod client_config;
mod clients;
mod command_line;
mod compose;
mod compose_documents;
mod compose_letsencrypt;
mod compose_restarts;
mod configuration;
mod crash;
mod credentials;
mod damaged_blobs;
mod disk;
mod distribution;
mod doctor;
mod documents;
mod explorer;
mod full_database;
mod gitlab;
mod health;
mod htpasswd;
mod image;
mod import;
mod key_rotation;
mod letsencrypt;
mod listeners;
mod manifests;
mod monitoring;
mod mounts;
mod operation;
mod operators_documents;
mod pairing;
mod proxies;
mod referrers;
mod reload;
mod replicas;
mod storage_identity;
mod stuck_uploads;
mod swapped_accounts;
mod systemd;
mod tags;
mod token_realm;
mod traces;
mod unfinished_uploads;
mod uploads;
mod visibility;

use acceptance::content::unique;
use acceptance::{Portcullis, Repository};

/// A server, and the admin at an empty repository of it.
async fn empty_repository() -> (Portcullis, Repository) {
    let portcullis = Portcullis::up().await;
    let repository = portcullis
        .admin()
        .repository(&format!("admin/{}", unique()));
    (portcullis, repository)
}
