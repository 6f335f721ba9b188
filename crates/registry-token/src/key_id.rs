//! The two ways in which the field computes a `kid` from a public key.
//!
//! distribution 2 and GitLab use libtrust's fingerprint, distribution 3 the thumbprint of
//! RFC 7638. Both are hashes of the key itself, so whoever holds the key can recognize either.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    PublicKey,
    jwk::{Jwk, curve_name},
    public_key::KeyNumbers,
};

/// Which `kid` our tokens carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyIdForm {
    /// `ABCD:EFGH:…`, what distribution 2 looks up.
    #[default]
    Libtrust,
    /// RFC 7638, what distribution 3 looks up.
    Thumbprint,
}

impl PublicKey {
    /// The id in this form.
    pub fn id(&self, form: KeyIdForm) -> String {
        match form {
            KeyIdForm::Libtrust => self.libtrust_id(),
            KeyIdForm::Thumbprint => self.thumbprint(),
        }
    }

    /// libtrust's fingerprint: the first 240 bits of the SHA-256 of the `SubjectPublicKeyInfo`
    /// in base32, in twelve groups of four.
    pub fn libtrust_id(&self) -> String {
        let hash = digest(&SHA256, self.spki_der());
        let symbols = base32(&hash.as_ref()[..30]);
        let groups: Vec<&str> = symbols
            .as_bytes()
            .chunks(4)
            .filter_map(|group| std::str::from_utf8(group).ok())
            .collect();
        groups.join(":")
    }

    /// RFC 7638: the SHA-256 of the key's required JWK members in base64url, unpadded.
    pub fn thumbprint(&self) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let curve = curve_name(self.kind());
        // The members in alphabetical order without white space, as section 3 demands.
        let members = match self.numbers() {
            KeyNumbers::Rsa { modulus, exponent } => {
                let (n, e) = (encode(modulus), encode(exponent));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            KeyNumbers::Ec { x, y } => {
                let (x, y) = (encode(x), encode(y));
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            KeyNumbers::Okp { x } => {
                let x = encode(x);
                format!(r#"{{"crv":"{curve}","kty":"OKP","x":"{x}"}}"#)
            }
        };
        encode(digest(&SHA256, members.as_bytes()).as_ref())
    }

    /// The key as a JWK for signatures, with this `kid`.
    pub fn to_jwk(&self, key_id: String) -> Jwk {
        Jwk::new(self, key_id)
    }
}

/// Key ids compare without the base64 padding that distribution 3 writes and others leave out.
pub(crate) fn without_padding(key_id: &str) -> &str {
    key_id.trim_end_matches('=')
}

/// RFC 4648 base32 of a whole number of 40-bit groups, which needs no padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let symbols = bytes.chunks(5).flat_map(|group| {
        let bits = group
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8)
            .rev()
            .map(move |index| ALPHABET[(bits >> (5 * index) & 31) as usize])
    });
    symbols.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 7638, section 3.1.
    #[test]
    fn rfc_7638_example() {
        let jwk: Jwk = serde_json::from_value(serde_json::json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1\
                  L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5\
                  v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08q\
                  NLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
                  pJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29"
        }))
        .unwrap();
        let key = jwk.public_key().unwrap();
        assert_eq!(
            key.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    /// The example of RFC 8037, appendix A.3.
    #[test]
    fn rfc_8037_example() {
        let jwk: Jwk = serde_json::from_value(serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        }))
        .unwrap();
        let key = jwk.public_key().unwrap();
        assert_eq!(
            key.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn base32_examples_of_rfc_4648() {
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
        assert_eq!(base32(b"foobafooba"), "MZXW6YTBMZXW6YTB");
    }

    proptest! {
        #[test]
        fn base32_can_be_read_back(bytes in proptest::collection::vec(any::<u8>(), 30)) {
            let text = base32(&bytes);
            let bits = text.bytes().flat_map(|symbol| {
                let value = if symbol.is_ascii_digit() { symbol - b'2' + 26 } else { symbol - b'A' };
                (0..5).rev().map(move |bit| value >> bit & 1)
            });
            let bits: Vec<u8> = bits.collect();
            let read: Vec<u8> = bits
                .chunks(8)
                .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit))
                .collect();
            prop_assert_eq!(read, bytes);
        }
    }
}
