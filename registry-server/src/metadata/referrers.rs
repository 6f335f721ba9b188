//! Referrers: the manifests of a repository that have another one as their subject.

use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::oci::Digest;

/// What a referrers list says about one manifest.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Referrer {
    #[sqlx(try_from = "String")]
    pub digest: Digest,
    pub media_type: String,
    /// In bytes.
    #[sqlx(try_from = "i64")]
    pub size: u64,
    pub artifact_type: Option<String>,
    /// A JSON object of strings; `None` for an empty one.
    pub annotations: Option<String>,
}

pub(super) const PAGE_OF_TYPE: &str =
    "SELECT digest, media_type, size, artifact_type, annotations FROM manifests
    WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
      AND subject_digest = $2 AND digest > $3 AND artifact_type = $5
    ORDER BY digest LIMIT $4";

pub(super) const PAGE: &str =
    "SELECT digest, media_type, size, artifact_type, annotations FROM manifests
    WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
      AND subject_digest = $2 AND digest > $3
    ORDER BY digest LIMIT $4";

/// At most `limit` referrers of `subject` behind `after`, in the order of their digests. The
/// subject need not exist.
pub async fn page(
    tx: &mut Tx,
    repository: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
    after: Option<&Digest>,
    limit: u32,
) -> Result<Vec<Referrer>, Error> {
    let after = after.map_or("", Digest::as_str);
    match artifact_type {
        None => sql!(
            tx,
            fetch_all Referrer,
            PAGE,
            repository.as_str(),
            subject.as_str(),
            after,
            i64::from(limit)
        ),
        Some(artifact_type) => sql!(
            tx,
            fetch_all Referrer,
            PAGE_OF_TYPE,
            repository.as_str(),
            subject.as_str(),
            after,
            i64::from(limit),
            artifact_type
        ),
    }
}
