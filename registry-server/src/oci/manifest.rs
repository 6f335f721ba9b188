//! [`Manifest`]: what a pushed manifest or index says, as far as a registry must know.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md>,
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md>,
//! <https://distribution.github.io/distribution/spec/manifest-v2-2/>
//!
//! The bytes are stored as they came; nothing is ever written back from these structures. Unknown
//! fields are therefore welcome.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::fields::{FieldError, Fields};
use super::{Descriptor, DescriptorError, Digest, MediaType, media_type};

/// The largest manifest that is accepted; the specification asks registries for at least 4 MiB.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// The most descriptors one manifest may hold: real images have some hundred, the largest file-wise
/// artifacts some thousand.
pub const MAX_REFERENCES: usize = 10_000;

/// The keys that mean something to a registry.
const KNOWN: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
];

/// The kinds of manifest that are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestFormat {
    OciManifest,
    OciIndex,
    DockerManifest,
    DockerList,
}

impl ManifestFormat {
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OciManifest => media_type::OCI_MANIFEST,
            Self::OciIndex => media_type::OCI_INDEX,
            Self::DockerManifest => media_type::DOCKER_MANIFEST,
            Self::DockerList => media_type::DOCKER_LIST,
        }
    }

    /// Whether it lists other manifests instead of layers.
    #[must_use]
    pub const fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }

    fn from_media_type(name: &str) -> Result<Self, ManifestError> {
        match name {
            media_type::OCI_MANIFEST => Ok(Self::OciManifest),
            media_type::OCI_INDEX => Ok(Self::OciIndex),
            media_type::DOCKER_MANIFEST => Ok(Self::DockerManifest),
            media_type::DOCKER_LIST => Ok(Self::DockerList),
            media_type::DOCKER_SCHEMA_1 | media_type::DOCKER_SCHEMA_1_SIGNED => {
                Err(ManifestError::Schema1)
            }
            other => Err(ManifestError::UnsupportedMediaType(other.to_owned())),
        }
    }
}

/// What a manifest refers to and how it presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub format: ManifestFormat,
    /// Of an image manifest; an index has none.
    pub config: Option<Descriptor>,
    /// Of an image manifest, lowest first.
    pub layers: Vec<Descriptor>,
    /// Of an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one says something about; it need not exist.
    pub subject: Option<Descriptor>,
    /// As a referrers list shows it: of a manifest without, the media type of its config.
    pub artifact_type: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is larger than {MAX_MANIFEST_BYTES} bytes")]
    TooLarge,
    #[error("the manifest is not valid: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the manifest is not valid: {0}")]
    Field(#[from] FieldError),
    #[error(
        "image manifest schema 1 is not supported: push with Docker 1.10 or later, or convert the image"
    )]
    Schema1,
    #[error("`schemaVersion` must be 2")]
    SchemaVersion,
    #[error("{0:?} is not a media type of manifests that this registry supports")]
    UnsupportedMediaType(String),
    #[error("the Content-Type header is not a media type")]
    ContentType,
    #[error("the Content-Type header says {header}, the manifest's `mediaType` {body}")]
    MediaTypeMismatch { header: String, body: String },
    #[error("cannot tell what kind of manifest this is: set Content-Type or `mediaType`")]
    Unrecognized,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{field}` does not belong into a manifest of type {media_type}")]
    Ambiguous {
        field: &'static str,
        media_type: &'static str,
    },
    #[error("{place}: {source}")]
    Descriptor {
        /// Such as `layers[2]`.
        place: String,
        source: DescriptorError,
    },
    #[error("the manifest refers to more than {MAX_REFERENCES} others")]
    TooManyReferences,
}

impl Manifest {
    /// Parses and checks a manifest as it was pushed. `content_type` is the header's value, if one
    /// was sent; it must agree with the `mediaType` in the manifest, if that has one.
    pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, ManifestError> {
        if body.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge);
        }
        let fields = Fields::parse(body, KNOWN).map_err(ManifestError::Json)?;
        match fields.get::<i64>("schemaVersion")? {
            Some(2) => {}
            Some(1) => return Err(ManifestError::Schema1),
            Some(_) => return Err(ManifestError::SchemaVersion),
            None => return Err(ManifestError::Missing("schemaVersion")),
        }
        let format = format_of(content_type, &fields)?;
        refuse_ambiguity(format, &fields)?;

        let layers = fields.list("layers")?;
        let manifests = fields.list("manifests")?;
        if layers.len() + manifests.len() > MAX_REFERENCES {
            return Err(ManifestError::TooManyReferences);
        }
        let config = one(&fields, "config")?;
        if format.is_index() {
            if !fields.has("manifests") && !fields.is_null("manifests") {
                return Err(ManifestError::Missing("manifests"));
            }
        } else if config.is_none() {
            return Err(ManifestError::Missing("config"));
        }
        let artifact_type = fields
            .get::<String>("artifactType")?
            .filter(|name| !name.is_empty())
            .or_else(|| config.as_ref().map(|config| config.media_type.clone()));
        Ok(Self {
            format,
            config,
            layers: each("layers", layers)?,
            manifests: each("manifests", manifests)?,
            subject: one(&fields, "subject")?,
            artifact_type,
            annotations: fields.get("annotations")?.unwrap_or_default(),
        })
    }

    /// The blobs that must be in the repository before this manifest is accepted.
    pub fn required_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers.iter().filter(|layer| layer.is_required());
        self.config.iter().chain(layers)
    }

    /// What is named and kept if it is there, but need not be: an index's manifests (a sparse index
    /// lacks some; a build cache lists layers), and layers that are to be had from elsewhere.
    pub fn optional_references(&self) -> impl Iterator<Item = &Digest> {
        let foreign = self.layers.iter().filter(|layer| !layer.is_required());
        self.manifests
            .iter()
            .chain(foreign)
            .map(|descriptor| &descriptor.digest)
    }
}

/// Header and body must agree; where both are silent, the structure decides.
fn format_of(
    content_type: Option<&str>,
    fields: &Fields<'_>,
) -> Result<ManifestFormat, ManifestError> {
    let header = content_type
        .map(str::parse::<MediaType>)
        .transpose()
        .map_err(|_| ManifestError::ContentType)?;
    let body = fields
        .get::<String>("mediaType")?
        .filter(|name| !name.is_empty());
    match (header, body) {
        (Some(header), Some(body)) if header.as_str() != body => {
            // The clearer message for what nobody supports any more.
            ManifestFormat::from_media_type(header.as_str())?;
            Err(ManifestError::MediaTypeMismatch {
                header: header.to_string(),
                body,
            })
        }
        (Some(header), _) => ManifestFormat::from_media_type(header.as_str()),
        (None, Some(body)) => ManifestFormat::from_media_type(&body),
        (None, None) if fields.has("manifests") => Ok(ManifestFormat::OciIndex),
        (None, None) if fields.has("config") => Ok(ManifestFormat::OciManifest),
        (None, None) => Err(ManifestError::Unrecognized),
    }
}

/// A document that is an image to one client and an index to another makes them run different
/// content under one digest (CVE-2021-41190).
fn refuse_ambiguity(format: ManifestFormat, fields: &Fields<'_>) -> Result<(), ManifestError> {
    let foreign: &[&'static str] = if format.is_index() {
        &["config", "layers", "fsLayers"]
    } else {
        &["manifests", "fsLayers"]
    };
    match foreign.iter().find(|field| fields.has(field)) {
        Some(field) => Err(ManifestError::Ambiguous {
            field,
            media_type: format.media_type(),
        }),
        None => Ok(()),
    }
}

fn one(fields: &Fields<'_>, key: &'static str) -> Result<Option<Descriptor>, ManifestError> {
    fields
        .raw(key)
        .map(|value| Descriptor::parse(value.get().as_bytes()))
        .transpose()
        .map_err(|source| ManifestError::Descriptor {
            place: key.to_owned(),
            source,
        })
}

fn each(key: &str, values: Vec<&RawValue>) -> Result<Vec<Descriptor>, ManifestError> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            Descriptor::parse(value.get().as_bytes()).map_err(|source| ManifestError::Descriptor {
                place: format!("{key}[{index}]"),
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
