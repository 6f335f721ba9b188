//! Passwords: what is accepted as a new one, and hashing and verifying with argon2id.
//!
//! A verified password is not remembered. A cache would spare a client that repeats its password
//! with every token request some twenty milliseconds, at the price of keeping something in memory
//! that stands for the password and of a time in which a changed password still opens. Clients
//! that log in often are better served by a refresh token or by a token made for machines, which
//! are random and need no slow hash.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, PasswordHasher as _, PasswordVerifier as _, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::Username;
use crate::clock::Clock;

/// No password is longer, in bytes: hashing must not be fed with megabytes.
pub const MAX_LENGTH: usize = 1_024;

/// When to come back if too many are waiting: a full queue drains in about this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

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

/// A stored password: a PHC string, `$argon2id$v=19$m=…`. `Debug` hides it.
#[derive(Clone, sqlx::Type)]
#[sqlx(transparent)]
pub struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash")
    }
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
    Hash(#[source] argon2::password_hash::Error),
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
        })))
    }

    /// Hashes a new password.
    pub async fn hash(
        &self,
        password: NewPassword,
        clock: &Clock,
    ) -> Result<PasswordHash, PasswordError> {
        let salt = clock.random::<{ phc::Salt::RECOMMENDED_LENGTH }>();
        let hasher = self.0.hasher.clone();
        self.run(move || {
            hasher
                .hash_password_with_salt(password.0.expose_secret().as_bytes(), &salt)
                .map(|hash: phc::PasswordHash| PasswordHash(hash.to_string()))
        })
        .await
    }

    /// Whether the password is the stored one. Costs the same when none is stored.
    pub async fn verify(
        &self,
        stored: Option<&PasswordHash>,
        password: SecretString,
    ) -> Result<bool, PasswordError> {
        if password.expose_secret().len() > MAX_LENGTH {
            return Ok(false);
        }
        let stored = stored.unwrap_or(&self.0.decoy).clone();
        let hasher = self.0.hasher.clone();
        self.run(move || {
            let stored = phc::PasswordHash::new(&stored.0)?;
            match hasher.verify_password(password.expose_secret().as_bytes(), &stored) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
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
        .map_err(PasswordError::Hash)
    }
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
mod tests {
    use std::str::FromStr as _;

    use super::*;

    const CHEAP: HashCost = HashCost {
        memory: 8,
        iterations: 1,
        parallelism: 1,
    };
    const POLICY: PasswordPolicy = PasswordPolicy { minimum_length: 12 };

    fn check(password: &str) -> Result<NewPassword, WeakPassword> {
        NewPassword::check(
            password.into(),
            &Username::from_str("a-long-username").unwrap(),
            POLICY,
        )
    }

    #[test]
    fn weak_passwords_are_refused() {
        assert_eq!(
            check("elevenchars").unwrap_err(),
            WeakPassword::TooShort(12)
        );
        assert_eq!(
            check(&"x".repeat(MAX_LENGTH + 1)).unwrap_err(),
            WeakPassword::TooLong
        );
        assert_eq!(
            check("twelve\nand more").unwrap_err(),
            WeakPassword::ControlCharacter
        );
        assert_eq!(
            check("A-Long-Username").unwrap_err(),
            WeakPassword::Username
        );
        assert!(check("twelve chars").is_ok());
        // Twelve characters, not bytes.
        assert!(check("äöüäöüäöüäöü").is_ok());
        assert_eq!(check("äöüäöü").unwrap_err(), WeakPassword::TooShort(12));
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_alone() {
        let clock = Clock::system();
        let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
        let password = "correct: horse battery";
        let hash = passwords
            .hash(check(password).unwrap(), &clock)
            .await
            .unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{}",
            hash.0
        );
        assert!(!format!("{hash:?}").contains("argon2id"));
        assert!(
            passwords
                .verify(Some(&hash), password.into())
                .await
                .unwrap()
        );
        for wrong in ["", "correct", "correct: horse batterz"] {
            assert!(!passwords.verify(Some(&hash), wrong.into()).await.unwrap());
        }
        let huge = "x".repeat(MAX_LENGTH + 1);
        assert!(!passwords.verify(Some(&hash), huge.into()).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_knows_the_password_of_nobody() {
        let passwords = Passwords::new(CHEAP, 1, 1, &Clock::system()).unwrap();
        assert!(!passwords.verify(None, "".into()).await.unwrap());
        assert!(!passwords.verify(None, "guess".into()).await.unwrap());
        // The decoy costs what a real hash does: the same parameters stand in it.
        assert!(
            passwords
                .0
                .decoy
                .0
                .starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{}",
            passwords.0.decoy.0
        );
    }

    #[tokio::test]
    async fn a_stored_text_that_is_no_hash_is_an_error_and_not_a_match() {
        let passwords = Passwords::new(CHEAP, 1, 1, &Clock::system()).unwrap();
        for stored in ["", "guess", "$argon2id$"] {
            let stored = PasswordHash(stored.to_owned());
            let result = passwords.verify(Some(&stored), "guess".into()).await;
            assert!(matches!(result, Err(PasswordError::Hash(_))), "{result:?}");
        }
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_turned_away() {
        let passwords = Passwords::new(CHEAP, 1, 1, &Clock::system()).unwrap();
        // One runs (as far as anybody can tell), one may wait.
        let running = passwords.0.running.clone().acquire_owned().await.unwrap();
        let admitted = passwords.0.admitted.clone().acquire_owned().await.unwrap();
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.verify(None, "guess".into()).await }
        });
        while passwords.0.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }

        let refused = passwords.verify(None, "guess".into()).await;
        assert!(
            matches!(refused, Err(PasswordError::Busy { .. })),
            "{refused:?}"
        );

        drop((running, admitted));
        assert!(!waiting.await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_leaves_its_place() {
        let passwords = Passwords::new(CHEAP, 1, 1, &Clock::system()).unwrap();
        let running = passwords.0.running.clone().acquire_owned().await.unwrap();
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.verify(None, "guess".into()).await }
        });
        while passwords.0.admitted.available_permits() > 1 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        let _ = waiting.await;
        assert_eq!(passwords.0.admitted.available_permits(), 2);
        drop(running);
    }

    #[test]
    fn impossible_costs_are_refused() {
        let cost = HashCost { memory: 1, ..CHEAP };
        assert!(cost.check().is_err());
        assert!(CHEAP.check().is_ok());
    }
}
