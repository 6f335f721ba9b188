//! Verifying a token: is it signed by a key we trust, for us, and for now?

use std::{
    hash::{BuildHasher, DefaultHasher, Hasher, RandomState},
    sync::Arc,
};

use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use moka::{policy::EvictionPolicy, sync::Cache};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    Algorithm, Claims, Jwk, PublicKey, TrustedKeys, VerifyError,
    text::ShownText,
    trusted_keys::{TrustedKey, parse_chain},
};

/// The longest token in bytes.
///
/// GitLab's tokens with many scopes and tag rules reach some tens of kilobytes; what is longer
/// than this does not fit into the header limits of the proxies in front either.
pub const MAX_TOKEN_LENGTH: usize = 64 * 1024;

/// How many keys one token may be tried with: key ids are not always unique, and some tokens
/// name no key.
const MAX_CANDIDATES: usize = 8;

/// What a [`Verifier`] insists on.
#[derive(Debug, Clone)]
pub struct VerifierSettings {
    /// The issuers whose tokens are believed; `iss` must be one of them.
    pub issuers: Vec<String>,
    /// Our own name; `aud` must contain it.
    pub service: String,
    /// How far the clocks of issuer and verifier may differ.
    pub leeway: TimeDelta,
    /// The algorithms that are allowed.
    pub algorithms: Vec<Algorithm>,
    /// The size of the cache of verified tokens in bytes, roughly.
    pub cache_capacity: u64,
}

impl VerifierSettings {
    /// One issuer, every [`Algorithm`], the 60 seconds of leeway that distribution grants, and
    /// 16 MiB of cache.
    pub fn new(issuer: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            issuers: vec![issuer.into()],
            service: service.into(),
            leeway: TimeDelta::seconds(60),
            algorithms: Algorithm::ALL.to_vec(),
            cache_capacity: 16 * 1024 * 1024,
        }
    }
}

/// Believes tokens, and remembers those it has believed.
///
/// A verified token is kept until it expires or room is needed, so a client that uses one token
/// for a hundred requests costs one signature verification.
#[derive(Debug)]
pub struct Verifier {
    settings: VerifierSettings,
    trust: ArcSwap<Trust>,
    unknown_key: Notify,
}

/// The keys, and what was verified with exactly these keys. Replaced as a whole, so a
/// verification that began under the old keys cannot slip its token in under the new ones.
struct Trust {
    keys: TrustedKeys,
    verified: Cache<Box<str>, Verified, TokenHashing>,
}

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    /// When the certificate behind the signature ends.
    key_ends: Option<DateTime<Utc>>,
}

/// What this crate reads of a JWS header.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    x5c: Option<Vec<String>>,
    #[serde(default)]
    jwk: Option<Value>,
    #[serde(default)]
    crit: Option<Value>,
}

impl Verifier {
    /// A verifier that believes these keys.
    pub fn new(settings: VerifierSettings, keys: TrustedKeys) -> Self {
        let trust = ArcSwap::from_pointee(Trust::new(keys, settings.cache_capacity));
        Self {
            settings,
            trust,
            unknown_key: Notify::new(),
        }
    }

    /// What the verifier insists on.
    pub fn settings(&self) -> &VerifierSettings {
        &self.settings
    }

    /// Believes other keys from now on. What was verified with the old ones is forgotten.
    pub fn replace_keys(&self, keys: TrustedKeys) {
        let trust = Trust::new(keys, self.settings.cache_capacity);
        self.trust.store(Arc::new(trust));
    }

    /// Calls `look` with the keys that are believed at the moment.
    pub fn with_keys<T>(&self, look: impl FnOnce(&TrustedKeys) -> T) -> T {
        look(&self.trust.load().keys)
    }

    /// About how many bytes the remembered tokens take.
    pub fn remembered_bytes(&self) -> u64 {
        let trust = self.trust.load();
        // Counting lags behind otherwise.
        trust.verified.run_pending_tasks();
        trust.verified.weighted_size()
    }

    /// Resolves when a token was refused for want of a key since the last call.
    pub(crate) async fn missed_a_key(&self) {
        self.unknown_key.notified().await;
    }

    /// Checks a token and returns what it says.
    ///
    /// A token that was verified before is only checked for its dates.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Claims>, VerifyError> {
        let trust = self.trust.load();
        if let Some(known) = trust.verified.get(token) {
            self.check_dates(&known.claims, now)?;
            if known.key_ends.is_none_or(|end| now <= end) {
                return Ok(known.claims);
            }
        }
        let verified = self.verify_anew(&trust.keys, token, now)?;
        let claims = Arc::clone(&verified.claims);
        trust.verified.insert(token.into(), verified);
        Ok(claims)
    }

    fn verify_anew(
        &self,
        keys: &TrustedKeys,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Verified, VerifyError> {
        if token.len() > MAX_TOKEN_LENGTH {
            let length = token.len();
            return Err(VerifyError::TooLong { length });
        }
        let parts = Parts::split(token)?;
        let algorithm = self.allowed_algorithm(&parts.header)?;
        let found = find_keys(keys, &parts.header, algorithm, now).inspect_err(|reason| {
            if reason.is_about_unknown_keys() {
                self.unknown_key.notify_one();
            }
        })?;
        let matches = |key: &&PublicKey| key.verifies(algorithm, parts.signed, &parts.signature);
        if !found.keys.iter().any(|key| matches(&key)) {
            return Err(VerifyError::BadSignature);
        }
        let claims: Claims = serde_json::from_slice(&parts.payload)
            .map_err(|error| VerifyError::bad_json("claims", &error))?;
        self.check_claims(&claims, now)?;
        Ok(Verified {
            claims: Arc::new(claims),
            key_ends: found.not_after,
        })
    }

    fn allowed_algorithm(&self, header: &Header) -> Result<Algorithm, VerifyError> {
        let known = header.alg.parse().ok();
        known
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or_else(|| VerifyError::AlgorithmNotAllowed {
                algorithm: ShownText::new(&header.alg),
            })
    }

    fn check_claims(&self, claims: &Claims, now: DateTime<Utc>) -> Result<(), VerifyError> {
        if !self.settings.issuers.contains(&claims.issuer) {
            return Err(VerifyError::WrongIssuer {
                expected: ShownText::new(&self.settings.issuers.join(", ")),
                found: ShownText::new(&claims.issuer),
            });
        }
        if !claims.audience.contains(&self.settings.service) {
            let found: Vec<&str> = claims.audience.iter().collect();
            return Err(VerifyError::WrongAudience {
                expected: ShownText::new(&self.settings.service),
                found: ShownText::new(&found.join(", ")),
            });
        }
        self.check_dates(claims, now)
    }

    fn check_dates(&self, claims: &Claims, now: DateTime<Utc>) -> Result<(), VerifyError> {
        let leeway = self.settings.leeway;
        // Differences, because a foreign date plus a leeway may lie beyond what time can express.
        if now.signed_duration_since(claims.expires_at) > leeway {
            return Err(VerifyError::Expired {
                at: claims.expires_at,
            });
        }
        match claims.not_before {
            Some(from) if from.signed_duration_since(now) > leeway => {
                Err(VerifyError::NotYetValid { from })
            }
            _ => Ok(()),
        }
    }
}

/// A token taken apart, nothing verified yet.
struct Parts<'a> {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// What the signature is over: header and payload as they were sent.
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, VerifyError> {
        let not_three = || VerifyError::malformed("it is not three parts joined by dots");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(not_three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_three)?;
        if payload.contains('.') {
            return Err(not_three());
        }
        let decode = |part: &str, name: &str| {
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(part);
            decoded.map_err(|_| VerifyError::malformed(&format!("its {name} is not base64url")))
        };
        let header: Header = serde_json::from_slice(&decode(header, "header")?)
            .map_err(|error| VerifyError::bad_json("header", &error))?;
        // RFC 7515 section 4.1.11: what is critical and not understood invalidates the token.
        if header.crit.is_some() {
            return Err(VerifyError::malformed("its header has critical extensions"));
        }
        Ok(Self {
            header,
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
            signed: signed.as_bytes(),
        })
    }
}

/// The keys to try a token with, at least one.
struct FoundKeys {
    keys: Vec<PublicKey>,
    not_after: Option<DateTime<Utc>>,
}

/// Finds the trusted keys that a header points at.
///
/// In this order, the first that leads to a trusted key counts:
///
/// 1. `x5c`. It comes first because it proves itself, while the key ids of some issuers are
///    wrong for EC keys. A chain that is trusted but outdated ends the search.
/// 2. `jwk`, believed only if that very key is trusted.
/// 3. `kid`.
/// 4. None of the three: every trusted key that the algorithm fits.
fn find_keys(
    trusted: &TrustedKeys,
    header: &Header,
    algorithm: Algorithm,
    now: DateTime<Utc>,
) -> Result<FoundKeys, VerifyError> {
    let chain = parse_chain(header.x5c.as_deref().unwrap_or_default())?;
    if let Some(end) = trusted.key_of_chain(&chain, now)? {
        if !trusted.can_use(&end.key, algorithm) {
            return Err(VerifyError::AlgorithmMismatch { algorithm });
        }
        return Ok(FoundKeys {
            keys: vec![end.key],
            not_after: end.not_after,
        });
    }
    if let Some(jwk) = &header.jwk {
        let key = Jwk::deserialize(jwk)
            .ok()
            .and_then(|jwk| jwk.public_key().ok());
        let key = key.ok_or_else(|| VerifyError::malformed("its jwk is no usable public key"))?;
        let mut entries = trusted.entries_of(&key).peekable();
        if entries.peek().is_some() {
            return usable_keys(entries, algorithm);
        }
    }
    if let Some(key_id) = &header.kid {
        let mut entries = trusted.by_id(key_id).peekable();
        if entries.peek().is_some() {
            return usable_keys(entries, algorithm);
        }
    }
    if let Some(leaf) = chain.first() {
        let subject = leaf.subject().clone();
        return Err(VerifyError::UntrustedChain { subject });
    }
    match (&header.kid, &header.jwk) {
        (Some(key_id), _) => Err(VerifyError::UnknownKey {
            key_id: ShownText::new(key_id),
        }),
        (None, Some(_)) => Err(VerifyError::UnknownKey {
            key_id: ShownText::new("in the header"),
        }),
        (None, None) => {
            usable_keys(trusted.all(), algorithm).map_err(|_| VerifyError::NoKey { algorithm })
        }
    }
}

fn usable_keys<'a>(
    entries: impl Iterator<Item = &'a TrustedKey>,
    algorithm: Algorithm,
) -> Result<FoundKeys, VerifyError> {
    let usable = entries.filter(|entry| entry.can_use(algorithm));
    let keys: Vec<PublicKey> = usable
        .take(MAX_CANDIDATES)
        .map(|entry| entry.key.clone())
        .collect();
    if keys.is_empty() {
        return Err(VerifyError::AlgorithmMismatch { algorithm });
    }
    Ok(FoundKeys {
        keys,
        not_after: None,
    })
}

impl Trust {
    fn new(keys: TrustedKeys, cache_capacity: u64) -> Self {
        let verified = Cache::<Box<str>, Verified>::builder()
            .max_capacity(cache_capacity)
            .weigher(|token, _| weight(token))
            // Tokens live for minutes: those not used lately are those that have expired.
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(TokenHashing::default());
        Self { keys, verified }
    }
}

/// The bytes a verified token takes: its text, and its claims, which are about as big again.
fn weight(token: &str) -> u32 {
    const CLAIMS_AND_BOOKKEEPING: usize = 512;
    u32::try_from(2 * token.len() + CLAIMS_AND_BOOKKEEPING).unwrap_or(u32::MAX)
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Trust")
            .field("keys", &self.keys)
            .field("verified", &self.verified.entry_count())
            .finish()
    }
}

/// Hashes the end of a token only.
///
/// The end is its signature, and only verified tokens are stored, so nobody but the issuer
/// decides what is there; the cache compares the whole text anyway. A token with its certificate
/// is about 1.5 KB, and hashing all of it would be most of the work of a hit.
#[derive(Debug, Clone, Default)]
struct TokenHashing(RandomState);

struct TailHasher(DefaultHasher);

impl BuildHasher for TokenHashing {
    type Hasher = TailHasher;

    fn build_hasher(&self) -> TailHasher {
        TailHasher(self.0.build_hasher())
    }
}

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        const TAIL: usize = 64;
        self.0.write(&bytes[bytes.len().saturating_sub(TAIL)..]);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}
