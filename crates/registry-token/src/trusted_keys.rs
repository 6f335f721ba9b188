//! What a verifier believes: certificates and public keys, and the ways to find them.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine, engine::general_purpose::STANDARD_PAD_INDIFFERENT, prelude::BASE64_URL_SAFE_NO_PAD,
};
use chrono::{DateTime, Utc};

use crate::{
    Algorithm, BundleError, Certificate, CertificateError, JwksError, PublicKey, jwk,
    key_id::without_padding, verify_error::VerifyError,
};

/// How many certificates a token may bring along in `x5c`.
const MAX_CHAIN: usize = 8;

/// How many certificate signatures one token may make us check. A chain needs one per link; more
/// only serves someone who wants to keep us busy.
const MAX_SIGNATURE_CHECKS: u32 = 16;

/// The keys whose signatures are believed.
///
/// Every key can be found by each of its ids: libtrust, RFC 7638, the `kid` its JWKS gave it, and
/// the SHA-256 of its certificate (`x5t#S256`). The dates of a bundle's certificate count when a
/// token points at it through `x5c`, and not when it is found by key id: then the key itself is
/// what the operator trusts, as with distribution.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
    by_id: HashMap<Box<str>, Vec<usize>>,
    certificates: Vec<Certificate>,
}

/// A believed key, perhaps for one algorithm only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedKey {
    pub key: PublicKey,
    algorithm: Option<Algorithm>,
}

impl TrustedKey {
    pub fn can_use(&self, algorithm: Algorithm) -> bool {
        algorithm.fits(self.key.kind()) && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// A key that a certificate chain led to.
#[derive(Debug)]
pub(crate) struct ChainKey {
    pub key: PublicKey,
    /// When the first certificate of the chain ends; the trust ends with it.
    pub not_after: Option<DateTime<Utc>>,
}

impl TrustedKeys {
    /// Believes nobody.
    pub fn none() -> Self {
        Self::default()
    }

    /// Believes the certificates of a PEM bundle, and those they signed.
    pub fn from_bundle_pem(text: &[u8]) -> Result<Self, BundleError> {
        Ok(Self::from_certificates(Certificate::bundle_from_pem(text)?))
    }

    /// Believes these certificates, and those they signed.
    pub fn from_certificates(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut trusted = Self::none();
        for certificate in certificates {
            trusted.add_certificate(certificate);
        }
        trusted
    }

    /// Believes the keys of a JSON Web Key Set.
    pub fn from_jwks_json(text: &[u8]) -> Result<Self, JwksError> {
        let mut trusted = Self::none();
        for key in jwk::parse_set(text)? {
            trusted.add_key(key.key, key.algorithm, key.key_id.as_slice());
        }
        Ok(trusted)
    }

    /// Believes what either believes.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for certificate in other.certificates {
            self.add_certificate(certificate);
        }
        let mut ids: Vec<Vec<String>> = vec![Vec::new(); other.keys.len()];
        for (id, indexes) in other.by_id {
            for index in indexes {
                ids[index].push(id.clone().into());
            }
        }
        for (key, ids) in other.keys.into_iter().zip(ids) {
            self.add_key(key.key, key.algorithm, &ids);
        }
        self
    }

    fn add_certificate(&mut self, certificate: Certificate) {
        if self.certificates.contains(&certificate) {
            return;
        }
        let thumbprint = digest(&SHA256, certificate.der());
        let id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint.as_ref());
        self.add_key(certificate.public_key().clone(), None, &[id]);
        self.certificates.push(certificate);
    }

    fn add_key(&mut self, key: PublicKey, algorithm: Option<Algorithm>, ids: &[String]) {
        let computed = [key.libtrust_id(), key.thumbprint()];
        let entry = TrustedKey { key, algorithm };
        let known = self.keys.iter().position(|known| *known == entry);
        let index = known.unwrap_or_else(|| {
            self.keys.push(entry);
            self.keys.len() - 1
        });
        for id in ids.iter().chain(&computed) {
            let indexes = self.by_id.entry(without_padding(id).into()).or_default();
            if !indexes.contains(&index) {
                indexes.push(index);
            }
        }
    }

    /// The number of different keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The certificates, for those who look at dates and subjects.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The public keys.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(|trusted| &trusted.key)
    }

    /// The keys that go by this id, padded or not.
    pub(crate) fn by_id(&self, key_id: &str) -> impl Iterator<Item = &TrustedKey> {
        let indexes = self.by_id.get(without_padding(key_id));
        let indexes = indexes.map(Vec::as_slice).unwrap_or_default();
        indexes.iter().filter_map(|index| self.keys.get(*index))
    }

    /// Every key.
    pub(crate) fn all(&self) -> impl Iterator<Item = &TrustedKey> {
        self.keys.iter()
    }

    /// The entries of a key that is itself trusted.
    pub(crate) fn entries_of(&self, key: &PublicKey) -> impl Iterator<Item = &TrustedKey> {
        self.keys.iter().filter(move |trusted| trusted.key == *key)
    }

    /// Whether the key may be used with the algorithm: a key that is itself trusted may be
    /// limited, one that a certificate vouches for is not.
    pub(crate) fn can_use(&self, key: &PublicKey, algorithm: Algorithm) -> bool {
        let mut entries = self.entries_of(key).peekable();
        match entries.peek() {
            Some(_) => entries.any(|entry| entry.can_use(algorithm)),
            None => algorithm.fits(key.kind()),
        }
    }

    /// The key of the first certificate in `chain`, if it is trusted or leads to one that is.
    ///
    /// `None` if no path leads to a trusted certificate; an error if one does, but cannot be
    /// used now.
    pub(crate) fn key_of_chain(
        &self,
        chain: &[Certificate],
        now: DateTime<Utc>,
    ) -> Result<Option<ChainKey>, VerifyError> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Ok(None);
        };
        if let Some(end) = self.own_key(leaf, now)? {
            return Ok(Some(end));
        }
        let mut climb = Climb {
            bundle: &self.certificates,
            intermediates,
            checks: 0,
            now,
            outdated: None,
        };
        let found = climb.from(leaf, &mut Vec::new());
        match (found, climb.outdated) {
            (Some(not_after), _) => Ok(Some(ChainKey {
                key: leaf.public_key().clone(),
                not_after: Some(not_after),
            })),
            (None, Some(reason)) => Err(reason),
            (None, None) => Ok(None),
        }
    }

    /// The case without a chain: the leaf is in the bundle, or its key is.
    ///
    /// The dates that count are the bundle's. Who holds the key can write any date into a
    /// certificate of their own.
    fn own_key(
        &self,
        leaf: &Certificate,
        now: DateTime<Utc>,
    ) -> Result<Option<ChainKey>, VerifyError> {
        let key = leaf.public_key();
        let same_key = self
            .certificates
            .iter()
            .filter(|known| known.public_key() == key);
        let mut outdated = None;
        for anchor in same_key {
            match check_dates(anchor, now) {
                Ok(()) => {
                    return Ok(Some(ChainKey {
                        key: key.clone(),
                        not_after: Some(anchor.not_after()),
                    }));
                }
                Err(reason) => outdated = Some(reason),
            }
        }
        match outdated {
            Some(reason) => Err(reason),
            None => Ok(self.entries_of(key).next().map(|_| ChainKey {
                key: key.clone(),
                not_after: None,
            })),
        }
    }
}

/// Two are equal if they believe the same, in whatever order it was read.
impl PartialEq for TrustedKeys {
    fn eq(&self, other: &Self) -> bool {
        let ids = |trusted: &Self| -> Vec<(Box<str>, Vec<TrustedKey>)> {
            let mut ids: Vec<_> = trusted
                .by_id
                .keys()
                .map(|id| (id.clone(), trusted.by_id(id).cloned().collect()))
                .collect();
            ids.sort_by(|(a, _), (b, _)| a.cmp(b));
            ids
        };
        let holds = |all: &Self, some: &Self| {
            some.certificates
                .iter()
                .all(|certificate| all.certificates.contains(certificate))
        };
        holds(self, other) && holds(other, self) && ids(self) == ids(other)
    }
}

fn check_dates(certificate: &Certificate, now: DateTime<Utc>) -> Result<(), VerifyError> {
    let subject = || certificate.subject().clone();
    if now > certificate.not_after() {
        return Err(VerifyError::CertificateExpired {
            subject: subject(),
            at: certificate.not_after(),
        });
    }
    if now < certificate.not_before() {
        return Err(VerifyError::CertificateNotYetValid {
            subject: subject(),
            from: certificate.not_before(),
        });
    }
    Ok(())
}

/// The way from a leaf up to the bundle.
struct Climb<'a> {
    bundle: &'a [Certificate],
    intermediates: &'a [Certificate],
    checks: u32,
    now: DateTime<Utc>,
    /// Why the best path cannot be used today.
    outdated: Option<VerifyError>,
}

impl Climb<'_> {
    /// When the trust in `certificate` ends, if there is any. `path` holds the intermediates
    /// that were passed on the way here.
    fn from(&mut self, certificate: &Certificate, path: &mut Vec<usize>) -> Option<DateTime<Utc>> {
        let below = u32::try_from(path.len()).unwrap_or(u32::MAX);
        let bundle = self.bundle;
        for anchor in bundle {
            if self.is_signed_by(certificate, anchor, below)
                && self.is_current(anchor)
                && self.is_current(certificate)
            {
                return Some(anchor.not_after().min(certificate.not_after()));
            }
        }
        let intermediates = self.intermediates;
        for (index, issuer) in intermediates.iter().enumerate() {
            if path.contains(&index) || !self.is_signed_by(certificate, issuer, below) {
                continue;
            }
            path.push(index);
            let end = self.from(issuer, path);
            path.pop();
            if let Some(end) = end
                && self.is_current(certificate)
            {
                return Some(end.min(certificate.not_after()));
            }
        }
        None
    }

    fn is_signed_by(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
        below: u32,
    ) -> bool {
        if !certificate.names_as_issuer(issuer) || self.checks == MAX_SIGNATURE_CHECKS {
            return false;
        }
        self.checks += 1;
        certificate.is_signed_by(issuer, below)
    }

    /// Only asked of certificates on a path that ends in the bundle, so the reason it leaves
    /// behind is one the operator can act on.
    fn is_current(&mut self, certificate: &Certificate) -> bool {
        match check_dates(certificate, self.now) {
            Ok(()) => true,
            Err(reason) => {
                self.outdated.get_or_insert(reason);
                false
            }
        }
    }
}

/// Reads the certificates of a token's `x5c`.
///
/// Behind the first, one with a key or an extension that is not supported is passed over: it may
/// be a link that this verifier does not need.
pub(crate) fn parse_chain(x5c: &[String]) -> Result<Vec<Certificate>, VerifyError> {
    if x5c.len() > MAX_CHAIN {
        return Err(VerifyError::malformed("x5c holds more than 8 certificates"));
    }
    let mut chain = Vec::with_capacity(x5c.len());
    for (index, text) in x5c.iter().enumerate() {
        // RFC 7515 asks for plain base64 with padding; leaving the padding out is harmless.
        let der = STANDARD_PAD_INDIFFERENT
            .decode(text)
            .map_err(|_| VerifyError::malformed("x5c is not base64"))?;
        match Certificate::from_der(&der) {
            Ok(certificate) => chain.push(certificate),
            Err(reason) if index == 0 || reason == CertificateError::Malformed => {
                return Err(VerifyError::Certificate { reason });
            }
            Err(_) => {}
        }
    }
    Ok(chain)
}
