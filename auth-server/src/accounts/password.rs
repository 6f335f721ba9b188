//! Passwords: what is accepted as a new one, and hashing and verifying with argon2id.
//!
//! Hashes that were made otherwise (with other parameters, or by bcrypt in a file that was
//! imported) verify too, and are made anew while the password is at hand.
//!
//! A verified password is not remembered. A cache would spare a client that repeats its password
//! with every token request some twenty milliseconds, at the price of keeping something in memory
//! that stands for the password and of a time in which a changed password still opens. Clients
//! that log in often are better served by a refresh token or by a token made for machines, which
//! are random and need no slow hash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, PasswordHasher as _, PasswordVerifier as _, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::Username;
use super::secret::TokenPrefix;
use crate::clock::Clock;

/// No password is longer, in bytes: hashing must not be fed with megabytes.
pub const MAX_LENGTH: usize = 1_024;

/// When to come back if too many are waiting: a full queue drains in about this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Fewer guesses than this find a password that is refused, by the estimate of zxcvbn: what a
/// single machine tries in days even if a hash takes it as long as it takes us.
const FEWEST_GUESSES: u64 = 100_000_000;

/// Wrong passwords are told to be wrong after the same time, up to this one.
const LONGEST_REFUSAL: Duration = Duration::from_secs(1);

/// What a password chosen by a human must be.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// In characters.
    pub minimum_length: usize,
}

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    #[error("a password has at least {0} characters")]
    TooShort(usize),
    #[error("a password has at most {MAX_LENGTH} bytes")]
    TooLong,
    #[error("a password cannot contain control characters: no client could send them")]
    ControlCharacter,
    #[error("a password must not be the username")]
    Username,
    #[error("a password must not begin like a token")]
    Token,
    #[error(
        "this password is among the first that an attacker would try: take several words that \
         have nothing to do with each other, or let a password manager make one up"
    )]
    Common,
}

/// A password that satisfies the policy, ready to be hashed.
#[derive(Clone, Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Checks a password that somebody chose for `username`.
    pub fn check(
        password: SecretString,
        username: &Username,
        policy: PasswordPolicy,
    ) -> Result<Self, WeakPassword> {
        let text = password.expose_secret();
        if text.chars().count() < policy.minimum_length {
            return Err(WeakPassword::TooShort(policy.minimum_length));
        }
        if text.len() > MAX_LENGTH {
            return Err(WeakPassword::TooLong);
        }
        // RFC 7617 forbids them in Basic credentials.
        if text.chars().any(char::is_control) {
            return Err(WeakPassword::ControlCharacter);
        }
        if text.eq_ignore_ascii_case(username.as_str()) {
            return Err(WeakPassword::Username);
        }
        // It would be looked for among the tokens.
        if TokenPrefix::ALL.iter().any(|prefix| prefix.begins(text)) {
            return Err(WeakPassword::Token);
        }
        if zxcvbn::zxcvbn(text, &[username.as_str()]).guesses() < FEWEST_GUESSES {
            return Err(WeakPassword::Common);
        }
        Ok(Self(password))
    }

    /// 128 random bits, in characters that survive copying and dictation.
    #[must_use]
    pub fn generate(clock: &Clock) -> Self {
        Self(hex::encode(clock.random::<16>()).into())
    }

    /// For showing a generated password, once.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

/// A stored password: a PHC string, `$argon2id$v=19$m=…`, or bcrypt's form. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash")
    }
}

impl PasswordHash {
    /// A hash by bcrypt as `htpasswd -B` writes it: `$2y$05$…`.
    #[must_use]
    pub fn bcrypt(hash: &bcrypt::HashParts) -> Self {
        Self(hash.format_for_version(bcrypt::Version::TwoY))
    }

    fn is_bcrypt(&self) -> bool {
        ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| self.0.starts_with(prefix))
    }
}

/// Whether a password is the stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// It is, and this is what should be stored from now on.
    Outdated(PasswordHash),
}

/// How much work one hash is. <https://www.rfc-editor.org/rfc/rfc9106>
#[derive(Clone, Copy, Debug)]
pub struct HashCost {
    /// In KiB.
    pub memory: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

impl HashCost {
    /// Whether argon2 can work with these numbers.
    pub fn check(self) -> Result<(), argon2::Error> {
        self.parameters().map(drop)
    }

    fn parameters(self) -> Result<argon2::Params, argon2::Error> {
        argon2::Params::new(self.memory, self.iterations, self.parallelism, None)
    }
}

/// Why a password could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// More wait for their turn than the queue holds.
    #[error("too many passwords are being checked")]
    Busy { retry_after: Duration },
    /// A stored hash that is none, a failed allocation.
    #[error("argon2 failed: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("bcrypt failed: {0}")]
    Bcrypt(#[from] bcrypt::BcryptError),
    #[error("the thread that hashed a password died")]
    Thread(#[source] tokio::task::JoinError),
}

/// Hashes and verifies, off the async workers: a bounded number at once (each takes the memory
/// that argon2 is configured for), a bounded number waiting, the rest is turned away at once.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hasher: Argon2<'static>,
    running: Arc<Semaphore>,
    /// Running or waiting.
    admitted: Arc<Semaphore>,
    /// Verified against where there is no password, so that an unknown user costs what a known
    /// one does.
    decoy: PasswordHash,
    /// The processor time of the costliest refusal so far, in microseconds. Hashes of several
    /// costs are stored side by side; how long a refusal takes should not tell which one it was,
    /// or that there was none.
    refusal: AtomicU64,
}

impl Passwords {
    /// `concurrency` hashes run at once while at most `queue` wait.
    pub fn new(
        cost: HashCost,
        concurrency: usize,
        queue: usize,
        clock: &Clock,
    ) -> Result<Self, argon2::Error> {
        let parameters = cost.parameters()?;
        let decoy = decoy(&parameters, clock)?;
        Ok(Self(Arc::new(Inner {
            hasher: Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters),
            running: Arc::new(Semaphore::new(concurrency)),
            admitted: Arc::new(Semaphore::new(concurrency + queue)),
            decoy,
            refusal: AtomicU64::new(0),
        })))
    }

    /// Hashes a new password.
    pub async fn hash(
        &self,
        password: NewPassword,
        clock: &Clock,
    ) -> Result<PasswordHash, PasswordError> {
        let salt = clock.random();
        let inner = Arc::clone(&self.0);
        self.run(move || inner.hash(&password.0, salt)).await
    }

    /// Whether the password is the stored one. Takes as long when none is stored.
    pub async fn verify(
        &self,
        stored: Option<&PasswordHash>,
        password: SecretString,
        clock: &Clock,
    ) -> Result<Verdict, PasswordError> {
        if password.expose_secret().len() > MAX_LENGTH {
            return Ok(Verdict::Wrong);
        }
        let stored = stored.unwrap_or(&self.0.decoy).clone();
        let salt = clock.random();
        let inner = Arc::clone(&self.0);
        let (verdict, used) = self
            .run(move || {
                let start = processor_time();
                let verdict = inner.verify(&stored, &password, salt)?;
                Ok((verdict, processor_time().saturating_sub(start)))
            })
            .await?;
        if verdict == Verdict::Wrong {
            tokio::time::sleep(self.rest_of_refusal(used)).await;
        }
        Ok(verdict)
    }

    /// How much longer to wait until a refusal has taken as long as any.
    fn rest_of_refusal(&self, used: Duration) -> Duration {
        let used_micros = u64::try_from(used.as_micros()).unwrap_or(u64::MAX);
        let before = self.0.refusal.fetch_max(used_micros, Ordering::Relaxed);
        Duration::from_micros(before)
            .min(LONGEST_REFUSAL)
            .saturating_sub(used)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let busy = PasswordError::Busy {
            retry_after: RETRY_AFTER,
        };
        let Ok(admitted) = Arc::clone(&self.0.admitted).try_acquire_owned() else {
            return Err(busy);
        };
        // Semaphores are closed by nobody; if one ever is, there is no more capacity.
        let Ok(running) = Arc::clone(&self.0.running).acquire_owned().await else {
            return Err(busy);
        };
        tokio::task::spawn_blocking(move || {
            // Held here, because a client that goes away does not stop the thread.
            let _permits = (admitted, running);
            work()
        })
        .await
        .map_err(PasswordError::Thread)?
    }
}

type Salt = [u8; phc::Salt::RECOMMENDED_LENGTH];

impl Inner {
    fn hash(&self, password: &SecretString, salt: Salt) -> Result<PasswordHash, PasswordError> {
        let password = password.expose_secret().as_bytes();
        let hash: phc::PasswordHash = self.hasher.hash_password_with_salt(password, &salt)?;
        Ok(PasswordHash(hash.to_string()))
    }

    /// With the parameters that stand in the stored hash.
    fn verify(
        &self,
        stored: &PasswordHash,
        password: &SecretString,
        salt: Salt,
    ) -> Result<Verdict, PasswordError> {
        let text = password.expose_secret().as_bytes();
        let current = if stored.is_bcrypt() {
            // No more than 72 bytes count for bcrypt, whoever computes it. All of them do in what
            // is stored instead.
            if !bcrypt::verify(text, &stored.0)? {
                return Ok(Verdict::Wrong);
            }
            false
        } else {
            let stored =
                phc::PasswordHash::new(&stored.0).map_err(argon2::password_hash::Error::from)?;
            match self.hasher.verify_password(text, &stored) {
                Ok(()) => {}
                Err(argon2::password_hash::Error::PasswordInvalid) => return Ok(Verdict::Wrong),
                Err(error) => return Err(error.into()),
            }
            self.is_current(&stored)
        };
        if current {
            Ok(Verdict::Right)
        } else {
            self.hash(password, salt).map(Verdict::Outdated)
        }
    }

    /// Whether a hash is what [`hash`](Self::hash) makes.
    fn is_current(&self, stored: &phc::PasswordHash) -> bool {
        let parameters = self.hasher.params();
        stored.algorithm == argon2::ARGON2ID_IDENT
            && stored.version == Some(Version::V0x13.into())
            && argon2::Params::try_from(stored).is_ok_and(|stored| {
                (stored.m_cost(), stored.t_cost(), stored.p_cost())
                    == (
                        parameters.m_cost(),
                        parameters.t_cost(),
                        parameters.p_cost(),
                    )
            })
    }
}

/// What this thread has used so far: unlike the time that has passed, no matter of how busy the
/// machine is.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A hash of nothing in particular: its random output is no password's.
fn decoy(parameters: &argon2::Params, clock: &Clock) -> Result<PasswordHash, argon2::Error> {
    let hash = phc::PasswordHash {
        algorithm: argon2::ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: parameters
            .try_into()
            .map_err(|_| argon2::Error::AlgorithmInvalid)?,
        salt: phc::Salt::new(&clock.random::<{ phc::Salt::RECOMMENDED_LENGTH }>()).ok(),
        hash: phc::Output::new(&clock.random::<{ argon2::Params::DEFAULT_OUTPUT_LEN }>()).ok(),
    };
    Ok(PasswordHash(hash.to_string()))
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
