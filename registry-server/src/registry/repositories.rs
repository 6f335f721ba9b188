//! The catalog of repositories.

use registry_token::RepositoryName;

use super::{Error, Listed, Registry};
use crate::auth::{Authorized, Catalog};
use crate::metadata;

impl Registry {
    /// The repositories behind `after`, in byte order.
    pub async fn repositories(
        &self,
        _access: &Authorized<Catalog>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Listed<RepositoryName>, Error> {
        let mut tx = self.database.read().await?;
        let one_more = limit.saturating_add(1);
        let names = metadata::repositories::page(&mut tx, after, one_more).await?;
        Ok(Listed::of(names, limit))
    }
}
