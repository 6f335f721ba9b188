//! JSON Web Keys (RFC 7517): writing our own, reading foreign ones.

use base64::{
    Engine, engine::general_purpose::URL_SAFE_NO_PAD_INDIFFERENT, prelude::BASE64_URL_SAFE_NO_PAD,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Algorithm, KeyKind, PublicKey, PublicKeyError, public_key::KeyNumbers};

/// How many keys a set may hold; the biggest issuers publish about ten.
const MAX_KEYS: usize = 256;

/// A public key in JSON. Private members of a foreign key are not read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Jwk {
    /// `RSA`, `EC` or `OKP`.
    pub kty: String,
    /// `sig` for signatures, `enc` for encryption.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// What the key may be used for, in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    /// The one algorithm the key is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The key id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// A coordinate, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// A coordinate, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The RSA modulus, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The RSA exponent, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// A set of keys, as served at `/.well-known/jwks.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys, in no particular order.
    pub keys: Vec<Jwk>,
}

/// Why a text is not a set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not JSON, or not of the form `{"keys":[…]}`.
    #[error("not a JSON Web Key Set of the form {{\"keys\":[…]}}")]
    Malformed,
    /// An unreasonable number of keys.
    #[error("the key set has {count} keys, more than {MAX_KEYS}")]
    TooManyKeys {
        /// How many there were.
        count: usize,
    },
    /// Nothing in it can verify a token.
    #[error("the key set holds no key for signatures (RSA from 2048 bits, EC or Ed25519)")]
    NoUsableKey,
}

impl Jwk {
    pub(crate) fn new(key: &PublicKey, key_id: String) -> Self {
        let encode = |bytes: &[u8]| Some(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let jwk = Self {
            usage: Some("sig".into()),
            kid: Some(key_id),
            ..Self::default()
        };
        let crv = Some(curve_name(key.kind()).to_owned());
        match key.numbers() {
            KeyNumbers::Rsa { modulus, exponent } => Self {
                kty: "RSA".into(),
                n: encode(modulus),
                e: encode(exponent),
                ..jwk
            },
            KeyNumbers::Ec { x, y } => Self {
                kty: "EC".into(),
                crv,
                x: encode(x),
                y: encode(y),
                ..jwk
            },
            KeyNumbers::Okp { x } => Self {
                kty: "OKP".into(),
                crv,
                x: encode(x),
                ..jwk
            },
        }
    }

    /// The key itself.
    pub fn public_key(&self) -> Result<PublicKey, PublicKeyError> {
        let number = |member: &Option<String>| {
            let text = member.as_deref().ok_or(PublicKeyError::Malformed)?;
            let decoded = URL_SAFE_NO_PAD_INDIFFERENT.decode(text);
            decoded.map_err(|_| PublicKeyError::Malformed)
        };
        let curve = self.crv.as_deref().unwrap_or_default();
        match (self.kty.as_str(), curve) {
            ("RSA", _) => PublicKey::from_rsa(&number(&self.n)?, &number(&self.e)?),
            ("EC", "P-256") => ec_key(KeyKind::P256, &number(&self.x)?, &number(&self.y)?),
            ("EC", "P-384") => ec_key(KeyKind::P384, &number(&self.x)?, &number(&self.y)?),
            ("EC", "P-521") => ec_key(KeyKind::P521, &number(&self.x)?, &number(&self.y)?),
            ("OKP", "Ed25519") => PublicKey::from_ed25519(&number(&self.x)?),
            _ => Err(PublicKeyError::Unsupported),
        }
    }

    /// Whether the key's owner meant it for verifying signatures, as far as they say.
    fn is_for_signatures(&self) -> bool {
        let usage = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let operations = self.key_ops.as_deref();
        usage && operations.is_none_or(|all| all.iter().any(|one| one == "verify"))
    }
}

/// Some issuers strip a coordinate's leading zeros; RFC 7518 says they must not.
fn ec_key(kind: KeyKind, x: &[u8], y: &[u8]) -> Result<PublicKey, PublicKeyError> {
    let length = kind.coordinate_length();
    let mut point = vec![4];
    for coordinate in [x, y] {
        let missing = length
            .checked_sub(coordinate.len())
            .ok_or(PublicKeyError::Malformed)?;
        point.resize(point.len() + missing, 0);
        point.extend_from_slice(coordinate);
    }
    PublicKey::from_point(kind, &point)
}

/// The name of a curve in JSON; empty for RSA, which has none.
pub(crate) const fn curve_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Rsa => "",
        KeyKind::P256 => "P-256",
        KeyKind::P384 => "P-384",
        KeyKind::P521 => "P-521",
        KeyKind::Ed25519 => "Ed25519",
    }
}

/// A key of a foreign set that can verify tokens.
pub(crate) struct SetKey {
    pub key: PublicKey,
    pub key_id: Option<String>,
    /// The only algorithm the owner allows with it.
    pub algorithm: Option<Algorithm>,
}

/// Reads a foreign key set. Keys of unknown types, for other purposes, or that make no sense are
/// skipped, as RFC 7517 section 5 asks.
pub(crate) fn parse_set(json: &[u8]) -> Result<Vec<SetKey>, JwksError> {
    #[derive(Deserialize)]
    struct ForeignSet {
        keys: Vec<Value>,
    }

    let set: ForeignSet = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
    if set.keys.len() > MAX_KEYS {
        let count = set.keys.len();
        return Err(JwksError::TooManyKeys { count });
    }
    let keys: Vec<SetKey> = set.keys.into_iter().filter_map(usable_key).collect();
    if keys.is_empty() {
        return Err(JwksError::NoUsableKey);
    }
    Ok(keys)
}

fn usable_key(json: Value) -> Option<SetKey> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let key = jwk.public_key().ok()?;
    // An algorithm that is unknown here, or impossible with the key, is never used here.
    let algorithm = match &jwk.alg {
        Some(name) => Some(name.parse::<Algorithm>().ok()?),
        None => None,
    };
    let possible = algorithm.is_none_or(|algorithm| algorithm.fits(key.kind()));
    (jwk.is_for_signatures() && possible).then_some(SetKey {
        key,
        key_id: jwk.kid,
        algorithm,
    })
}
