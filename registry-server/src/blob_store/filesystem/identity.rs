//! The file that says which storage this is: `portcullis.json` beside blobs and repositories.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::durable::sync_directory;
use crate::blob_store::{BlobStoreError, StorageIdentity};

/// More bytes than the file ever has.
const LONGEST: u64 = 4 << 10;

const DAMAGED: BlobStoreError = BlobStoreError::Damaged("its file portcullis.json makes no sense");

/// `None` if the storage has none yet. Blocks.
pub(super) fn read(path: &Path) -> Result<Option<StorageIdentity>, BlobStoreError> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() <= LONGEST => {}
        Ok(_) => return Err(DAMAGED),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    serde_json::from_slice(&std::fs::read(path)?)
        .map(Some)
        .map_err(|_| DAMAGED)
}

/// Durable when it returns; a crash leaves the old file or the new one. Blocks.
pub(super) fn write(path: &Path, identity: &StorageIdentity) -> Result<(), BlobStoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::with_prefix_in(".portcullis-", folder)?;
    serde_json::to_writer(&mut file, identity).map_err(io::Error::from)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(sync_directory(folder)?)
}
