//! Who is asking: a [`Caller`], from the credentials of a request to the admin API.
//!
//! - A personal token, by `Authorization: Bearer`: with the scope `api`, or `read_api` for reading.
//! - The session of a browser, by its cookie. Changes show the session's CSRF token too.
//! - The operator's token, in a command that serves the API to itself.
//!
//! Names and passwords are taken by `POST /api/v1/session` alone, where the guesses of an attacker
//! are counted.

use std::rc::Rc;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, web};
use secrecy::SecretString;
use service::request::RequestContext;

use super::error::ApiError;
use crate::access::{Subject, TokenScope};
use crate::accounts::login::LoginError;
use crate::accounts::session::{self, Session};
use crate::accounts::{self, User};
use crate::audit::Actor;
use crate::context::Context;
use crate::state::State;

/// The cookie of a session. With this prefix browsers see to it that it is for this host alone,
/// and came over TLS. <https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis>
pub const COOKIE: &str = "__Host-portcullis";

/// What a page of ours sends with a change.
const CSRF_TOKEN: &str = "x-csrf-token";

const NOBODY: &str = "log in: send a personal token by `Authorization: Bearer`, or open a session";

/// Who is asking, proven.
#[derive(Clone, Debug)]
pub enum Caller {
    /// By a token.
    User(User),
    /// By the cookie of a browser.
    Browser(Rc<Session>),
    /// Who has the database at hand, by the name that the operating system knows.
    Operator(String),
}

impl Caller {
    pub fn is_administrator(&self) -> bool {
        self.rights().is_administrator()
    }

    /// `None`: an operator is no user.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Browser(session) => Some(&session.user),
            Self::Operator(_) => None,
        }
    }

    /// The session, of a browser.
    pub fn session(&self) -> Option<&Rc<Session>> {
        match self {
            Self::Browser(session) => Some(session),
            Self::User(_) | Self::Operator(_) => None,
        }
    }

    /// As the domain sees who asks.
    pub fn rights(&self) -> accounts::Caller<'_> {
        self.user()
            .map_or(accounts::Caller::Administrator, Into::into)
    }

    /// What a change in the name of this caller takes.
    pub fn context(&self, request: &HttpRequest, state: &State) -> Context {
        let mut context = anonymous(request, state);
        context.origin.actor = match self {
            Self::Operator(name) => Actor::operator(name),
            Self::User(user) => Actor::user(user),
            Self::Browser(session) => Actor::user(&session.user),
        };
        context
    }
}

/// What is done before it is known who asks.
pub fn anonymous(request: &HttpRequest, state: &State) -> Context {
    Context {
        database: state.database.clone(),
        clock: state.clock.clone(),
        origin: super::origin(request),
    }
}

/// Reads and checks the credentials of a request.
pub async fn authenticate(
    request: &HttpRequest,
    state: &web::Data<State>,
) -> Result<Caller, ApiError> {
    let caller = by_credentials(request, state).await?;
    let name = caller.user().map(|user| user.username.as_str());
    RequestContext::of(request).set_subject(name);
    Ok(caller)
}

async fn by_credentials(
    request: &HttpRequest,
    state: &web::Data<State>,
) -> Result<Caller, ApiError> {
    let headers = request.headers();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            ApiError::unauthorized("the admin API takes `Authorization: Bearer` and a token")
        })?;
        return by_token(request, state, token).await;
    }
    let Some(cookie) = request.cookie(COOKIE) else {
        return Err(ApiError::unauthorized(NOBODY));
    };
    by_cookie(request, state, cookie.value()).await
}

async fn by_token(request: &HttpRequest, state: &State, token: &str) -> Result<Caller, ApiError> {
    if let Some(operator) = &state.operator
        && operator.is_shown_by(token)
    {
        return Ok(Caller::Operator(operator.name.clone()));
    }
    let context = anonymous(request, state);
    let token = SecretString::from(token);
    let login = match state.logins.with_bearer(&context, &token).await {
        // There is no username in it that could be wrong.
        Err(LoginError::WrongCredentials) => {
            return Err(ApiError::unauthorized("the token is unknown"));
        }
        login => login?,
    };
    let Subject::PersonalToken { user, scopes } = login.subject else {
        return Err(ApiError::denied(
            "deploy and job tokens are for the registry; the admin API takes personal tokens",
        ));
    };
    let enough =
        scopes.contains(TokenScope::Api) || scopes.contains(TokenScope::ReadApi) && reads(request);
    if !enough {
        return Err(ApiError::denied(if reads(request) {
            "this takes a token with the scope `read_api` or `api`"
        } else {
            "this takes a token with the scope `api`"
        }));
    }
    Ok(Caller::User(user))
}

async fn by_cookie(request: &HttpRequest, state: &State, cookie: &str) -> Result<Caller, ApiError> {
    let context = anonymous(request, state);
    let token = SecretString::from(cookie);
    let found = session::find(&context, &state.logins, state.session_policy, &token).await?;
    let session = found.ok_or_else(|| ApiError::unauthorized("the session has ended: log in"))?;
    if !reads(request) {
        let sent = request.headers().get(CSRF_TOKEN);
        let sent = sent.and_then(|value| value.to_str().ok()).unwrap_or("");
        if !session.has_csrf(sent) {
            return Err(ApiError::denied(
                "a change in a browser's session takes the header `X-CSRF-Token`, which \
                 `GET /api/v1/session` tells",
            ));
        }
    }
    Ok(Caller::Browser(Rc::new(session)))
}

/// Whether a request changes nothing.
pub fn reads(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// The token of `Bearer …`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
