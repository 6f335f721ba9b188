//! [`Layout`]: the paths below the root.
//!
//! Every part of a path is a constant or comes from a type whose constructor has checked it:
//! [`Digest`] (hex digits), [`RepositoryName`](registry_token::RepositoryName) (no `..`, no leading
//! `_` or `.`) and `Uuid`.

use std::path::{Path, PathBuf};

use crate::blob_store::UploadKey;
use crate::oci::Digest;

/// The file that holds the bytes, of blobs and uploads alike.
pub(super) const DATA: &str = "data";
pub(super) const UPLOADS: &str = "_uploads";
const BASE: &str = "docker/registry/v2";
const BLOBS: &str = "blobs";
const REPOSITORIES: &str = "repositories";
const ASIDE: &str = "set-aside";
const IDENTITY: &str = "portcullis.json";

#[derive(Debug)]
pub(super) struct Layout {
    base: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        let mut base = root;
        base.push(BASE);
        Self { base }
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.base.join(BLOBS)
    }

    pub(super) fn repositories(&self) -> PathBuf {
        self.base.join(REPOSITORIES)
    }

    /// What no record knows, for a while.
    pub(super) fn aside(&self) -> PathBuf {
        self.base.join(ASIDE)
    }

    /// The file that says which storage this is.
    pub(super) fn identity(&self) -> PathBuf {
        self.base.join(IDENTITY)
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blob_directory(digest);
        path.push(DATA);
        path
    }

    pub(super) fn blob_directory(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blobs();
        push_digest(&mut path, digest);
        path
    }

    pub(super) fn relative_blobs() -> PathBuf {
        [BASE, BLOBS].iter().collect()
    }

    pub(super) fn below_blobs(digest: &Digest) -> PathBuf {
        let mut path = PathBuf::new();
        push_digest(&mut path, digest);
        path.push(DATA);
        path
    }

    pub(super) fn upload(&self, upload: &UploadKey) -> PathBuf {
        let mut path = self.upload_directory(upload);
        path.push(DATA);
        path
    }

    pub(super) fn upload_directory(&self, upload: &UploadKey) -> PathBuf {
        let mut path = self.repositories();
        path.push(upload.repository.as_str());
        path.push(UPLOADS);
        path.push(upload.id.to_string());
        path
    }
}

fn push_digest(path: &mut PathBuf, digest: &Digest) {
    let hex = digest.hex();
    path.push(digest.algorithm().name());
    path.push(&hex[..2]);
    path.push(hex);
}
