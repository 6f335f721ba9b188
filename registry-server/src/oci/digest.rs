//! [`Digest`]: `algorithm:hex`, the name of content.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests>

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The registered algorithms that a registry must (SHA-256) and may (SHA-512) support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// As it stands before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The number of hex digits after the colon.
    #[must_use]
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(name: &str) -> Result<Self, DigestError> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ if is_algorithm_name(name) => Err(DigestError::UnsupportedAlgorithm),
            _ => Err(DigestError::Malformed),
        }
    }
}

/// Why a text is not a digest that this registry can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("a digest looks like `sha256:` followed by 64 lower-case hex digits")]
    Malformed,
    #[error("the digest's algorithm is not supported: use sha256 or sha512")]
    UnsupportedAlgorithm,
    #[error("the digest needs exactly {expected} lower-case hex digits for its algorithm")]
    WrongEncoding { expected: usize },
}

/// The name of content: an algorithm and the lower-case hex of its result.
///
/// Cheap to clone. Ordered and compared as its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Arc<str>);

impl Digest {
    /// `algorithm:hex`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        // The constructors let in these two alone.
        if self.0.starts_with("sha512:") {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        }
    }

    /// What stands behind the colon: only `0-9a-f`, as long as the algorithm wants it. Safe as a
    /// file name.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0[self.algorithm().name().len() + 1..]
    }

    /// The digest of bytes that are at hand.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = super::Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub(super) fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Self {
        debug_assert_eq!(bytes.len() * 2, algorithm.hex_len());
        Self(format!("{}:{}", algorithm.name(), hex::encode(bytes)).into())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let algorithm: Algorithm = algorithm.parse()?;
        let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hex.len() != algorithm.hex_len() || !hex.bytes().all(is_lower_hex) {
            return Err(DigestError::WrongEncoding {
                expected: algorithm.hex_len(),
            });
        }
        Ok(Self(text.into()))
    }
}

/// `component ([+._-] component)*` of `[a-z0-9]+`: a well-formed name, known or not.
fn is_algorithm_name(name: &str) -> bool {
    name.split(['+', '.', '_', '-']).all(|component| {
        !component.is_empty()
            && component
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_has_its_parts() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!(digest.algorithm(), Algorithm::Sha256);
        assert_eq!(digest.hex(), &EMPTY[7..]);
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest, Digest::of(Algorithm::Sha256, b""));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn sha512_is_an_algorithm_of_its_own() {
        let digest = Digest::of(Algorithm::Sha512, b"abc");
        assert!(digest.as_str().starts_with("sha512:ddaf35a193617aba"));
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.algorithm(), Algorithm::Sha512);
        assert_eq!(digest.hex().len(), 128);
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        use DigestError::{Malformed, UnsupportedAlgorithm, WrongEncoding};
        let hex = &EMPTY[7..];
        for (text, error) in [
            (String::new(), Malformed),
            ("sha256".to_owned(), Malformed),
            (hex.to_owned(), Malformed),
            (format!(":{hex}"), Malformed),
            (format!("SHA256:{hex}"), Malformed),
            (format!("../x:{hex}"), Malformed),
            (format!("sha256+:{hex}"), Malformed),
            (format!("md5:{hex}"), UnsupportedAlgorithm),
            (format!("sha256+b64:{hex}"), UnsupportedAlgorithm),
            ("sha256:".to_owned(), WrongEncoding { expected: 64 }),
            (
                format!("sha256:{}", hex.to_uppercase()),
                WrongEncoding { expected: 64 },
            ),
            (
                format!("sha256:{}", &hex[1..]),
                WrongEncoding { expected: 64 },
            ),
            (format!("sha256:{hex}0"), WrongEncoding { expected: 64 }),
            (
                format!("sha256:{}/", &hex[1..]),
                WrongEncoding { expected: 64 },
            ),
            (format!("sha512:{hex}"), WrongEncoding { expected: 128 }),
            (
                format!("sha256:sha256:{}", &hex[7..]),
                WrongEncoding { expected: 64 },
            ),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap_err(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_comes_back_unchanged_and_is_safe_in_a_path(text in "\\PC{0,20}|sha(256|512):[0-9a-fA-F./]{60,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.as_str(), &text);
                prop_assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
                prop_assert_eq!(digest.hex().len(), digest.algorithm().hex_len());
            }
        }

        #[test]
        fn every_computed_digest_parses(bytes: Vec<u8>, wide: bool) {
            let algorithm = if wide { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &bytes);
            prop_assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        }
    }
}
