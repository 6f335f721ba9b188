//! Refresh tokens: what `docker login` keeps in place of the password ("identity token").
//!
//! A refresh token is not replaced when it is used: docker and podman store it once, at login,
//! and would go on sending the old one.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use database::Database;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::accounts::User;
use crate::accounts::login::{LAST_USE_PRECISION, Login};
use crate::clock::Clock;
use crate::store;
use crate::store::refresh_tokens::{NewRefreshToken, StoredRefreshToken};

/// Lets secret scanners and people recognise a token of ours.
const PREFIX: &str = "ptcr_";

/// How much of a client's name for itself is kept, in characters.
const CLIENT_ID_LENGTH: usize = 128;

/// 256 random bits behind a prefix. Shown once, to the client; only its SHA-256 is stored, which
/// needs no slow hash because nobody can guess the token.
#[derive(Clone)]
pub struct RefreshToken(SecretString);

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RefreshToken")
    }
}

impl RefreshToken {
    fn generate(clock: &Clock) -> Self {
        let random = BASE64_URL_SAFE_NO_PAD.encode(clock.random::<32>());
        Self(format!("{PREFIX}{random}").into())
    }

    /// What a client presents as one.
    #[must_use]
    pub fn presented(text: SecretString) -> Self {
        Self(text)
    }

    /// For the answer to the client.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }
}

/// Why a refresh token is not accepted. Who presents one that existed knows it, and so may learn
/// what became of it.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("the refresh token is unknown: log in again")]
    Unknown,
    #[error("the refresh token has expired: log in again")]
    Expired,
    #[error("the refresh token has been revoked: log in again")]
    Revoked,
    #[error("this account is disabled")]
    Disabled,
    #[error("the refresh token was made for another service: log in again")]
    OtherService,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Makes a refresh token for who has just logged in; `None` if the password was changed or the
/// account disabled since it was verified, which takes time.
pub(super) async fn create(
    database: &Database,
    clock: &Clock,
    login: &Login,
    client_id: &str,
    service: &str,
    lifetime: Duration,
) -> Result<Option<RefreshToken>, database::Error> {
    let token = RefreshToken::generate(clock);
    let client_id: String = client_id.chars().take(CLIENT_ID_LENGTH).collect();
    let now = clock.now();
    let mut tx = database.begin().await?;
    if !store::users::lock_if_unchanged(&mut tx, login.user.id, &login.password_hash).await? {
        return Ok(None);
    }
    let row = NewRefreshToken {
        id: clock.uuid(),
        user_id: login.user.id,
        token_sha256: token.sha256(),
        client_id: &client_id,
        service,
        created_at: now,
        expires_at: now + lifetime,
    };
    store::refresh_tokens::insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(Some(token))
}

/// The user for whom a refresh token stands.
pub(super) async fn redeem(
    database: &Database,
    clock: &Clock,
    token: &RefreshToken,
    service: &str,
) -> Result<User, RefreshError> {
    let mut tx = database.read().await?;
    // Looked up by its hash, so that the time this takes tells nothing about the token.
    let found = store::refresh_tokens::by_hash(&mut tx, &token.sha256()).await?;
    drop(tx);
    let stored = found.ok_or(RefreshError::Unknown)?;
    if stored.revoked_at.is_some() {
        return Err(RefreshError::Revoked);
    }
    if stored.expires_at <= clock.now() {
        return Err(RefreshError::Expired);
    }
    if stored.user.is_disabled() {
        return Err(RefreshError::Disabled);
    }
    if stored.service != service {
        return Err(RefreshError::OtherService);
    }
    remember(database, clock, &stored).await;
    Ok(stored.user)
}

/// A database that cannot be written to must not keep people out.
async fn remember(database: &Database, clock: &Clock, stored: &StoredRefreshToken) {
    let now = clock.now();
    if stored
        .last_used_at
        .is_some_and(|last| now - last < LAST_USE_PRECISION)
    {
        return;
    }
    let written = async {
        let mut tx = database.begin().await?;
        store::refresh_tokens::set_last_used(&mut tx, stored.token_id, now).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        tracing::warn!(
            user = %stored.user.username,
            error = &error as &dyn std::error::Error,
            "the last use of a refresh token could not be kept"
        );
    }
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
