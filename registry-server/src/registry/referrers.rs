//! Referrers: the manifests that say something about another one, such as signatures.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Error, Listed, Registry};
use crate::auth::{Authorized, Pull};
use crate::metadata;
use crate::oci::Digest;

/// How many rows are read at once: annotations may make each of them large.
const BATCH: u32 = 32;

/// The size of a page in bytes, roughly: what clients must be able to take of a manifest, they can
/// take of this list.
const PAGE_BYTES: usize = 4 << 20;

/// A page of referrers. It is as long as fits.
pub type Referrers = Listed<Referrer>;

/// The descriptor of a manifest, as a list of referrers has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// A JSON object, as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Box<RawValue>>,
}

impl Registry {
    /// The referrers of `subject` behind `after`, in the order of their digests. A subject that is
    /// not there may have some, since they may be pushed first.
    pub async fn referrers(
        &self,
        access: &Authorized<Pull>,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
    ) -> Result<Referrers, Error> {
        let mut tx = self.database.read().await?;
        let mut entries: Vec<Referrer> = Vec::new();
        let mut bytes = 0;
        loop {
            let after = entries.last().map(|last| &last.digest).or(after);
            let rows = metadata::referrers::page(
                &mut tx,
                access.repository(),
                subject,
                artifact_type,
                after,
                BATCH,
            )
            .await?;
            let complete = rows.len() < BATCH as usize;
            for row in rows {
                bytes += row.annotations.as_ref().map_or(0, String::len) + 256;
                if bytes > PAGE_BYTES && !entries.is_empty() {
                    return Ok(Listed {
                        entries,
                        more: true,
                    });
                }
                entries.push(row.try_into()?);
            }
            if complete {
                return Ok(Listed {
                    entries,
                    more: false,
                });
            }
        }
    }
}

impl TryFrom<metadata::referrers::Referrer> for Referrer {
    type Error = Error;

    fn try_from(row: metadata::referrers::Referrer) -> Result<Self, Error> {
        let annotations = row
            .annotations
            .map(RawValue::from_string)
            .transpose()
            .map_err(|error| Error::Internal(Box::new(error)))?;
        Ok(Self {
            media_type: row.media_type,
            digest: row.digest,
            size: row.size,
            artifact_type: row.artifact_type,
            annotations,
        })
    }
}
