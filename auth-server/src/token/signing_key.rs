//! What a signing key goes through, from its row alone.
//!
//! ```text
//! published ── signs_from ──▶ signing ── the next key's signs_from ──▶ verifying ──▶ retired
//! ```
//!
//! - *published*: verifiers can learn it; nothing is signed with it yet.
//! - *signing*: new tokens are signed with it.
//! - *verifying*: another key signs; the tokens of this one are still good.
//! - *retired*: the last of them has expired. It is published no longer.
//!
//! The state follows from times that all servers read from one table, so that no two of them can
//! disagree about more than what their clocks do, and nothing has to happen at the right moment.
//! Only retirement is an event: somebody has to write it down.

use chrono::{DateTime, TimeDelta, Utc};
use registry_token::{Certificate, ShownText};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::signing_keys::StoredKey;

/// How long after the expiry of its last token a key is still published: the minute of leeway that
/// every registry grants, and a minute for clocks that differ.
pub const VERIFYING_MARGIN: TimeDelta = TimeDelta::seconds(120);

/// A server that goes on signing with an old key says so this often. Less than the margin.
pub const LAST_SIGNED_PRECISION: TimeDelta = TimeDelta::seconds(20);

/// What a key is good for
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    Published,
    Signing,
    Verifying,
    Retired,
}

impl KeyState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signing => "signing",
            Self::Verifying => "verifying",
            Self::Retired => "retired",
        }
    }
}

/// A signing key
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub struct SigningKeyInfo {
    /// The `kid` of its tokens, in libtrust's form.
    pub id: String,
    /// RFC 7638.
    pub thumbprint: String,
    /// `ES256`, `ES384` or `RS256`
    pub algorithm: String,
    /// Who has made it: `generated`, `imported`, `mounted`, or `adopted` from a file.
    pub origin: String,
    pub state: KeyState,
    /// Since when verifiers can know it.
    pub published_at: DateTime<Utc>,
    /// When it signs for the first time. None: when its private key is mounted.
    pub signs_from: Option<DateTime<Utc>>,
    /// When its last token has expired, if that is known already.
    pub verifies_until: Option<DateTime<Utc>>,
    pub retired_at: Option<DateTime<Utc>>,
    /// Whose certificate it has.
    pub certificate_subject: Option<String>,
    /// When that certificate ends; registries refuse tokens from then on.
    pub certificate_expires_at: Option<DateTime<Utc>>,
}

/// All keys of a table, those that sign last at the end, and what they go through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySchedule(Vec<StoredKey>);

impl KeySchedule {
    /// Takes the keys in the order of [`all`](crate::store::signing_keys::all).
    pub(crate) fn new(mut keys: Vec<StoredKey>) -> Self {
        // As the database sorts them; stable where it cannot tell.
        keys.sort_by_key(|key| (key.signs_from.is_none(), key.signs_from, key.published_at));
        Self(keys)
    }

    /// Every key, retired ones too.
    pub(crate) fn all(&self) -> &[StoredKey] {
        &self.0
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&StoredKey> {
        self.0.iter().find(|key| key.kid == kid)
    }

    /// Those that are not retired.
    pub(crate) fn live(&self) -> impl DoubleEndedIterator<Item = &StoredKey> {
        self.0.iter().filter(|key| key.retired_at.is_none())
    }

    /// The one that signs: of those whose time has come, the last.
    pub(crate) fn current(&self, now: DateTime<Utc>) -> Option<&StoredKey> {
        self.live()
            .rfind(|key| key.signs_from.is_some_and(|from| from <= now))
    }

    /// The one that will sign next.
    pub(crate) fn pending(&self, now: DateTime<Utc>) -> Option<&StoredKey> {
        self.live()
            .find(|key| key.signs_from.is_none_or(|from| from > now))
    }

    pub(crate) fn state(&self, key: &StoredKey, now: DateTime<Utc>) -> KeyState {
        let begun = key.signs_from.is_some_and(|from| from <= now);
        let is_current = || self.current(now).is_some_and(|it| it.kid == key.kid);
        match () {
            () if key.retired_at.is_some() => KeyState::Retired,
            () if !begun => KeyState::Published,
            () if is_current() => KeyState::Signing,
            () => KeyState::Verifying,
        }
    }

    /// When the last token of a key has expired everywhere. Unknown while no other key has been
    /// told to sign after it.
    pub(crate) fn verifies_until(&self, key: &StoredKey) -> Option<DateTime<Utc>> {
        let begun = key.signs_from?;
        let mut successors = self.live().filter_map(|other| other.signs_from);
        let last_signed = successors.find(|from| *from > begun)?;
        let last_signed = key
            .last_signed_at
            .map_or(last_signed, |at| at.max(last_signed));
        let lifetime = TimeDelta::try_seconds(key.token_lifetime)?;
        last_signed.checked_add_signed(lifetime + VERIFYING_MARGIN)
    }

    /// Those whose time is over, and that nobody has retired yet.
    pub(crate) fn over(&self, now: DateTime<Utc>) -> impl Iterator<Item = &StoredKey> {
        self.live()
            .filter(move |key| self.verifies_until(key).is_some_and(|end| end <= now))
    }

    pub(crate) fn info(&self, key: &StoredKey, now: DateTime<Utc>) -> SigningKeyInfo {
        let chain = Certificate::bundle_from_pem(key.certificate.as_bytes()).unwrap_or_default();
        let certificate = chain.first();
        let retired = key.retired_at.is_some();
        SigningKeyInfo {
            id: key.kid.clone(),
            thumbprint: certificate
                .map(|certificate| certificate.public_key().thumbprint())
                .unwrap_or_default(),
            algorithm: key.algorithm.clone(),
            origin: key.origin.clone(),
            state: self.state(key, now),
            published_at: key.published_at,
            signs_from: key.signs_from,
            verifies_until: self.verifies_until(key).filter(|_| !retired),
            retired_at: key.retired_at,
            certificate_subject: certificate
                .map(Certificate::subject)
                .map(ShownText::to_string),
            certificate_expires_at: certificate.map(Certificate::not_after),
        }
    }
}

#[cfg(test)]
#[path = "signing_key_tests.rs"]
mod tests;
