//! Refresh tokens: what `docker login` keeps in place of the password ("identity token").
//!
//! A refresh token is not replaced when it is used: docker and podman store it once, at login,
//! and would go on sending the old one.

use std::time::Duration;

use crate::accounts::last_use::{self, Used};
use crate::accounts::login::{Logins, PasswordLogin};
use crate::accounts::secret::{TokenPrefix, TokenSecret};
use crate::accounts::{User, session};
use crate::audit::{self, Action, Actor, Event};
use crate::context::Context;
use crate::store;
use crate::store::refresh_tokens::{NewRefreshToken, StoredRefreshToken};

/// How much of a client's name for itself is kept, in characters.
const CLIENT_ID_LENGTH: usize = 128;

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

/// What a refresh token is to be like.
pub(super) struct NewRefresh<'a> {
    pub client_id: &'a str,
    pub service: &'a str,
    pub lifetime: Duration,
}

/// Makes a refresh token for who has just logged in; `None` if the password was changed or the
/// account disabled since it was verified, which takes time.
pub(super) async fn create(
    context: &Context,
    login: &PasswordLogin,
    wanted: &NewRefresh<'_>,
) -> Result<Option<TokenSecret>, database::Error> {
    let token = TokenSecret::generate(TokenPrefix::Refresh, &context.clock);
    let client_id: String = wanted
        .client_id
        .chars()
        .filter(|c| !c.is_control())
        .take(CLIENT_ID_LENGTH)
        .collect();
    let address = context.origin.address.map(|address| address.to_string());
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    if !store::users::lock_if_unchanged(&mut tx, login.user.id, &login.password_hash).await? {
        return Ok(None);
    }
    let row = NewRefreshToken {
        id: context.clock.uuid(),
        user_id: login.user.id,
        token_sha256: token.sha256(),
        client_id: &client_id,
        service: wanted.service,
        created_at: now,
        expires_at: now + wanted.lifetime,
        address: address.as_deref(),
    };
    store::refresh_tokens::insert(&mut tx, &row).await?;
    let opened = session::Opened::client(&row);
    session::record_opened(context, &mut tx, &login.user, &opened).await?;
    tx.commit().await?;
    Ok(Some(token))
}

/// The user for whom a refresh token stands.
pub(super) async fn redeem(
    context: &Context,
    logins: &Logins,
    token: &TokenSecret,
    service: &str,
) -> Result<User, RefreshError> {
    let mut tx = context.database.read().await?;
    let found = store::refresh_tokens::by_hash(&mut tx, &token.sha256()).await?;
    drop(tx);
    let checked = match &found {
        None => Err(RefreshError::Unknown),
        Some(stored) => check(stored, context, service),
    };
    if let Err(error) = checked {
        let user = found.as_ref().map(|stored| &stored.user);
        let subject =
            user.map(|user| audit::Subject::new("user", Some(user.id.0), user.username.as_str()));
        let event = Event::failure(Action::TokenRefuse, subject, error.to_string());
        logins.refusals().record(context, event).await;
        return Err(error);
    }
    let stored = found.ok_or(RefreshError::Unknown)?;
    if last_use::is_due(context.clock.now(), stored.last_used_at) {
        note(context, logins, &stored);
    }
    Ok(stored.user)
}

fn check(
    stored: &StoredRefreshToken,
    context: &Context,
    service: &str,
) -> Result<(), RefreshError> {
    if stored.revoked_at.is_some() {
        return Err(RefreshError::Revoked);
    }
    if stored.expires_at <= context.clock.now() {
        return Err(RefreshError::Expired);
    }
    if stored.user.is_disabled() {
        return Err(RefreshError::Disabled);
    }
    if stored.service != service {
        return Err(RefreshError::OtherService);
    }
    Ok(())
}

/// Notes the use, and records it if it comes from another address than the one before.
fn note(context: &Context, logins: &Logins, stored: &StoredRefreshToken) {
    let mut context = context.clone();
    context.origin.actor = Actor::user(&stored.user);
    let address = context.origin.address.map(|address| address.to_string());
    let event = (stored.address != address).then(|| {
        let name = stored.user.username.as_str();
        let subject = audit::Subject::new("session", Some(stored.token_id), name);
        Event::success(Action::Login, subject)
    });
    let used = Used::RefreshToken(stored.token_id);
    logins.last_uses().note(context, used, event);
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
