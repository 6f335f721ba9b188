//! Every statement, on both databases.

mod content;
mod leftovers;
mod plans;
mod references;
mod uploads;

use chrono::{DateTime, Utc};
use database::{Database, Tx, sql};
use registry_token::RepositoryName;
use serde_json::{Value, json};

use super::manifests::{NewManifest, Put};
use super::repositories::RepositoryId;
use super::*;
use crate::oci::{Algorithm, Manifest, Tag, media_type};

#[tokio::test]
async fn both_schemas_have_the_same_columns() {
    let sqlite = database::testing::TestDatabase::sqlite(&SQLITE_MIGRATIONS).await;
    let postgres = database::testing::TestDatabase::postgres(&POSTGRES_MIGRATIONS).await;
    let columns = database::testing::columns(&sqlite.database).await;
    assert!(!columns.is_empty());
    assert_eq!(
        columns,
        database::testing::columns(&postgres.database).await
    );
}

/// A moment, in minutes since an arbitrary one.
fn minute(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + 60 * minutes, 0).unwrap()
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

async fn begin(database: &Database) -> Tx {
    database.begin().await.unwrap()
}

async fn read(database: &Database) -> Tx {
    database.read().await.unwrap()
}

/// A repository that shows blobs of these contents.
async fn repository(database: &Database, text: &str, contents: &[&str]) -> RepositoryId {
    let mut tx = begin(database).await;
    let id = repositories::ensure(&mut tx, &name(text), minute(0))
        .await
        .unwrap();
    for content in contents {
        push_blob(&mut tx, id, content).await;
    }
    tx.commit().await.unwrap();
    id
}

/// Stored at minute 0, to be reviewed at minute 60.
async fn push_blob(tx: &mut Tx, repository: RepositoryId, content: &str) {
    let digest = digest(content);
    let size = content.len() as u64;
    let reservation = blobs::reserve(tx, &digest, size, minute(60), minute(0))
        .await
        .unwrap();
    assert!(
        blobs::link(tx, repository, &digest, reservation, size, minute(0))
            .await
            .unwrap()
    );
}

fn descriptor(content: &str) -> Value {
    json!({"mediaType": "application/x", "digest": digest(content), "size": content.len()})
}

/// The bytes of an image with these config and layers; the first content is the config.
fn image(contents: &[&str]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(contents[0]),
        "layers": contents[1..].iter().map(|content| descriptor(content)).collect::<Vec<_>>(),
    })
}

fn index(children: &[&Value]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": children
            .iter()
            .map(|child| descriptor(&child.to_string()))
            .collect::<Vec<_>>(),
    })
}

fn digest_of(manifest: &Value) -> Digest {
    digest(&manifest.to_string())
}

async fn put_in(tx: &mut Tx, repository: RepositoryId, manifest: &Value) -> Put {
    let payload = manifest.to_string();
    let content = Manifest::parse(None, payload.as_bytes()).unwrap();
    let manifest = NewManifest {
        digest: &digest(&payload),
        content: &content,
        payload: payload.as_bytes(),
    };
    manifests::put(tx, repository, manifest, minute(100), minute(1))
        .await
        .unwrap()
}

/// Stores a manifest and points a tag at it, as a push does.
async fn push(database: &Database, repository: RepositoryId, manifest: &Value, tags: &[&str]) {
    let mut tx = begin(database).await;
    let Put::Stored(id) = put_in(&mut tx, repository, manifest).await else {
        panic!("blobs are missing");
    };
    for text in tags {
        tags::set(&mut tx, repository, &tag(text), id, minute(70), minute(1))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

type Due = (DateTime<Utc>,);

async fn blob_review(database: &Database, content: &str) -> Option<DateTime<Utc>> {
    let mut tx = read(database).await;
    let found: Option<Due> = sql!(
        &mut tx,
        fetch_optional Due,
        "SELECT r.due_at FROM blob_reviews r JOIN blobs b ON b.id = r.blob_id WHERE b.digest = $1",
        digest(content).as_str()
    )
    .unwrap();
    found.map(|(due_at,)| due_at)
}

async fn manifest_review(database: &Database, manifest: &Value) -> Option<DateTime<Utc>> {
    let mut tx = read(database).await;
    let found: Option<Due> = sql!(
        &mut tx,
        fetch_optional Due,
        "SELECT r.due_at FROM manifest_reviews r
         JOIN manifests m ON m.id = r.manifest_id WHERE m.digest = $1",
        digest_of(manifest).as_str()
    )
    .unwrap();
    found.map(|(due_at,)| due_at)
}

async fn count(database: &Database, statement: &'static str) -> i64 {
    let mut tx = read(database).await;
    let (count,): (i64,) = sql!(&mut tx, fetch_one(i64,), statement).unwrap();
    count
}
