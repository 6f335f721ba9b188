//! [`TokenSecret`]: the text of a token, which is shown once and never stored.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;

/// What a token is for. Its prefix lets secret scanners and people recognise a token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPrefix {
    /// Personal, deploy and job tokens: in place of a password.
    Access,
    /// What `docker login` keeps in place of the password.
    Refresh,
    /// The cookie of a browser.
    Session,
}

impl TokenPrefix {
    pub const ALL: [Self; 3] = [Self::Access, Self::Refresh, Self::Session];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "ptc_",
            Self::Refresh => "ptcr_",
            Self::Session => "ptcs_",
        }
    }

    /// Whether a text says to be such a token.
    #[must_use]
    pub fn begins(self, text: &str) -> bool {
        text.starts_with(self.as_str())
    }
}

/// 256 random bits behind a prefix. Only its SHA-256 is stored, which needs no slow hash because
/// nobody can guess the token. `Debug` hides it.
#[derive(Clone)]
pub struct TokenSecret(SecretString);

impl fmt::Debug for TokenSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenSecret")
    }
}

impl TokenSecret {
    #[must_use]
    pub fn generate(prefix: TokenPrefix, clock: &Clock) -> Self {
        let random = BASE64_URL_SAFE_NO_PAD.encode(clock.random::<32>());
        Self(format!("{}{random}", prefix.as_str()).into())
    }

    /// What a client presents as one.
    #[must_use]
    pub fn presented(text: SecretString) -> Self {
        Self(text)
    }

    /// For showing it, once.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// What is stored, and looked up: so the time that takes tells nothing about the token.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.0.expose_secret())
    }
}

/// The same for a text that is not owned.
pub(crate) fn sha256(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_prefix_and_256_bits_and_does_not_show() {
        for prefix in TokenPrefix::ALL {
            let token = TokenSecret::generate(prefix, &Clock::system());
            let text = token.secret().expose_secret();
            assert_eq!(text.len(), prefix.as_str().len() + 43);
            assert!(prefix.begins(text));
            // No prefix is the beginning of another.
            let kinds = TokenPrefix::ALL
                .into_iter()
                .filter(|kind| kind.begins(text));
            assert_eq!(kinds.count(), 1, "{text}");
            assert!(!format!("{token:?}").contains(text));
            let other = TokenSecret::generate(prefix, &Clock::system());
            assert_ne!(token.sha256(), other.sha256());
            assert_eq!(TokenSecret::presented(text.into()).sha256(), token.sha256());
        }
    }
}
