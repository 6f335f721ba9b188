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
