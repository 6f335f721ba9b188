//! [`Descriptor`]: how one piece of content refers to another.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{FieldError, Fields};
use super::{Digest, DigestError, media_type};

/// The keys that mean something to a registry.
const KNOWN: &[&str] = &["mediaType", "digest", "size", "urls", "data", "platform"];

/// Media type, digest and size of content that is somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// As written; the specification asks for a registered form, but clients are sloppy.
    pub media_type: String,
    pub digest: Digest,
    /// In bytes; at most `i64::MAX`, as the specification has it.
    pub size: u64,
    /// Where else the content may be had.
    pub urls: Vec<String>,
    /// Of an entry of an index: what its image runs on.
    pub platform: Option<Platform>,
}

/// What an image runs on, in Go's words: `linux`, `amd64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
}

/// Why a descriptor is refused.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`digest`: {0}")]
    Digest(#[from] DigestError),
    #[error("`size` is not a whole number from 0 to 9223372036854775807")]
    Size,
    #[error("`platform`: {0}")]
    Platform(#[source] serde_json::Error),
    #[error("`data` is not base64")]
    DataEncoding,
    #[error("`data` is not the content that `digest` and `size` name")]
    DataMismatch,
}

impl Descriptor {
    /// Parses a JSON object; embedded `data` is checked against digest and size, and dropped.
    pub fn parse(json: &[u8]) -> Result<Self, DescriptorError> {
        let fields = Fields::parse(json, KNOWN).map_err(DescriptorError::Json)?;
        let digest: String = fields
            .get("digest")?
            .ok_or(DescriptorError::Missing("digest"))?;
        let size = fields.raw("size").ok_or(DescriptorError::Missing("size"))?;
        let size: i64 = serde_json::from_str(size.get()).map_err(|_| DescriptorError::Size)?;
        let descriptor = Self {
            media_type: fields
                .get("mediaType")?
                .ok_or(DescriptorError::Missing("mediaType"))?,
            digest: digest.parse()?,
            size: u64::try_from(size).map_err(|_| DescriptorError::Size)?,
            urls: fields.get("urls")?.unwrap_or_default(),
            platform: fields.raw("platform").map(platform).transpose()?,
        };
        if let Some(data) = fields.get::<String>("data")? {
            descriptor.check_data(&data)?;
        }
        Ok(descriptor)
    }

    /// Clients may use `data` instead of fetching: it must be the very content.
    fn check_data(&self, data: &str) -> Result<(), DescriptorError> {
        let bytes = BASE64
            .decode(data)
            .map_err(|_| DescriptorError::DataEncoding)?;
        let matches = bytes.len() as u64 == self.size
            && Digest::of(self.digest.algorithm(), &bytes) == self.digest;
        if matches {
            Ok(())
        } else {
            Err(DescriptorError::DataMismatch)
        }
    }

    /// Whether the registry must hold the content. Layers that may not be distributed, and
    /// content that is to be had from elsewhere, need not be pushed.
    #[must_use]
    pub fn is_required(&self) -> bool {
        let foreign = [
            media_type::DOCKER_FOREIGN_LAYER,
            media_type::DOCKER_FOREIGN_LAYER_PLAIN,
        ]
        .contains(&self.media_type.as_str())
            || self
                .media_type
                .starts_with(media_type::OCI_NONDISTRIBUTABLE_LAYER_PREFIX);
        !foreign && self.urls.is_empty()
    }
}

/// Both keys may be missing: nobody has ever refused an index for that.
fn platform(json: &RawValue) -> Result<Platform, DescriptorError> {
    let fields = Fields::parse(json.get().as_bytes(), &["architecture", "os"])
        .map_err(DescriptorError::Platform)?;
    Ok(Platform {
        architecture: fields.get("architecture")?.unwrap_or_default(),
        os: fields.get("os")?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::Algorithm;

    fn descriptor_of(content: &[u8]) -> Value {
        json!({
            "mediaType": "application/octet-stream",
            "digest": Digest::of(Algorithm::Sha256, content),
            "size": content.len(),
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut descriptor = descriptor_of(b"hello");
        descriptor[key] = value;
        descriptor
    }

    fn parse(value: &Value) -> Result<Descriptor, DescriptorError> {
        Descriptor::parse(value.to_string().as_bytes())
    }

    #[test]
    fn unknown_fields_are_kept_out_of_the_way() {
        let descriptor = parse(&with("annotations", json!({"os": "linux"}))).unwrap();
        assert_eq!(descriptor.size, 5);
        assert!(descriptor.is_required());
        assert_eq!(descriptor.platform, None);
    }

    #[test]
    fn a_platform_is_read_as_every_client_would() {
        let of = |architecture: &str, os: &str| {
            Some(Platform {
                architecture: architecture.to_owned(),
                os: os.to_owned(),
            })
        };
        for (json, platform) in [
            (
                json!({"architecture": "arm64", "os": "linux", "variant": "v8"}),
                of("arm64", "linux"),
            ),
            (
                json!({"os": "windows", "os.version": "10"}),
                of("", "windows"),
            ),
            (json!({"architecture": null}), of("", "")),
            (Value::Null, None),
        ] {
            assert_eq!(parse(&with("platform", json)).unwrap().platform, platform);
        }
        let twice = r#"{"os": "linux", "os": "windows"}"#;
        for wrong in [r#""linux""#, r#"{"os": 7}"#, r#"{"OS": "linux"}"#, twice] {
            let descriptor = with("platform", json!("X"))
                .to_string()
                .replace("\"X\"", wrong);
            let error = Descriptor::parse(descriptor.as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("os") || wrong.starts_with('"'),
                "{error}"
            );
        }
    }

    #[test]
    fn embedded_data_must_be_the_content() {
        parse(&with("data", json!("aGVsbG8="))).unwrap();
        parse(&with("data", Value::Null)).unwrap();
        for (data, encoded) in [
            ("aGVsbG8", false),
            ("!", false),
            ("aGVsbGE=", true),
            ("", true),
        ] {
            let error = parse(&with("data", json!(data))).unwrap_err();
            assert_eq!(
                matches!(error, DescriptorError::DataMismatch),
                encoded,
                "{data}: {error}"
            );
        }
        let mut wrong_size = with("data", json!("aGVsbG8="));
        wrong_size["size"] = json!(6);
        assert!(matches!(
            parse(&wrong_size).unwrap_err(),
            DescriptorError::DataMismatch
        ));
    }

    #[test]
    fn content_from_elsewhere_is_not_required() {
        for foreign in [
            with("urls", json!(["https://example.com/layer"])),
            with("mediaType", json!(media_type::DOCKER_FOREIGN_LAYER)),
            with("mediaType", json!(media_type::DOCKER_FOREIGN_LAYER_PLAIN)),
            with(
                "mediaType",
                json!("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
            ),
        ] {
            assert!(!parse(&foreign).unwrap().is_required(), "{foreign}");
        }
        assert!(parse(&with("urls", json!([]))).unwrap().is_required());
    }

    #[test]
    fn sizes_outside_the_specification_are_refused() {
        for size in [
            "-1",
            "9223372036854775808",
            "1e3",
            "1.0",
            "\"5\"",
            "99999999999999999999",
        ] {
            let text = descriptor_of(b"hello")
                .to_string()
                .replace("\"size\":5", &format!("\"size\":{size}"));
            let error = Descriptor::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, DescriptorError::Size), "{size}: {error}");
        }
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_kind_is_named() {
        for key in ["mediaType", "digest", "size"] {
            let error = parse(&with(key, Value::Null)).unwrap_err();
            assert!(
                matches!(error, DescriptorError::Missing(missing) if missing == key),
                "{error}"
            );
        }
        for (key, value) in [
            ("mediaType", json!(1)),
            ("digest", json!({})),
            ("urls", json!("https://example.com")),
            ("data", json!(5)),
        ] {
            let error = parse(&with(key, value)).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        assert!(matches!(
            parse(&with("digest", json!("sha256:abc"))).unwrap_err(),
            DescriptorError::Digest(_)
        ));
        assert!(matches!(
            parse(&json!([])).unwrap_err(),
            DescriptorError::Json(_)
        ));
    }

    #[test]
    fn an_object_that_clients_would_read_differently_is_refused() {
        let once = descriptor_of(b"hello").to_string();
        for more in [
            "\"size\":5",
            "\"Size\":6",
            "\"\\u017fize\":6",
            "\"x\":1,\"x\":2",
        ] {
            let text = once.replacen('{', &format!("{{{more},"), 1);
            let error = Descriptor::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, DescriptorError::Json(_)), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_content_can_be_embedded(content: Vec<u8>) {
            let mut value = descriptor_of(&content);
            value["data"] = json!(BASE64.encode(&content));
            let descriptor = parse(&value).unwrap();
            prop_assert_eq!(descriptor.size, content.len() as u64);
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,60}|[{}\\[\\]\",:a-z0-9]{0,60}") {
            let _ = Descriptor::parse(text.as_bytes());
        }
    }
}
