//! What the registry knows, in SQL: one file per noun, statements only. The rules are `registry`'s,
//! the bytes of blobs `blob_store`'s.
//!
//! - [`repositories`]: names, the catalog.
//! - [`blobs`]: blobs, and the links that make one visible in a repository.
//! - [`manifests`], [`tags`], [`referrers`].
//! - [`uploads`]: sessions, their progress, and the lease that keeps writers apart.
//! - [`reviews`]: what the collector must look at, and when.
//! - [`storage_identity`]: which storage all of this is about.
//!
//! Functions take a [`Tx`]; whoever opened it commits. Look-ups return `Option`. A
//! [`database::Error::Race`] means: try the whole transaction again.
//!
//! # How content is kept from disappearing
//!
//! Collection runs beside pushes. It deletes a blob's bytes while it holds the blob's row locked
//! (`FOR UPDATE`; on `SQLite` the one writer), after having checked that no manifest refers to it
//! and its review is still due. So:
//!
//! 1. [`blobs::reserve`] comes before bytes are moved into the blob store, in a transaction of its
//!    own: it waits for a deletion under way and postpones the next one.
//! 2. [`manifests::put`] locks the rows of all blobs (`FOR KEY SHARE`) that it finds present. A
//!    deletion that came first makes them missing; one that comes later sees the references.
//! 3. A foreign key refuses to delete a blob that a manifest requires, whatever else goes wrong.
//!
//! An abandoned reservation is a row without a link and perhaps without bytes: nobody can see it,
//! and its review removes it.

pub mod blobs;
pub mod manifests;
pub mod referrers;
pub mod repositories;
pub mod reviews;
pub mod storage_identity;
pub mod tags;
pub mod uploads;

use database::Tx;
use sqlx::migrate::Migrator;

use crate::oci::Digest;

/// The schema, for [`database::Database::migrate`].
pub static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/registry/sqlite");
pub static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/registry/postgres");

/// Digests as one argument of a statement, which unpacks the JSON array again: the two databases
/// have no other list in common.
fn json_list<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> String {
    let mut list = String::from("[");
    for digest in digests {
        if list.len() > 1 {
            list.push(',');
        }
        // A digest has no character that JSON would escape.
        list.push('"');
        list.push_str(digest.as_str());
        list.push('"');
    }
    list.push(']');
    list
}

/// Picks the text of a statement that the dialects cannot share.
fn dialect(tx: &Tx, sqlite: &'static str, postgres: &'static str) -> &'static str {
    match tx {
        Tx::Sqlite(_) => sqlite,
        Tx::Postgres(_) => postgres,
    }
}

#[cfg(test)]
mod tests;
