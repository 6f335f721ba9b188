//! Logging in: with a username and a password, or with a token in place of the password.
//!
//! - A password is looked at by argon2, if the [throttle](super::throttle) lets the attempt
//!   through.
//! - A token (`ptc_…`) is looked up by its hash, with one statement that fetches its user too.
//!   Nobody can guess one, so that nothing about it is throttled. A personal token goes with any
//!   username; deploy and job tokens have one of their own.
//!
//! What fails is recorded as far as there is room ([`Refusals`]). What succeeds is recorded once a
//! minute for a user's password, and for a token when it is used first, or from another address.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use service::metrics::Metrics;
use uuid::Uuid;

use super::bearer::{DEPLOY, DEPLOY_USERNAME, JOB, JOB_USERNAME, parse_actions, parse_pattern};
use super::last_use::{self, LastUses, Used};
use super::password::{PasswordHash, Verdict};
use super::refusals::Refusals;
use super::right_password::RightPassword;
use super::secret::{self, TokenPrefix};
use super::throttle::{Attempt, Refused, ThrottlePolicy};
use super::unwritten::Unwritten;
use super::{PasswordError, Passwords, User, Username};
use crate::access::{PathToken, Subject};
use crate::audit::{self, Action, Actor, ActorKind, Event};
use crate::clock::Clock;
use crate::context::Context;
use crate::store;
use crate::store::tokens::Shown;

/// Who has just shown the right password.
#[derive(Clone, Debug)]
pub struct PasswordLogin {
    pub user: User,
    /// What was verified, so that what follows from the login can insist that it still holds.
    pub password_hash: PasswordHash,
}

/// Who has just shown a token.
#[derive(Clone, Debug)]
pub struct TokenLogin {
    pub token: Uuid,
    pub kind: TokenKind,
    /// On whose behalf, and within what bounds.
    pub subject: Subject,
}

/// The kinds of tokens that are shown in place of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Personal,
    Deploy,
    Job,
}

impl TokenKind {
    /// The claim `auth_type`.
    #[must_use]
    pub fn auth_type(self) -> &'static str {
        match self {
            Self::Personal => "personal_token",
            Self::Deploy => "deploy_token",
            Self::Job => "job_token",
        }
    }
}

/// Who has just shown either.
#[derive(Clone, Debug)]
pub enum Login {
    Password(PasswordLogin),
    Token(TokenLogin),
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Does not tell which of the two.
    #[error("wrong username or password")]
    WrongCredentials,
    /// Told only to who knows the password or the token.
    #[error("this account is disabled")]
    Disabled,
    /// Told only to who has the token.
    #[error("this token has expired: make another")]
    TokenExpired,
    /// Told only to who has the token.
    #[error("this token has been revoked: make another")]
    TokenRevoked,
    #[error(
        "too many wrong passwords; the next one is looked at in {}",
        seconds(*retry_after)
    )]
    Throttled { retry_after: std::time::Duration },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Never less than what is left of it, in whole seconds.
fn seconds(duration: std::time::Duration) -> String {
    match duration.as_secs() + u64::from(duration.subsec_nanos() > 0) {
        1 => "1 second".to_owned(),
        more => format!("{more} seconds"),
    }
}

/// What logging in takes. One per process, cheap to clone.
#[derive(Clone, Debug)]
pub struct Logins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    passwords: Passwords,
    throttle: ThrottlePolicy,
    unwritten: Unwritten,
    refusals: Refusals,
    last_uses: LastUses,
}

impl Logins {
    #[must_use]
    pub fn new(passwords: Passwords, throttle: ThrottlePolicy, clock: &Clock) -> Self {
        Self(Arc::new(Inner {
            passwords,
            throttle,
            unwritten: Unwritten::default(),
            refusals: Refusals::new(clock),
            last_uses: LastUses::default(),
        }))
    }

    /// Adds what it counts to `/metrics`.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(
            "auth_refusals_not_recorded",
            "Failed logins and refused tokens that the audit log has no room for.",
            self.0.refusals.metric(),
        );
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    pub(crate) fn throttle_policy(&self) -> ThrottlePolicy {
        self.0.throttle
    }

    pub(crate) fn last_uses(&self) -> &LastUses {
        &self.0.last_uses
    }

    /// Verifies whatever comes as a username and a password.
    pub async fn with_credentials(
        &self,
        context: &Context,
        username: &str,
        password: SecretString,
    ) -> Result<Login, LoginError> {
        if TokenPrefix::Access.begins(password.expose_secret()) {
            let login = self.with_token(context, username, &password).await?;
            Ok(Login::Token(login))
        } else {
            let login = self.with_password(context, username, password).await?;
            Ok(Login::Password(login))
        }
    }

    /// Verifies a password. A user that does not exist, is disabled or has no password takes as
    /// long as any other, and is throttled like any other.
    pub async fn with_password(
        &self,
        context: &Context,
        username: &str,
        password: SecretString,
    ) -> Result<PasswordLogin, LoginError> {
        let mut attempt = Attempt::new(username, context.origin.address, &self.0.unwritten);
        let mut tx = context.database.read().await?;
        let found = match username.parse::<Username>() {
            Ok(username) => {
                store::logins::user(&mut tx, &username, attempt.network.as_deref()).await?
            }
            Err(_) => None,
        };
        let (user, stored, seen_at) = found.map_or((None, None, None), |row| {
            (Some(row.user), row.password_hash, row.seen_at)
        });
        // The connection goes back before the slow part begins.
        let admitted = attempt.admit(context, &self.0.throttle, tx, seen_at);
        match admitted.await {
            Ok(()) => {}
            Err(Refused::Database(error)) => return Err(error.into()),
            Err(Refused::Blocked { retry_after }) => {
                let error = LoginError::Throttled { retry_after };
                self.refuse(context, username, user.as_ref(), &error).await;
                return Err(error);
            }
        }
        let clock = &context.clock;
        let verified = self.0.passwords.verify(stored.as_ref(), password, clock);
        let verdict = match verified.await {
            Ok(verdict) => verdict,
            Err(error) => {
                give_back(context, &attempt).await;
                return Err(error.into());
            }
        };
        let (Some(user), Some(stored), Verdict::Right | Verdict::Outdated(_)) =
            (user.as_ref(), stored, &verdict)
        else {
            self.count_failure(context, username, user.as_ref(), &attempt)
                .await?;
            return Err(LoginError::WrongCredentials);
        };
        if user.is_disabled() {
            give_back(context, &attempt).await;
            let error = LoginError::Disabled;
            self.refuse(context, username, Some(user), &error).await;
            return Err(error);
        }
        let right = RightPassword {
            user,
            stored,
            verdict,
            attempt,
            seen_at,
        };
        let password_hash = right.remember(context).await;
        Ok(PasswordLogin {
            user: user.clone(),
            password_hash,
        })
    }

    /// Looks up a token that came in place of a password.
    pub async fn with_token(
        &self,
        context: &Context,
        username: &str,
        token: &SecretString,
    ) -> Result<TokenLogin, LoginError> {
        let found = if [DEPLOY_USERNAME, JOB_USERNAME]
            .iter()
            .any(|prefix| username.starts_with(prefix))
        {
            self.path_token(context, username, token).await
        } else {
            self.personal_token(context, token).await
        };
        if let Err(error) = &found {
            self.refuse(context, username, None, error).await;
        }
        found
    }

    /// Looks up a personal token that came without a username, as the admin API takes it.
    pub async fn with_bearer(
        &self,
        context: &Context,
        token: &SecretString,
    ) -> Result<TokenLogin, LoginError> {
        self.with_token(context, "", token).await
    }

    async fn personal_token(
        &self,
        context: &Context,
        token: &SecretString,
    ) -> Result<TokenLogin, LoginError> {
        let hash = secret::sha256(token.expose_secret());
        let mut tx = context.database.read().await?;
        let found = store::tokens::personal_by_hash(&mut tx, &hash).await?;
        drop(tx);
        let found = found.ok_or(LoginError::WrongCredentials)?;
        check(&found.token, context.clock.now())?;
        if found.user.is_disabled() {
            return Err(LoginError::Disabled);
        }
        let scopes = found.scopes.parse().map_err(store::undecodable)?;
        self.note(context, &found.token, || Actor::user(&found.user));
        Ok(TokenLogin {
            token: found.token.token_id,
            kind: TokenKind::Personal,
            subject: Subject::PersonalToken {
                user: found.user,
                scopes,
            },
        })
    }

    async fn path_token(
        &self,
        context: &Context,
        username: &str,
        token: &SecretString,
    ) -> Result<TokenLogin, LoginError> {
        let hash = secret::sha256(token.expose_secret());
        let mut tx = context.database.read().await?;
        let found = store::tokens::path_token_by_hash(&mut tx, &hash).await?;
        drop(tx);
        let found = found
            .filter(|found| found.token_username == username)
            .ok_or(LoginError::WrongCredentials)?;
        check(&found.token, context.clock.now())?;
        let (kind, actor) = match found.kind.as_str() {
            DEPLOY => (TokenKind::Deploy, ActorKind::DeployToken),
            JOB => (TokenKind::Job, ActorKind::JobToken),
            _ => return Err(LoginError::WrongCredentials),
        };
        // A deploy token belongs to its project. A job runs for who has minted its token.
        if kind == TokenKind::Job && found.maker_disabled_at.is_some() {
            return Err(LoginError::Disabled);
        }
        self.note(context, &found.token, || Actor {
            kind: actor,
            id: Some(found.token.token_id),
            name: username.to_owned(),
        });
        Ok(TokenLogin {
            token: found.token.token_id,
            kind,
            subject: Subject::Token(PathToken {
                id: found.token.token_id,
                username: found.token_username,
                path: found.path.parse().map_err(store::undecodable)?,
                of_group: found.of_group,
                actions: parse_actions(&found.actions)?,
                pattern: parse_pattern(found.pattern.as_deref())?,
            }),
        })
    }

    /// Notes the use of a token, and records it if it is the first or comes from elsewhere.
    fn note(&self, context: &Context, token: &Shown, actor: impl FnOnce() -> Actor) {
        if !last_use::is_due(context.clock.now(), token.last_used_at) {
            return;
        }
        let mut context = context.clone();
        context.origin.actor = actor();
        let address = context.origin.address.map(|address| address.to_string());
        let is_news = token.last_used_at.is_none() || token.last_used_address != address;
        let event = is_news.then(|| {
            let name = context.origin.actor.name.clone();
            let subject = audit::Subject::new("token", Some(token.token_id), name);
            Event::success(Action::Login, subject)
        });
        let used = Used::Token(token.token_id);
        self.0.last_uses.note(context, used, event);
    }

    async fn count_failure(
        &self,
        context: &Context,
        username: &str,
        user: Option<&User>,
        attempt: &Attempt,
    ) -> Result<(), database::Error> {
        let event = failure(user, &LoginError::WrongCredentials);
        let event = self.0.refusals.admit(context.origin.address, event);
        let written = async {
            let mut tx = context.database.begin_relaxed().await?;
            attempt.failed(context, &self.0.throttle, &mut tx).await?;
            if let Some(event) = event {
                claiming(context, username).record(&mut tx, &event).await?;
            }
            tx.commit().await
        };
        match written.await {
            // An error in the place of 401 would tell as much, and guessing would cost nothing.
            Err(error) if error.cannot_store() => {
                attempt.failed_unwritten(context, &self.0.throttle);
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a wrong password is counted in memory alone");
                Ok(())
            }
            written => written,
        }
    }

    async fn refuse(
        &self,
        context: &Context,
        username: &str,
        user: Option<&User>,
        error: &LoginError,
    ) {
        match error {
            LoginError::WrongCredentials
            | LoginError::Disabled
            | LoginError::TokenExpired
            | LoginError::TokenRevoked
            | LoginError::Throttled { .. } => {
                let context = claiming(context, username);
                self.0.refusals.record(&context, failure(user, error)).await;
            }
            // No refusal, but an answer that could not be found.
            LoginError::Password(_) | LoginError::Database(_) => {}
        }
    }
}

fn check(token: &Shown, now: DateTime<Utc>) -> Result<(), LoginError> {
    if token.revoked_at.is_some() {
        Err(LoginError::TokenRevoked)
    } else if token.expires_at.is_some_and(|expiry| expiry <= now) {
        Err(LoginError::TokenExpired)
    } else {
        Ok(())
    }
}

fn failure(user: Option<&User>, error: &LoginError) -> Event {
    let subject =
        user.map(|user| audit::Subject::new("user", Some(user.id.0), user.username.as_str()));
    Event::failure(Action::Login, subject, error.to_string())
}

/// The same request, in the name that it claims.
fn claiming(context: &Context, username: &str) -> Context {
    let mut context = context.clone();
    context.origin.actor = Actor::anonymous(username);
    context
}

/// Lets the next one try, where this attempt has claimed the turn and not used it.
async fn give_back(context: &Context, attempt: &Attempt) {
    if !attempt.has_claimed() {
        return;
    }
    attempt.release_unwritten();
    let written = async {
        let mut tx = context.database.begin_relaxed().await?;
        attempt.release(&mut tx).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(
            error,
            "a login that nobody looked at blocks others for a while"
        );
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
