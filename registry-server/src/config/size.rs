//! [`Size`]: a number of bytes, as people write it.

use std::fmt;

use bytesize::ByteSize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// `10GiB`, `500MB`; a number alone is of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(ByteSize);

impl Size {
    pub const fn from_gib(gib: u64) -> Self {
        Self(ByteSize::gib(gib))
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0.as_u64()
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like 500MB or 10GiB")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map(Size).map_err(|_| {
                    E::custom(format!("`{text}` is no size; write it like 500MB or 10GiB"))
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use service::config::{Source, load};

    use crate::config::{Configuration, Settings};
    use crate::registry::UploadRules;

    fn rules(variables: &[(&str, &str)]) -> Result<UploadRules, String> {
        let usual = [
            ("REGISTRY_VERSION", "0.1"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
            ("REGISTRY_AUTH", "none"),
        ];
        let variables = usual.iter().chain(variables).copied();
        let source = Source::new("REGISTRY").variables(variables);
        let (configuration, _) =
            load::<Configuration>(&source).map_err(|error| error.to_string())?;
        Ok(Settings::new(&configuration).unwrap().rules.uploads)
    }

    #[test]
    fn sizes_are_written_as_people_do() {
        for (text, bytes) in [
            ("4096", 4096),
            ("500MB", 500_000_000),
            ("10GiB", 10 << 30),
            ("1.5 KiB", 1536),
        ] {
            let rules = rules(&[("REGISTRY_STORAGE_RESERVE", text)]).unwrap();
            assert_eq!(rules.reserve, Some(bytes), "{text}");
        }
        for text in ["much", "-1", "10 bananas", "[1]"] {
            let error = rules(&[("REGISTRY_STORAGE_RESERVE", text)]).unwrap_err();
            assert!(error.contains("500MB or 10GiB"), "{error}");
        }
    }

    #[test]
    fn uploads_are_bounded_unless_somebody_says_otherwise() {
        let usual = rules(&[]).unwrap();
        assert_eq!(usual.max_held, Some(256 << 30));
        assert_eq!(usual.reserve, None);
        let unbounded = rules(&[("REGISTRY_UPLOADS_MAXHELD", "0")]).unwrap();
        assert_eq!(unbounded.max_held, None);
    }
}
