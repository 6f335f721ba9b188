//! A file of users and their passwords, as `htpasswd -B` writes it and `registry:2` reads it.
//! <https://httpd.apache.org/docs/2.4/misc/password_encryptions.html>
//!
//! Only bcrypt counts, as in distribution: the other forms are broken within minutes. Their lines
//! let nobody in and are [`Note`]s for the log; what is no line of such a file at all is an error.

use std::collections::HashMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Clock;

/// Whom distribution puts into a file that was not there.
pub const FIRST_USER: &str = "docker";

/// Go's default, which distribution hashes with.
const FIRST_COST: u32 = 10;

/// A hash of a higher cost would keep a processor busy for seconds, whenever somebody tries a
/// password.
const MAX_COST: u32 = 15;

/// More is no file of passwords.
const MAX_BYTES: u64 = 16 << 20;

/// Compared with where there is nobody. Of no password: made of a salt alone.
const NOBODY: &str = "$2y$10$.....................................................";

/// The users of a file.
#[derive(Debug, Default)]
pub struct Htpasswd {
    users: HashMap<String, Hash>,
    notes: Vec<Note>,
}

/// A bcrypt hash. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(Arc<str>);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

/// A line that lets nobody in, or that replaces another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// From 1.
    pub line: usize,
    pub user: String,
    pub problem: Problem,
}

/// What is to be said of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(
        "the password is hashed with {0}, and only bcrypt counts: set it anew with \
         `htpasswd -B FILE NAME`"
    )]
    Form(&'static str),
    #[error("the bcrypt hash is damaged: set the password anew with `htpasswd -B FILE NAME`")]
    Damaged,
    #[error(
        "the bcrypt hash has the cost {0}, and checking it would take too long: set the password \
         anew with `htpasswd -B -C 10 FILE NAME`"
    )]
    Cost(u32),
    #[error("the name stands in an earlier line too; this one counts")]
    Twice,
}

/// Why a file is not taken. Never shows what a line holds: it may be a password.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("cannot be made: {0}")]
    Unwritable(#[source] io::Error),
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("line {0} is not name:hash, as `htpasswd -B` writes it")]
    Malformed(usize),
    #[error("line {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("no hash can be made: {0}")]
    Hash(#[source] bcrypt::BcryptError),
}

impl Htpasswd {
    /// The bytes of a file. Blocks.
    pub fn content(path: &Path) -> Result<Vec<u8>, HtpasswdError> {
        let metadata = std::fs::metadata(path).map_err(HtpasswdError::Unreadable)?;
        if metadata.len() > MAX_BYTES {
            return Err(HtpasswdError::TooLong);
        }
        std::fs::read(path).map_err(HtpasswdError::Unreadable)
    }

    /// Reads what a file holds. Of two lines for one name, the last counts, as in distribution.
    pub fn parse(content: &[u8]) -> Result<Self, HtpasswdError> {
        let mut file = Self::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let (number, line) = (index + 1, line.trim_ascii());
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let line = std::str::from_utf8(line).map_err(|_| HtpasswdError::NotUtf8(number))?;
            match line.split_once(':') {
                Some((user, rest)) if !user.is_empty() && !rest.is_empty() => {
                    // Apache ignores what follows a further colon.
                    let hash = rest.split(':').next().unwrap_or_default();
                    file.add(number, user, hash);
                }
                _ => return Err(HtpasswdError::Malformed(number)),
            }
        }
        Ok(file)
    }

    fn add(&mut self, line: usize, user: &str, hash: &str) {
        let mut note = |problem| {
            let user = user.to_owned();
            self.notes.push(Note {
                line,
                user,
                problem,
            });
        };
        // A line that does not count does not leave the one before in force: whoever wrote it
        // meant to change the password.
        let replaced = match check(hash) {
            Ok(()) => self.users.insert(user.to_owned(), Hash(Arc::from(hash))),
            Err(problem) => {
                note(problem);
                self.users.remove(user)
            }
        };
        if replaced.is_some() {
            note(Problem::Twice);
        }
    }

    /// What the operator should know of the file.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How many users can come in.
    pub fn count(&self) -> usize {
        self.users.len()
    }

    /// The hash of a user's password.
    pub fn hash_of(&self, user: &str) -> Option<&Hash> {
        self.users.get(user)
    }

    /// What a password is compared with if there is no such user, so that both take as long: the
    /// hash of somebody else, with the highest cost there is.
    pub fn decoy(&self) -> Hash {
        let cost = |hash: &&Hash| hash.0.get(4..6).map(str::to_owned);
        let dearest = self.users.values().max_by_key(cost);
        dearest.map_or_else(|| Hash(Arc::from(NOBODY)), Hash::clone)
    }

    /// Makes a file with one user, for its owner alone, and tells the user's password. Blocks.
    pub fn provision(path: &Path, clock: &Clock) -> Result<SecretString, HtpasswdError> {
        let unwritable = HtpasswdError::Unwritable;
        let password = random_password(clock);
        let salt = clock.unguessable_id().into_bytes();
        let hash = bcrypt::hash_with_salt(password.expose_secret(), FIRST_COST, salt)
            .map_err(HtpasswdError::Hash)?
            .format_for_version(bcrypt::Version::TwoY);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(unwritable)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(unwritable)?;
        file.write_all(format!("{FIRST_USER}:{hash}\n").as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(unwritable)?;
        Ok(password)
    }
}

impl Hash {
    /// Whether the password is this one. Blocks for as long as the hash's cost demands.
    ///
    /// No more than 72 bytes of a password count for bcrypt, whoever computes it.
    pub fn is_of(&self, password: &SecretString) -> bool {
        bcrypt::verify(password.expose_secret(), &self.0).unwrap_or(false)
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn check(hash: &str) -> Result<(), Problem> {
    let bcrypt = ["$2a$", "$2b$", "$2y$"];
    if bcrypt.iter().any(|prefix| hash.starts_with(prefix)) {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| Problem::Damaged)?;
        return match parts.get_cost() {
            4..=MAX_COST => Ok(()),
            0..=3 => Err(Problem::Damaged),
            cost => Err(Problem::Cost(cost)),
        };
    }
    Err(Problem::Form(match hash {
        _ if hash.starts_with("$2x$") => "a faulty version of bcrypt ($2x$)",
        _ if hash.starts_with("$apr1$") || hash.starts_with("$1$") => "MD5",
        _ if hash.starts_with("{SHA}") => "SHA-1",
        _ if hash.starts_with("$5$") || hash.starts_with("$6$") => "SHA-2 (crypt)",
        _ => "crypt, or not at all",
    }))
}

/// 244 random bits.
fn random_password(clock: &Clock) -> SecretString {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(clock.unguessable_id().as_bytes());
    bytes[16..].copy_from_slice(clock.unguessable_id().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes).into()
}

#[cfg(test)]
#[path = "htpasswd_tests.rs"]
mod tests;
