//! What is watched: the database and the storage, and what the section `health` names.
//! <https://distribution.github.io/distribution/about/configuration/#health>
//!
//! Reading and writing are watched apart. What cannot be read stops the registry; what cannot be
//! written only degrades it, since pulls go on. A registry that is read-only for maintenance writes
//! nothing, its checks included: it may be on a disk that is mounted read-only.

use std::sync::Arc;
use std::time::Duration;

use database::Database;
use service::health::{Check, Failure};

use crate::blob_store::{BlobStore, BlobStoreError};
use crate::config::{FileCheck, HealthSettings, HttpCheck, StorageCheck, TcpCheck};
use crate::identity::Standing;
use crate::registry::Registry;

pub fn database(database: &Database) -> Check {
    let database = database.clone();
    Check::new("registry database", move || {
        let database = database.clone();
        async move { database.ping().await }
    })
}

pub fn database_writing(database: &Database, registry: &Arc<Registry>) -> Check {
    let (database, registry) = (database.clone(), Arc::clone(registry));
    Check::new("registry database: writing", move || {
        let (database, registry) = (database.clone(), Arc::clone(&registry));
        async move {
            if registry.rules().read_only {
                return Ok(());
            }
            let written = database.check_writing().await;
            written.map_err(|error| Failure::because(error.why_not_changed(), error))
        }
    })
    .degrades()
}

pub fn storage(blobs: &Arc<dyn BlobStore>, settings: StorageCheck) -> Check {
    let blobs = Arc::clone(blobs);
    Check::new("registry storage", move || {
        let blobs = Arc::clone(&blobs);
        async move { blobs.check_reading().await }
    })
    .stops_service()
    .interval(settings.interval)
    .threshold(settings.threshold)
}

pub fn storage_writing(
    blobs: &Arc<dyn BlobStore>,
    settings: StorageCheck,
    registry: &Arc<Registry>,
) -> Check {
    let (blobs, registry) = (Arc::clone(blobs), Arc::clone(registry));
    Check::new("registry storage: writing", move || {
        let (blobs, registry) = (Arc::clone(&blobs), Arc::clone(&registry));
        async move {
            if registry.rules().read_only {
                return Ok(());
            }
            let written = blobs.check_writing().await;
            written.map_err(|error| Failure::because(why_not_written(&error), error))?;
            // The probe file may take from the reserve; nobody else may.
            let room = registry.expect_room(None).await;
            room.map_err(|error| Failure::because("the disk is full", error))
        }
    })
    .degrades()
    .interval(settings.interval)
    .threshold(settings.threshold)
}

fn why_not_written(error: &BlobStoreError) -> &'static str {
    match error {
        BlobStoreError::NoSpace(_) => "the disk is full",
        BlobStoreError::ReadOnly(_) => "it is read-only",
        BlobStoreError::NotFound
        | BlobStoreError::Busy
        | BlobStoreError::DigestMismatch { .. }
        | BlobStoreError::Damaged(_)
        | BlobStoreError::Unavailable(_) => "it cannot be written",
    }
}

/// How often storage and database are compared. Nothing is removed without comparing them, either.
const COMPARED: Duration = Duration::from_mins(1);

pub fn storage_and_database(registry: &Arc<Registry>) -> Check {
    let registry = Arc::clone(registry);
    Check::new("registry storage: its database", move || {
        let registry = Arc::clone(&registry);
        async move {
            match registry.standing(true).await {
                Ok(Standing::Together { .. }) => Ok(()),
                Ok(Standing::DatabaseOlder { .. }) => Err(Failure::because(
                    "the database is an older copy",
                    "the database is an older copy: nothing is removed from the storage",
                )),
                Err(error) => Err(Failure::because("they do not go together", error)),
            }
        }
    })
    .degrades()
    .interval(COMPARED)
}

/// The checks that the configuration names; while one of them fails, the registry is out of service.
pub fn configured(health: &HealthSettings) -> Vec<Check> {
    let files = health.files.iter().map(file);
    let http = health.http.iter().map(http);
    let tcp = health.tcp.iter().map(tcp);
    let all = files.chain(http).chain(tcp);
    all.map(Check::stops_service).collect()
}

/// Fails while the file exists: an operator makes it to take the registry out of service.
fn file(check: &FileCheck) -> Check {
    let path = check.path.clone();
    Check::new(&path.display().to_string(), move || {
        let path = path.clone();
        async move {
            match tokio::fs::try_exists(&path).await {
                Ok(true) => Err("the file exists".to_owned()),
                Ok(false) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
    })
    .interval(check.interval)
}

fn http(check: &HttpCheck) -> Check {
    let wanted = check.clone();
    let mut shown = check.url.clone();
    // Fails for URLs that cannot have credentials, which is just as well.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    Check::new(shown.as_str(), move || head(wanted.clone()))
        .interval(check.interval)
        .timeout(check.timeout + MARGIN)
        .threshold(check.threshold)
}

/// So that what took too long says so in its own words.
const MARGIN: Duration = Duration::from_millis(500);

async fn head(check: HttpCheck) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .timeout(check.timeout)
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = client.head(check.url);
    for (name, value) in &check.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    // Without the URL, which may hold a password.
    let answer = request.send().await.map_err(|error| {
        let error = error.without_url();
        if error.is_timeout() {
            format!("no answer within {:?}", check.timeout)
        } else {
            chain(&error)
        }
    })?;
    if answer.status().as_u16() == check.status.as_u16() {
        Ok(())
    } else {
        Err(format!(
            "answered {}, not {}",
            answer.status(),
            check.status
        ))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn tcp(check: &TcpCheck) -> Check {
    let address = check.address.clone();
    Check::new(&check.address, move || {
        let address = address.clone();
        async move { tokio::net::TcpStream::connect(address).await.map(drop) }
    })
    .interval(check.interval)
    .timeout(check.timeout)
    .threshold(check.threshold)
}
