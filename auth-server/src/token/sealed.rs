//! [`EncryptionKey`]: what private keys are encrypted with when they are kept in the database.
//!
//! AES-256-GCM. Each text has a random nonce of its own, in front of it; the name of what is
//! encrypted is authenticated with it, so that nobody who can write to the database can put one
//! key in the place of another.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, ExposeSecretMut as _, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer, de};

/// In bytes.
const LENGTH: usize = 32;

/// Cheap to clone.
#[derive(Clone)]
pub struct EncryptionKey(Arc<RandomizedNonceKey>);

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EncryptionKey")
    }
}

/// A text that is no key. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an encryption key is {LENGTH} random bytes, in hexadecimal or base64; \
     `openssl rand -hex {LENGTH}` makes one"
)]
pub struct InvalidEncryptionKey;

/// The text cannot be decrypted: it was encrypted with another key or under another name, or it is
/// damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotOpen;

impl EncryptionKey {
    /// Reads 64 hexadecimal digits, or base64 of either alphabet, padded or not.
    pub fn from_text(text: &SecretString) -> Result<Self, InvalidEncryptionKey> {
        let text = text.expose_secret().trim();
        let bytes = hex::decode(text)
            .ok()
            .or_else(|| base64(&base64::alphabet::STANDARD, text))
            .or_else(|| base64(&base64::alphabet::URL_SAFE, text))
            .map(SecretSlice::from)
            .filter(|bytes| bytes.expose_secret().len() == LENGTH)
            .ok_or(InvalidEncryptionKey)?;
        RandomizedNonceKey::new(&AES_256_GCM, bytes.expose_secret())
            .map(|key| Self(Arc::new(key)))
            .map_err(|_| InvalidEncryptionKey)
    }

    /// Encrypts; `None` only if the machine has no randomness left.
    #[must_use]
    pub fn seal(&self, name: &str, text: &SecretString) -> Option<Vec<u8>> {
        let text = text.expose_secret().as_bytes();
        // All the room at once: what grows leaves copies behind.
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(text);
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(name), &mut sealed)
            .ok()?;
        sealed.splice(0..0, *nonce.as_ref());
        Some(sealed)
    }

    /// Decrypts what was encrypted under this name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<SecretString, CannotOpen> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let mut text = SecretSlice::from(text.to_vec());
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(name), text.expose_secret_mut())
            .map_err(|_| CannotOpen)?;
        let opened = std::str::from_utf8(opened).map_err(|_| CannotOpen)?;
        Ok(SecretString::from(opened))
    }
}

fn base64(alphabet: &base64::alphabet::Alphabet, text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

impl<'de> Deserialize<'de> for EncryptionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Self::from_text(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn key(byte: u8) -> EncryptionKey {
        EncryptionKey::from_text(&hex::encode([byte; LENGTH]).into()).unwrap()
    }

    #[test]
    fn a_key_is_read_in_every_usual_form() {
        let bytes = [0xfb; LENGTH];
        let sealed = key(0xfb).seal("a", &"text".into()).unwrap();
        for text in [
            hex::encode(bytes),
            hex::encode_upper(bytes),
            format!("{}\n", hex::encode(bytes)),
            BASE64_STANDARD.encode(bytes),
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
        ] {
            let key = EncryptionKey::from_text(&text.clone().into()).unwrap();
            let opened = key.open("a", &sealed).unwrap();
            assert_eq!(opened.expose_secret(), "text", "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in [
            String::new(),
            "a passphrase of exactly 32 bytes".to_owned(),
            hex::encode([1; LENGTH - 1]),
            hex::encode([1; LENGTH + 1]),
            BASE64_STANDARD.encode([1; 16]),
            format!("{}=", hex::encode([1; LENGTH])),
        ] {
            let error = EncryptionKey::from_text(&text.into()).unwrap_err();
            assert!(error.to_string().contains("openssl rand -hex 32"));
        }
    }

    #[test]
    fn only_the_same_key_and_the_same_name_open_what_is_whole() {
        let text = SecretString::from("a private key");
        let sealed = key(1).seal("one", &text).unwrap();
        assert_eq!(
            key(1).open("one", &sealed).unwrap().expose_secret(),
            text.expose_secret()
        );
        assert!(key(2).open("one", &sealed).is_err());
        assert!(key(1).open("two", &sealed).is_err());
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(key(1).open("one", &damaged).is_err(), "byte {index}");
            assert!(key(1).open("one", &sealed[..index]).is_err());
        }
    }

    #[test]
    fn no_two_sealed_texts_are_alike() {
        let text = SecretString::from("a private key");
        let (one, two) = (key(1).seal("a", &text), key(1).seal("a", &text));
        assert_ne!(one.unwrap()[..NONCE_LEN], two.unwrap()[..NONCE_LEN]);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", key(7)), "EncryptionKey");
    }
}
