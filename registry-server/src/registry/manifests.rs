//! Manifests: pulling, pushing and deleting them.

use bytes::Bytes;

use super::{Error, REVIEW_DELAY, Registry, unless_unwritable};
use crate::auth::{Authorized, Delete, Pull, Push};
use crate::metadata;
use crate::metadata::manifests::{NewManifest, Put, StoredManifest};
use crate::oci::{Algorithm, Digest, Manifest, Reference, Tag};

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    pub digest: Digest,
    /// The manifest that this one speaks about, whether it is there or not.
    pub subject: Option<Digest>,
}

impl Registry {
    /// The manifest under a tag or digest.
    pub async fn manifest(
        &self,
        access: &Authorized<Pull>,
        reference: &Reference,
    ) -> Result<StoredManifest, Error> {
        let repository = access.repository();
        let mut tx = self.database.read().await?;
        let found = match reference {
            Reference::Tag(tag) => {
                metadata::manifests::find_by_tag(&mut tx, repository, tag).await?
            }
            Reference::Digest(digest) => {
                metadata::manifests::find_by_digest(&mut tx, repository, digest).await?
            }
        };
        found.ok_or_else(|| match reference {
            Reference::Tag(tag) => Error::TagUnknown(tag.clone()),
            Reference::Digest(_) => Error::ManifestUnknown,
        })
    }

    /// The same for a client that asks whether the manifest is there: it may be about to refer to
    /// it, so its review is put off.
    pub async fn manifest_exists(
        &self,
        access: &Authorized<Pull>,
        reference: &Reference,
    ) -> Result<StoredManifest, Error> {
        let manifest = self.manifest(access, reference).await?;
        let soon = self.clock.now() + REVIEW_DELAY / 2;
        if manifest.review_due_at.is_some_and(|due| due < soon) && !self.rules.load().read_only {
            let repository = access.repository();
            let digest = &manifest.digest;
            let put_off = self
                .transaction(async |tx, now| {
                    let due = now + REVIEW_DELAY;
                    Ok(metadata::reviews::postpone_manifest(tx, repository, digest, due).await?)
                })
                .await;
            unless_unwritable(put_off)?;
        }
        Ok(manifest)
    }

    /// Stores a manifest, if the repository has what it needs, and points tags at it: that of
    /// `reference`, or `tags`.
    pub async fn put_manifest(
        &self,
        access: &Authorized<Push>,
        reference: &Reference,
        tags: &[Tag],
        content_type: Option<&str>,
        payload: Bytes,
    ) -> Result<PushedManifest, Error> {
        self.writable()?;
        let content = Manifest::parse(content_type, &payload)?;
        let digest = digest(reference, &payload)?;
        self.check_urls(&content)?;

        let mut tags: Vec<&Tag> = match reference {
            Reference::Tag(tag) => vec![tag],
            Reference::Digest(_) => tags.iter().collect(),
        };
        // In order, so that two pushes of the same tags do not wait for each other in a circle.
        tags.sort_unstable();
        tags.dedup();

        let manifest = NewManifest {
            digest: &digest,
            content: &content,
            payload: &payload,
        };
        // Before the transaction: while that is open, no other change goes on with `SQLite`.
        let damaged = self.damaged(content.required_blobs()).await?;
        self.transaction(async |tx, now| {
            let due = now + REVIEW_DELAY;
            let repository = metadata::repositories::ensure(tx, access.repository(), now).await?;
            let required: Vec<&Digest> = {
                let rules = self.rules.load();
                let entries = content.manifests.iter();
                let required = entries.filter(|entry| rules.indexes.requires(entry));
                required.map(|entry| &entry.digest).collect()
            };
            if !required.is_empty() {
                let missing = metadata::manifests::missing(tx, repository, &required).await?;
                if !missing.is_empty() {
                    return Err(Error::ContentMissing(missing));
                }
            }
            let id = match metadata::manifests::put(tx, repository, manifest, due, now).await? {
                Put::Stored(id) if damaged.is_empty() => id,
                Put::Stored(_) => return Err(self.content_damaged(&damaged)),
                Put::MissingBlobs(missing) => return Err(Error::ContentMissing(missing)),
                Put::WrongSize { digest, size } => {
                    return Err(Error::SizeMismatch { digest, size });
                }
            };
            for tag in &tags {
                metadata::tags::set(tx, repository, tag, id, due, now).await?;
            }
            Ok(())
        })
        .await?;
        Ok(PushedManifest {
            digest,
            subject: content.subject.map(|subject| subject.digest),
        })
    }

    fn check_urls(&self, content: &Manifest) -> Result<(), Error> {
        let content = content
            .config
            .iter()
            .chain(&content.layers)
            .chain(&content.manifests);
        let rules = self.rules.load();
        let mut urls = content.flat_map(|descriptor| &descriptor.urls);
        match urls.find(|url| !rules.urls.accept(url)) {
            Some(url) => Err(Error::UrlForbidden(url.clone())),
            None => Ok(()),
        }
    }

    /// Deletes a manifest and the tags that point at it.
    pub async fn delete_manifest(
        &self,
        access: &Authorized<Delete>,
        digest: &Digest,
    ) -> Result<(), Error> {
        self.deletable()?;
        let deleted = self
            .transaction(async |tx, now| {
                let due = now + REVIEW_DELAY;
                Ok(metadata::manifests::delete(tx, access.repository(), digest, due).await?)
            })
            .await?;
        if deleted {
            Ok(())
        } else {
            Err(Error::ManifestUnknown)
        }
    }
}

/// The digest that a manifest is stored under: that which it was pushed by, if it is right; under a
/// tag, SHA-256, which every client knows.
fn digest(reference: &Reference, payload: &[u8]) -> Result<Digest, Error> {
    let algorithm = match reference {
        Reference::Digest(expected) => expected.algorithm(),
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let actual = Digest::of(algorithm, payload);
    match reference {
        Reference::Digest(expected) if *expected != actual => Err(Error::DigestMismatch {
            expected: expected.clone(),
            actual,
        }),
        _ => Ok(actual),
    }
}
