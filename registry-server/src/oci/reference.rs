//! [`Reference`]: what a manifest is asked for by, a [`Tag`] or a digest.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests>

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Digest, DigestError};

/// The longest tag the specification allows.
const MAX_TAG_BYTES: usize = 128;

/// Why a text is neither a tag nor a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error(
        "a tag has 1 to 128 letters, digits, `_`, `.` or `-`, and starts with a letter, a digit or `_`"
    )]
    Tag,
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A name for a manifest that may move: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
///
/// Cheap to clone. Ordered bytewise, as tag lists are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= MAX_TAG_BYTES
            && text.bytes().next().is_some_and(word)
            && text
                .bytes()
                .all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(ReferenceError::Tag)
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl serde::Serialize for Tag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A tag or a digest; no text can be both, because only a digest has a colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn tags() {
        for text in ["latest", "_", "1", "v1.2.3-rc_1", "A", &"a".repeat(128)] {
            assert_eq!(text.parse::<Tag>().unwrap().as_str(), text);
        }
        for text in [
            "",
            ".",
            "-",
            ".hidden",
            "-x",
            "a/b",
            "a b",
            "a:b",
            "a%2f",
            "ä",
            "a\n",
            "..",
            &"a".repeat(129),
        ] {
            assert_eq!(
                text.parse::<Tag>().unwrap_err(),
                ReferenceError::Tag,
                "{text}"
            );
        }
    }

    #[test]
    fn a_reference_with_a_colon_is_a_digest() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        assert_eq!(
            digest.as_str().parse::<Reference>().unwrap(),
            Reference::Digest(digest)
        );
        assert_eq!(
            "sha256:abc".parse::<Reference>().unwrap_err(),
            ReferenceError::Digest(DigestError::WrongEncoding { expected: 64 })
        );
        assert!(matches!("1.0".parse::<Reference>(), Ok(Reference::Tag(_))));
    }

    proptest! {
        #[test]
        fn tags_follow_the_grammar(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(text.parse::<Tag>().unwrap().to_string(), text);
        }

        #[test]
        fn what_parses_comes_back_unchanged(text in "\\PC{0,130}|[a-zA-Z0-9._:-]{1,140}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
