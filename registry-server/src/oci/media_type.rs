//! [`MediaType`]: `type/subtype`, without parameters; and those that the specifications name.

use std::fmt;
use std::str::FromStr;

// https://github.com/opencontainers/image-spec/blob/v1.1.1/media-types.md
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Deprecated, with `.tar`, `.tar+gzip` or `.tar+zstd` behind it.
pub const OCI_NONDISTRIBUTABLE_LAYER_PREFIX: &str =
    "application/vnd.oci.image.layer.nondistributable.v1.";

// https://distribution.github.io/distribution/spec/manifest-v2-2/
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
pub const DOCKER_FOREIGN_LAYER_PLAIN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";

// The first schema, which no client has pushed by default since Docker 1.10 (2016).
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
pub const DOCKER_SCHEMA_1_SIGNED: &str =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// RFC 6838 4.2 allows 127 bytes on each side of the slash.
const MAX_NAME_BYTES: usize = 127;

/// A media type in lower case, parameters stripped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a media type: expected `type/subtype`")]
pub struct MediaTypeError;

impl MediaType {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    /// Reads the value of a `Content-Type` header; what stands behind a `;` is dropped.
    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let (kind, subtype) = essence.split_once('/').ok_or(MediaTypeError)?;
        if !is_name(kind) || !is_name(subtype) {
            return Err(MediaTypeError);
        }
        Ok(Self(essence.to_ascii_lowercase()))
    }
}

/// A token of RFC 9110 5.6.2, which is what senders use; RFC 6838 would allow fewer characters.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_and_case_do_not_matter() {
        for text in [
            "application/json",
            " Application/JSON ; charset=utf-8",
            "application/json;",
        ] {
            assert_eq!(
                text.parse::<MediaType>().unwrap().as_str(),
                "application/json"
            );
        }
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in ["", "json", "/", "a/", "/b", "a/b/c", "a b/c", "ä/b", ";a/b"] {
            assert_eq!(
                text.parse::<MediaType>().unwrap_err(),
                MediaTypeError,
                "{text}"
            );
        }
        let long = "a".repeat(128);
        assert_eq!(
            format!("a/{long}").parse::<MediaType>().unwrap_err(),
            MediaTypeError
        );
    }

    proptest! {
        #[test]
        fn parsing_again_changes_nothing(text in "\\PC{0,40}|[a-zA-Z.+;/ ]{1,40}") {
            if let Ok(media_type) = text.parse::<MediaType>() {
                prop_assert_eq!(media_type.as_str().parse::<MediaType>().unwrap(), media_type);
            }
        }
    }
}
