//! What registries hold: blobs, manifests, images. Random, so that no test meets another's.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

/// Media types.
pub mod media {
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    pub const OCI_NONDISTRIBUTABLE: &str =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const DOCKER_FOREIGN_LAYER: &str =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// What clients of today accept.
    pub const ALL_MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
         application/vnd.oci.image.index.v1+json, \
         application/vnd.docker.distribution.manifest.v2+json, \
         application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

/// `sha256:…`
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// `sha512:…`
pub fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

/// Bytes nobody has seen before.
pub fn random_bytes(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes[..]);
    bytes.into()
}

/// Letters and digits nobody has seen before, good for names and tags.
pub fn unique() -> String {
    hex::encode(random_bytes(8))
}

/// Bytes and their digest.
#[derive(Clone, Debug)]
pub struct Blob {
    pub bytes: Bytes,
    pub digest: String,
}

impl Blob {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: sha256(&bytes),
            bytes,
        }
    }

    pub fn random(length: usize) -> Self {
        Self::new(random_bytes(length))
    }

    /// Named by its SHA-512.
    pub fn random_sha512(length: usize) -> Self {
        let bytes = random_bytes(length);
        Self {
            digest: sha512(&bytes),
            bytes,
        }
    }

    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    /// Same digest, other bytes.
    #[must_use]
    pub fn corrupted(&self) -> Bytes {
        let mut bytes = self.bytes.to_vec();
        bytes[0] ^= 1;
        bytes.into()
    }
}

/// A manifest as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub media_type: String,
    pub bytes: Bytes,
    pub digest: String,
}

impl Manifest {
    /// These bytes, whatever they are.
    pub fn from_bytes(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: media_type.to_owned(),
            digest: sha256(&bytes),
            bytes,
        }
    }

    /// This JSON, with the media type it says it has.
    pub fn from_json(value: &Value) -> Self {
        let media_type = value["mediaType"].as_str().unwrap_or(media::OCI_MANIFEST);
        Self::from_bytes(media_type, serde_json::to_vec_pretty(value).unwrap())
    }

    /// An index of these descriptors.
    pub fn index(manifests: impl IntoIterator<Item = Value>) -> Self {
        Self::from_json(&json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_INDEX,
            "manifests": manifests.into_iter().collect::<Vec<_>>(),
            "annotations": {"unique": unique()},
        }))
    }

    /// An artifact without content of its own, attached to a subject.
    pub fn attached(subject: &Value, artifact_type: &str) -> Self {
        Self::artifact(&json!({"subject": subject, "artifactType": artifact_type}))
    }

    /// A manifest of the empty blob ([`empty_blob`]) with these fields over the usual ones.
    pub fn artifact(fields: &Value) -> Self {
        let empty = empty_blob().descriptor(media::OCI_EMPTY);
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": empty,
            "layers": [empty],
            "annotations": {"unique": unique()},
        });
        let all = manifest.as_object_mut().unwrap();
        for (name, value) in fields.as_object().unwrap() {
            all.insert(name.clone(), value.clone());
        }
        Self::from_json(&manifest)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    /// For an index: this manifest on a platform.
    pub fn descriptor_for(&self, os: &str, architecture: &str) -> Value {
        let mut descriptor = self.descriptor();
        descriptor["platform"] = json!({"os": os, "architecture": architecture});
        descriptor
    }
}

/// `{}`, the specification's stand-in for no content.
pub fn empty_blob() -> Blob {
    Blob::new("{}")
}

/// A manifest with the blobs it names.
#[derive(Clone, Debug)]
pub struct Image {
    pub config: Blob,
    pub layers: Vec<Blob>,
    pub manifest: Manifest,
}

impl Image {
    /// Two small layers.
    pub fn random() -> Self {
        Self::of(vec![Blob::random(1000), Blob::random(3000)])
    }

    pub fn of(layers: Vec<Blob>) -> Self {
        Self::build(
            layers,
            [media::OCI_MANIFEST, media::OCI_CONFIG, media::OCI_LAYER],
        )
    }

    /// The same as Docker's schema 2.
    pub fn docker() -> Self {
        Self::build(
            vec![Blob::random(1000), Blob::random(3000)],
            [
                media::DOCKER_MANIFEST,
                media::DOCKER_CONFIG,
                media::DOCKER_LAYER,
            ],
        )
    }

    fn build(layers: Vec<Blob>, [manifest, config, layer]: [&str; 3]) -> Self {
        let config_blob = Blob::new(
            serde_json::to_vec(&json!({
                "os": "linux",
                "architecture": "amd64",
                "created": "2026-01-01T00:00:00Z",
                "author": unique(),
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": []},
            }))
            .unwrap(),
        );
        let descriptors: Vec<_> = layers.iter().map(|blob| blob.descriptor(layer)).collect();
        Self {
            manifest: Manifest::from_json(&json!({
                "schemaVersion": 2,
                "mediaType": manifest,
                "config": config_blob.descriptor(config),
                "layers": descriptors,
            })),
            config: config_blob,
            layers,
        }
    }

    /// The same blobs with a manifest changed.
    #[must_use]
    pub fn edited(&self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut json = self.manifest.json();
        edit(&mut json);
        Self {
            manifest: Manifest::from_json(&json),
            ..self.clone()
        }
    }

    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}
