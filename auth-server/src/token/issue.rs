//! [`Issuer`]: turns credentials and scopes into a signed token.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/> and its OAuth twin
//! <https://distribution.github.io/distribution/spec/auth/oauth/>.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use database::Database;
use registry_token::{Access, Claims, Resource, Scope, ShownText, SignError};
use secrecy::SecretString;

use super::key_ring::KeyRing;
use super::refresh::{self, RefreshError};
use crate::access::{self, Authorization, Refused, Subject};
use crate::accounts::TokenSecret;
use crate::accounts::login::{Login, LoginError, Logins};
use crate::audit::{self, Action, Event, Origin};
use crate::clock::Clock;
use crate::context::Context;

/// A token is valid this long before it was made, for a registry whose clock is behind.
const NOT_BEFORE: TimeDelta = TimeDelta::seconds(5);

/// How somebody says who they are.
#[derive(Clone, Debug)]
pub enum Credentials {
    Anonymous,
    /// Or a token in place of the password.
    Password {
        username: String,
        password: SecretString,
    },
    RefreshToken(TokenSecret),
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The registry that the token is for.
    pub service: String,
    pub scopes: Vec<Scope>,
    pub credentials: Credentials,
    /// Whether a refresh token is wanted too.
    pub offline: bool,
    /// What the client calls itself. Grants nothing.
    pub client_id: String,
}

/// What a client gets.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The signed token.
    pub token: SecretString,
    /// Whom it names; nobody, if the client showed nothing.
    pub subject: Option<String>,
    /// What it allows: never more than was asked for.
    pub access: Access,
    pub issued_at: DateTime<Utc>,
    pub expires_in: Duration,
    /// If one was asked for, by who has logged in with a password. Not with a token: docker then
    /// keeps the token itself, which can be revoked and limited for what it is, and nothing is
    /// left that would outlive it.
    pub refresh_token: Option<TokenSecret>,
}

/// Why no token is issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("{asked} is no service of this token realm, which issues tokens for {known}")]
    UnknownService { asked: ShownText, known: String },
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error("there is no key to sign tokens with")]
    NoKey,
    #[error("the token cannot be signed: {0}")]
    Sign(#[from] SignError),
}

/// What tokens are like.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The claim `iss`.
    pub issuer: String,
    /// The registries that tokens are issued for.
    pub services: Vec<String>,
    pub lifetime: Duration,
    pub refresh_lifetime: Duration,
}

/// Issues tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) logins: Logins,
    pub(crate) keys: KeyRing,
    pub(crate) settings: TokenSettings,
}

/// Who was recognised, and by what.
struct Recognised {
    subject: Subject,
    /// The claim `auth_type`.
    by: Option<&'static str>,
    refresh_token: Option<TokenSecret>,
}

impl Issuer {
    /// Recognises who asks, decides what they may do, and signs it. Fewer rights than were asked
    /// for are no error, none at all neither: the registry says no in its own words.
    pub async fn issue(
        &self,
        origin: Origin,
        request: TokenRequest,
    ) -> Result<IssuedToken, IssueError> {
        let context = Context {
            database: self.database.clone(),
            clock: self.clock.clone(),
            origin,
        };
        if !self.settings.services.contains(&request.service) {
            let error = IssueError::UnknownService {
                asked: ShownText::new(&request.service),
                known: self.settings.services.join(", "),
            };
            let event = Event::failure(Action::TokenRefuse, None, error.to_string());
            self.logins.refusals().record(&context, event).await;
            return Err(error);
        }
        let recognised = self.recognise(&context, &request).await?;
        let now = self.clock.now();
        let subject = recognised.subject;
        let Authorization {
            access,
            denials,
            refused,
        } = access::authorize(&context, &subject, &request.scopes).await?;
        self.record_refused(&context, &subject, &refused).await;
        let key = self.keys.current().ok_or(IssueError::NoKey)?;
        let issued_at = now.trunc_subsecs(0);
        let claims = Claims {
            issuer: self.settings.issuer.clone(),
            subject: subject.name().map(str::to_owned),
            audience: request.service.into(),
            expires_at: issued_at + self.settings.lifetime,
            not_before: Some(issued_at - NOT_BEFORE),
            issued_at: Some(issued_at),
            id: Some(self.clock.uuid().to_string()),
            access,
            auth_type: recognised.by.map(str::to_owned),
            denials,
        };
        Ok(IssuedToken {
            token: key.sign(&claims)?.into(),
            subject: claims.subject,
            access: claims.access,
            issued_at,
            expires_in: self.settings.lifetime,
            refresh_token: recognised.refresh_token,
        })
    }

    /// Asking for what one may not have at all is worth an event; one a request, whatever the number
    /// of scopes.
    async fn record_refused(&self, context: &Context, subject: &Subject, refused: &[Refused]) {
        let Some(first) = refused.first() else {
            return;
        };
        let more = match refused.len() - 1 {
            0 => String::new(),
            1 => " (and one more scope)".to_owned(),
            more => format!(" (and {more} more scopes)"),
        };
        let reason = format!("{}: {}{more}", first.scope, first.reason);
        let repository = match &first.scope.resource {
            Resource::Repository(name) => {
                Some(audit::Subject::new("repository", None, name.as_str()))
            }
            Resource::RegistryCatalog | Resource::Other { .. } => None,
        };
        let mut context = context.clone();
        context.origin.actor = subject.actor();
        let event = Event::failure(Action::TokenRefuse, repository, reason);
        self.logins.refusals().record(&context, event).await;
    }

    async fn recognise(
        &self,
        context: &Context,
        request: &TokenRequest,
    ) -> Result<Recognised, IssueError> {
        let recognised = |subject, by, refresh_token| Recognised {
            subject,
            by: Some(by),
            refresh_token,
        };
        match &request.credentials {
            Credentials::Anonymous => Ok(Recognised {
                subject: Subject::Anonymous,
                by: None,
                refresh_token: None,
            }),
            Credentials::Password { username, password } => {
                let login = self
                    .logins
                    .with_credentials(context, username, password.clone())
                    .await?;
                let login = match login {
                    Login::Password(login) => login,
                    Login::Token(login) => {
                        return Ok(recognised(login.subject, login.kind.auth_type(), None));
                    }
                };
                let refresh_token = if request.offline {
                    let wanted = refresh::NewRefresh {
                        client_id: &request.client_id,
                        service: &request.service,
                        lifetime: self.settings.refresh_lifetime,
                    };
                    match refresh::create(context, &login, &wanted).await {
                        // Not created: the password is no longer the right one.
                        Ok(created) => Some(created.ok_or(LoginError::WrongCredentials)?),
                        // Docker keeps the password instead, and is told nothing else.
                        Err(error) if error.cannot_store() => {
                            let error: &dyn std::error::Error = &error;
                            tracing::warn!(
                                user = %login.user.username,
                                error,
                                "a login got no identity token, since none can be stored"
                            );
                            None
                        }
                        Err(error) => return Err(error.into()),
                    }
                } else {
                    None
                };
                Ok(recognised(
                    Subject::User(login.user),
                    "password",
                    refresh_token,
                ))
            }
            Credentials::RefreshToken(token) => {
                let user = refresh::redeem(context, &self.logins, token, &request.service).await?;
                let again = request.offline.then(|| token.clone());
                Ok(recognised(Subject::User(user), "refresh_token", again))
            }
        }
    }
}
