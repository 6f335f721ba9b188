//! [`Passwords`]: who is in the file of passwords, checked at every request.
//!
//! Clients repeat their password with every request, and bcrypt takes a hundred milliseconds, so a
//! password that was right is remembered for a while: as a hash of name, password and what the file
//! says, with a random key that lives as long as the process. A line that changes is another hash,
//! so nobody who was thrown out is remembered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use service::basic::BasicCredentials;
use service::shutdown::{Reload, Shutdown};
use service::watch::{WatchedFile, watch};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::htpasswd::{Hash, Htpasswd, HtpasswdError};
use crate::clock::Clock;

/// How long a right password is remembered.
const REMEMBERED: Duration = Duration::from_mins(10);

/// How many are.
const REMEMBERED_USERS: u64 = 10_000;

/// How many wait for a check before others are turned away.
const QUEUE: usize = 64;

/// A longer password is nobody's; hashing must not be fed with megabytes.
const MAX_PASSWORD: usize = 1_024;

/// How often the file is looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// A user whose password was right. Nothing but [`Passwords`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownUser(Arc<str>);

impl KnownUser {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Why a password was not found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    #[error("unknown user or wrong password")]
    Wrong,
    #[error("too many passwords are being checked: try again soon")]
    Busy,
}

/// The users of a file that may change at any time. Clones share them.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    path: PathBuf,
    loaded: ArcSwap<Loaded>,
    remembered: Cache<[u8; 32], KnownUser>,
    key: [u8; 32],
    /// Those that are checked, each of which has a processor to itself.
    running: Arc<Semaphore>,
    /// Those and the waiting ones.
    admitted: Arc<Semaphore>,
}

struct Loaded {
    /// As it was read, to see that it changed.
    content: Vec<u8>,
    file: Htpasswd,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The file of passwords, and why it is of no use.
#[derive(Debug, thiserror::Error)]
#[error("auth.htpasswd.path: {} {problem}", path.display())]
pub struct PasswordsError {
    path: PathBuf,
    problem: HtpasswdError,
}

impl Passwords {
    /// Reads the file. One that is not there is made, as distribution does it, with one user, whose
    /// password is told: now or never.
    pub async fn open(
        path: &Path,
        clock: &Clock,
    ) -> Result<(Self, Option<SecretString>), PasswordsError> {
        let path = path.to_owned();
        let clock = clock.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let failed = |problem| PasswordsError {
                path: path.clone(),
                problem,
            };
            let password = if path.exists() {
                None
            } else {
                Some(Htpasswd::provision(&path, &clock).map_err(failed)?)
            };
            let loaded = Loaded::read(&path).map_err(failed)?;
            Ok((Self::new(path, loaded, &clock), password))
        });
        match opening.await {
            Ok(result) => result,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn new(path: PathBuf, loaded: Loaded, clock: &Clock) -> Self {
        let running = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
        let mut key = [0; 32];
        key[..16].copy_from_slice(clock.unguessable_id().as_bytes());
        key[16..].copy_from_slice(clock.unguessable_id().as_bytes());
        Self(Arc::new(Inner {
            path,
            loaded: ArcSwap::from_pointee(loaded),
            remembered: Cache::builder()
                .max_capacity(REMEMBERED_USERS)
                .time_to_live(REMEMBERED)
                .build(),
            key,
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running + QUEUE)),
        }))
    }

    /// Who these credentials are of. An unknown user takes as long as a wrong password.
    pub async fn check(&self, credentials: &BasicCredentials) -> Result<KnownUser, NotKnown> {
        let BasicCredentials { username, password } = credentials;
        if password.expose_secret().len() > MAX_PASSWORD {
            return Err(NotKnown::Wrong);
        }
        let loaded = self.0.loaded.load_full();
        let Some(hash) = loaded.file.hash_of(username).cloned() else {
            self.compare(loaded.file.decoy(), password).await?;
            return Err(NotKnown::Wrong);
        };
        let key = self.remembered_as(username, password, &hash);
        let check = async {
            if self.compare(hash, password).await? {
                Ok(KnownUser(Arc::from(username.as_str())))
            } else {
                Err(NotKnown::Wrong)
            }
        };
        // A client that opens six connections at once costs one comparison.
        let known = self.0.remembered.try_get_with(key, check).await;
        known.map_err(|reason| *reason)
    }

    async fn compare(&self, hash: Hash, password: &SecretString) -> Result<bool, NotKnown> {
        let admitted = Arc::clone(&self.0.admitted);
        let admitted = admitted.try_acquire_owned().map_err(|_| NotKnown::Busy)?;
        let running = Arc::clone(&self.0.running);
        let running = running.acquire_owned().await.map_err(|_| NotKnown::Busy)?;
        let password = password.clone();
        let compared = tokio::task::spawn_blocking(move || {
            // Held by the work, not by the request: who hangs up frees no processor.
            let _places = (admitted, running);
            hash.is_of(&password)
        });
        compared.await.map_err(|_| NotKnown::Busy)
    }

    fn remembered_as(&self, user: &str, password: &SecretString, hash: &Hash) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(self.0.key);
        for part in [
            user.as_bytes(),
            hash.as_bytes(),
            password.expose_secret().as_bytes(),
        ] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        sha.finalize().into()
    }

    /// Follows the file until the shutdown.
    pub async fn run(self, shutdown: Shutdown, reload: Reload) {
        let file = WatchedFile {
            name: "file of passwords",
            path: self.0.path.clone(),
            interval: POLL_INTERVAL,
        };
        watch(file, move || self.reload(), shutdown, reload).await;
    }

    /// Looks at the file once. Says whether it holds something else now. Blocks.
    fn reload(&self) -> Result<bool, HtpasswdError> {
        let content = Htpasswd::content(&self.0.path)?;
        if content == self.0.loaded.load().content {
            return Ok(false);
        }
        let loaded = Loaded::parse(&self.0.path, content)?;
        self.0.loaded.store(Arc::new(loaded));
        Ok(true)
    }
}

impl Loaded {
    fn read(path: &Path) -> Result<Self, HtpasswdError> {
        Self::parse(path, Htpasswd::content(path)?)
    }

    fn parse(path: &Path, content: Vec<u8>) -> Result<Self, HtpasswdError> {
        let file = Htpasswd::parse(&content)?;
        report(path, &file);
        Ok(Self { content, file })
    }
}

/// Tells the operator what a file is worth.
fn report(path: &Path, file: &Htpasswd) {
    let path = path.display();
    for note in file.notes() {
        let (line, user) = (note.line, &note.user);
        tracing::warn!(%path, line, user, "{}", note.problem);
    }
    if file.count() == 0 {
        tracing::warn!(%path, "nobody can come in: no line of the file counts");
    }
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
