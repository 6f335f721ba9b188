//! Whose keys are in a folder: the accounts database and the folder have the same id, from the first
//! start on, or from the first of this version.
//!
//! An empty database, begun by a typo in `database.url` or by a restore that failed, would else adopt
//! the keys, make an administrator and tokens that registries believe; another one would put its own
//! keys into `bundle.pem`. Keys that are in the database go with it, and mounted ones are somebody
//! else's.

use std::io;
use std::path::PathBuf;

use database::Database;

use super::key_files::{KeyFileError, KeyFolder};
use super::key_ring::KeyError;
use super::key_settings::KeyPlace;
use crate::clock::Clock;
use crate::store::accounts_id;

/// At the start of a server: refuses the keys of other accounts, and marks those of nobody.
pub(crate) async fn settle(
    place: &KeyPlace,
    database: &Database,
    clock: &Clock,
) -> Result<(), KeyError> {
    let Some(folder) = folder(place) else {
        return Ok(());
    };
    if is_marked(&folder, database).await? {
        return Ok(());
    }
    match mark(&folder, database, clock).await {
        // At a later start, then.
        Err(error) if is_about_writing(&error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "the keys cannot be marked as those of these accounts"
            );
            Ok(())
        }
        marked => marked,
    }
}

/// For a command beside the server: the same, and nothing is written.
pub(crate) async fn require(place: &KeyPlace, database: &Database) -> Result<(), KeyError> {
    match folder(place) {
        Some(folder) => is_marked(&folder, database).await.map(drop),
        None => Ok(()),
    }
}

/// Makes the keys in the folder those of this database, whosever they were. The folder, if there is
/// one.
pub(crate) async fn adopt(
    place: &KeyPlace,
    database: &Database,
    clock: &Clock,
) -> Result<Option<PathBuf>, KeyError> {
    let Some(folder) = folder(place) else {
        return Ok(None);
    };
    mark(&folder, database, clock).await?;
    Ok(Some(folder.path().to_owned()))
}

fn folder(place: &KeyPlace) -> Option<KeyFolder> {
    match place {
        KeyPlace::Folder(folder) => Some(folder.clone()),
        KeyPlace::Database { .. } | KeyPlace::Mounted { .. } => None,
    }
}

/// Whether the folder says that it is this database's; an error if it says that it is another's.
async fn is_marked(folder: &KeyFolder, database: &Database) -> Result<bool, KeyError> {
    let marked = folder.clone();
    let marked = tokio::task::spawn_blocking(move || marked.owner()).await??;
    let Some(marked) = marked else {
        return Ok(false);
    };
    let mut tx = database.read().await?;
    let id = accounts_id::find(&mut tx).await?;
    if id.is_some_and(|id| id.to_string() == marked.trim()) {
        return Ok(true);
    }
    Err(KeyError::OtherAccounts {
        folder: folder.path().to_owned(),
        database: database.described(),
    })
}

/// First in the database, which many may share.
async fn mark(folder: &KeyFolder, database: &Database, clock: &Clock) -> Result<(), KeyError> {
    let mut tx = database.begin().await?;
    let id = accounts_id::find_or_insert(&mut tx, clock.uuid()).await?;
    tx.commit().await?;
    let folder = folder.clone();
    tokio::task::spawn_blocking(move || folder.set_owner(id)).await??;
    Ok(())
}

fn is_about_writing(error: &KeyError) -> bool {
    match error {
        KeyError::Database(error) => error.is_about_writing(),
        KeyError::File(KeyFileError::File { source, .. }) => matches!(
            source.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::PermissionDenied
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{POSTGRES, SQLITE};
    use crate::testing::clock;

    fn folder_of(folder: &tempfile::TempDir) -> KeyPlace {
        KeyPlace::Folder(KeyFolder::new(folder.path().join("keys")))
    }

    database::test_on_both! {
        migrations: (SQLITE, POSTGRES);

        async fn keys_are_those_of_one_database(database: Database) {
            let folder = tempfile::tempdir().unwrap();
            let place = folder_of(&folder);
            let clock = clock();
            // A command before the first start.
            require(&place, &database).await.unwrap();
            for _ in 0..2 {
                settle(&place, &database, &clock).await.unwrap();
                require(&place, &database).await.unwrap();
            }

            let other = database::testing::TestDatabase::sqlite(&SQLITE).await;
            let told = other.database.described();
            for refused in [
                settle(&place, &other.database, &clock).await,
                require(&place, &other.database).await,
            ] {
                let sentence = refused.unwrap_err().to_string();
                let keys = folder.path().join("keys").display().to_string();
                assert!(sentence.contains(&keys) && sentence.contains(&told), "{sentence}");
                assert!(sentence.contains("portcullis auth key adopt"), "{sentence}");
            }
            let adopted = adopt(&place, &other.database, &clock).await.unwrap();
            assert_eq!(adopted, Some(folder.path().join("keys")));
            settle(&place, &other.database, &clock).await.unwrap();
            assert!(settle(&place, &database, &clock).await.is_err());
        }

        async fn replicas_may_have_folders_of_their_own(database: Database) {
            let folder = tempfile::tempdir().unwrap();
            let other = tempfile::tempdir().unwrap();
            let (one, two) = (folder_of(&folder), folder_of(&other));
            let clock = clock();
            let (first, second) = tokio::join!(
                settle(&one, &database, &clock),
                settle(&two, &database, &clock)
            );
            first.unwrap();
            second.unwrap();
            require(&one, &database).await.unwrap();
            require(&two, &database).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_mark_that_is_none_is_refused() {
        let test = database::testing::TestDatabase::sqlite(&SQLITE).await;
        let folder = tempfile::tempdir().unwrap();
        let place = folder_of(&folder);
        settle(&place, &test.database, &clock()).await.unwrap();
        std::fs::write(folder.path().join("keys/accounts-id"), "garbage").unwrap();
        let refused = settle(&place, &test.database, &clock()).await;
        assert!(matches!(refused, Err(KeyError::OtherAccounts { .. })));
    }
}
