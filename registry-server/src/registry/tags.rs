//! Tags.

use super::{Error, Listed, REVIEW_DELAY, Registry};
use crate::auth::{Authorized, Delete, Pull};
use crate::metadata;
use crate::oci::Tag;

impl Registry {
    /// The tags of a repository behind `after`, in byte order.
    pub async fn tags(
        &self,
        access: &Authorized<Pull>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Listed<Tag>, Error> {
        let repository = access.repository();
        let mut tx = self.database.read().await?;
        let one_more = limit.saturating_add(1);
        let tags = metadata::tags::page(&mut tx, repository, after, one_more).await?;
        if tags.is_empty()
            && metadata::repositories::find(&mut tx, repository)
                .await?
                .is_none()
        {
            return Err(Error::RepositoryUnknown);
        }
        Ok(Listed::of(tags, limit))
    }

    /// Removes a tag. Its manifest stays, until a review finds that nothing needs it.
    pub async fn delete_tag(&self, access: &Authorized<Delete>, tag: &Tag) -> Result<(), Error> {
        self.deletable()?;
        let deleted = self
            .transaction(async |tx, now| {
                let due = now + REVIEW_DELAY;
                Ok(metadata::tags::delete(tx, access.repository(), tag, due).await?)
            })
            .await?;
        if deleted {
            Ok(())
        } else {
            Err(Error::TagUnknown(tag.clone()))
        }
    }
}
