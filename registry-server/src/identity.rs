//! Storage and database know each other.
//!
//! What a database does not know of is superfluous to it. With the wrong database, or an older copy of the
//! right one, that is every image. So both hold the same random id, and a counter that only grows:
//!
//! - Another id is another storage's database: nothing starts, until an operator has decided
//!   ([`Identity::adopt`]).
//! - The counter grows while content comes in ([`Identity::advance`]), in the database first. So a storage that
//!   is ahead has content that this database has never heard of: it is served, and nothing is removed.
//! - Nothing unknown is judged by what was before the two came together ([`Standing::Together`]).

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use database::Database;
use futures_util::StreamExt as _;
use tokio::sync::Mutex;

use crate::blob_store::{BlobStore, BlobStoreError, StorageIdentity};
use crate::clock::Clock;
use crate::metadata;
use crate::metadata::storage_identity::KnownStorage;

/// While content comes in, the counter grows this often: what is pushed within this time of a copy of
/// the database may go unnoticed, and is then set aside rather than removed.
const PACE: Duration = Duration::from_mins(1);

/// How many blobs of the database are looked for in a storage that has no id yet.
const SAMPLE: u32 = 100;

/// How a storage and its database stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Since then.
    Together { since: DateTime<Utc> },
    /// The database is an older copy: the storage has seen more.
    DatabaseOlder { storage: u64, database: u64 },
}

/// Why a storage and a database do not go together. Shown to operators.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "the storage has the id {storage}, but the database belongs to the storage {database}. Is \
         `database.url` or the root directory another registry's? {WAY_ON}"
    )]
    Strangers {
        storage: uuid::Uuid,
        database: uuid::Uuid,
    },
    #[error(
        "the storage has the id {0}, and this database has never met it. Is `database.url` right, and \
         was the database restored? {WAY_ON}"
    )]
    UnknownToDatabase(uuid::Uuid),
    #[error(
        "the database belongs to the storage {0}, and the storage has no id. Is its disk mounted, and \
         is the root directory right? {WAY_ON}"
    )]
    UnknownToStorage(uuid::Uuid),
    #[error(
        "the storage has blobs, and the database knows none of them. Is `database.url` right, and was \
         the database restored? {WAY_ON}"
    )]
    StorageUnknown,
    #[error(
        "the database knows blobs, and the storage has none of them. Is its disk mounted, and is the \
         root directory right? {WAY_ON}"
    )]
    BlobsMissing,
    #[error("the database does not work: {0}")]
    Database(#[from] database::Error),
    #[error("the storage does not work: {0}")]
    Storage(#[from] BlobStoreError),
}

/// What operators are told to do if it is right all the same.
const WAY_ON: &str = "If the two are to go together from now on, say so: portcullis registry \
                      adopt-storage";

/// The bond between a storage and its database.
#[derive(Debug)]
pub struct Identity {
    clock: Clock,
    /// When this process has counted on last.
    advanced: Mutex<Option<Instant>>,
}

impl Identity {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            advanced: Mutex::default(),
        }
    }

    /// Compares the two. A pair that has no id yet is given one, if it belongs together; with `read_only`,
    /// nothing is written.
    pub async fn establish(
        &self,
        database: &Database,
        store: &dyn BlobStore,
        read_only: bool,
    ) -> Result<Standing, IdentityError> {
        // In this order: a server beside this one counts on in the database first.
        let of_storage = store.identity().await?;
        let of_database = known(database).await?;
        match (of_storage, of_database) {
            (Some(storage), Some(known)) => compare(storage, known),
            (Some(storage), None) => Err(IdentityError::UnknownToDatabase(storage.id)),
            (None, Some(known)) => {
                if evidence(database, store).await? != Evidence::Nothing {
                    return Err(IdentityError::UnknownToStorage(known.identity.id));
                }
                // The first start was interrupted.
                if !read_only {
                    store.identify(known.identity).await?;
                }
                Ok(Standing::Together { since: known.since })
            }
            (None, None) => {
                match evidence(database, store).await? {
                    Evidence::Nothing | Evidence::Shared => {}
                    // It keeps its own records of what is there, and this registry never removes any of it.
                    Evidence::StorageAlone if store.has_foreign_records().await? => {}
                    Evidence::StorageAlone => return Err(IdentityError::StorageUnknown),
                    Evidence::DatabaseAlone => return Err(IdentityError::BlobsMissing),
                }
                if read_only {
                    let since = self.clock.now();
                    return Ok(Standing::Together { since });
                }
                self.introduce(database, store).await
            }
        }
    }

    async fn introduce(
        &self,
        database: &Database,
        store: &dyn BlobStore,
    ) -> Result<Standing, IdentityError> {
        let first = StorageIdentity {
            id: self.clock.unguessable_id(),
            counter: 0,
        };
        let now = self.clock.now();
        let mut tx = database.begin().await?;
        metadata::storage_identity::introduce(&mut tx, first, now).await?;
        tx.commit().await?;
        // Of servers that start together, one was first.
        let known = known(database).await?.map_or(first, |known| known.identity);
        store.identify(known).await?;
        Ok(Standing::Together { since: now })
    }

    /// Counts on, if that was not done lately: content is about to come in.
    ///
    /// Where the database is an older copy, the storage alone counts on: so the database that knows what is there
    /// will notice, too, that it does not know what comes in now.
    pub async fn advance(
        &self,
        database: &Database,
        store: &dyn BlobStore,
    ) -> Result<(), IdentityError> {
        let mut advanced = self.advanced.lock().await;
        if advanced.is_some_and(|at| at.elapsed() < PACE) {
            return Ok(());
        }
        let Some(storage) = store.identity().await? else {
            let known = known(database).await?;
            // Somebody has removed the file; the folder is the same.
            if let Some(known) = known {
                store.identify(known.identity).await?;
            }
            return Ok(());
        };
        let mut tx = database.begin().await?;
        let advanced_to = metadata::storage_identity::advance(&mut tx, storage).await?;
        tx.commit().await?;
        let counter = match advanced_to {
            Some(counter) => counter,
            None => match known(database).await? {
                Some(known) if known.identity.id == storage.id => storage.counter + 1,
                Some(known) => {
                    return Err(IdentityError::Strangers {
                        storage: storage.id,
                        database: known.identity.id,
                    });
                }
                None => return Err(IdentityError::UnknownToDatabase(storage.id)),
            },
        };
        let id = storage.id;
        store.identify(StorageIdentity { id, counter }).await?;
        *advanced = Some(Instant::now());
        Ok(())
    }

    /// Has the two go together from now on, under a new id: the former partners of either notice.
    pub async fn adopt(
        &self,
        database: &Database,
        store: &dyn BlobStore,
    ) -> Result<StorageIdentity, IdentityError> {
        let of_storage = store.identity().await?;
        let of_database = known(database).await?.map(|known| known.identity);
        let counters = [of_storage, of_database].into_iter().flatten();
        let adopted = StorageIdentity {
            id: self.clock.unguessable_id(),
            counter: counters.map(|identity| identity.counter).max().unwrap_or(0) + 1,
        };
        let mut tx = database.begin().await?;
        metadata::storage_identity::replace(&mut tx, adopted, self.clock.now()).await?;
        tx.commit().await?;
        store.identify(adopted).await?;
        Ok(adopted)
    }
}

async fn known(database: &Database) -> Result<Option<KnownStorage>, database::Error> {
    let mut tx = database.read().await?;
    metadata::storage_identity::find(&mut tx).await
}

fn compare(storage: StorageIdentity, known: KnownStorage) -> Result<Standing, IdentityError> {
    let database = known.identity;
    if storage.id != database.id {
        return Err(IdentityError::Strangers {
            storage: storage.id,
            database: database.id,
        });
    }
    if storage.counter > database.counter {
        return Ok(Standing::DatabaseOlder {
            storage: storage.counter,
            database: database.counter,
        });
    }
    Ok(Standing::Together { since: known.since })
}

/// What the content of a storage and a database says about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// Neither has any.
    Nothing,
    Shared,
    StorageAlone,
    DatabaseAlone,
}

async fn evidence(database: &Database, store: &dyn BlobStore) -> Result<Evidence, IdentityError> {
    let shown = {
        let mut tx = database.read().await?;
        metadata::blobs::shown(&mut tx, SAMPLE).await?
    };
    for digest in &shown {
        match store.size(digest).await {
            Ok(_) => return Ok(Evidence::Shared),
            Err(BlobStoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !shown.is_empty() {
        return Ok(Evidence::DatabaseAlone);
    }
    // Everything may have been deleted, and its bytes not yet.
    let mut stored = store.blobs().take(SAMPLE as usize);
    let mut evidence = Evidence::Nothing;
    while let Some(blob) = stored.next().await.transpose()? {
        let mut tx = database.read().await?;
        if metadata::blobs::is_known(&mut tx, &blob.digest).await? {
            return Ok(Evidence::Shared);
        }
        evidence = Evidence::StorageAlone;
    }
    Ok(evidence)
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
