//! Who is asking: a [`Caller`], from the credentials of a request to the admin API.

use actix_web::http::header;
use actix_web::{HttpRequest, web};

use super::error::ApiError;
use crate::accounts::{self, User};
use crate::audit::{Actor, Origin};
use crate::context::Context;
use crate::state::State;

/// Who is asking, proven.
#[derive(Clone, Debug)]
pub enum Caller {
    User(User),
    /// Who has the database at hand, by the name that the operating system knows.
    Operator(String),
}

impl Caller {
    pub fn is_administrator(&self) -> bool {
        match self {
            Self::User(user) => user.is_admin,
            Self::Operator(_) => true,
        }
    }

    /// `None`: an operator is no user.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Operator(_) => None,
        }
    }

    /// As the domain sees who asks.
    pub fn rights(&self) -> accounts::Caller<'_> {
        match self {
            Self::User(user) => user.into(),
            Self::Operator(_) => accounts::Caller::Administrator,
        }
    }

    fn actor(&self) -> Actor {
        match self {
            Self::User(user) => Actor::user(user),
            Self::Operator(name) => Actor::operator(name),
        }
    }

    /// What a change in the name of this caller takes.
    pub fn context(&self, request: &HttpRequest, state: &State) -> Context {
        Context {
            database: state.database.clone(),
            clock: state.clock.clone(),
            origin: Origin {
                actor: self.actor(),
                ..super::origin(request)
            },
        }
    }
}

/// Reads and checks the credentials of a request.
pub async fn authenticate(
    request: &HttpRequest,
    state: &web::Data<State>,
) -> Result<Caller, ApiError> {
    if let Some(operator) = &state.operator
        && bearer(request).is_some_and(|token| operator.is_shown_by(token))
    {
        return Ok(Caller::Operator(operator.name.clone()));
    }
    let basic = super::basic_credentials(request)?
        .ok_or_else(|| ApiError::unauthorized("log in with username and password"))?;
    let context = Context {
        database: state.database.clone(),
        clock: state.clock.clone(),
        origin: super::origin(request),
    };
    let login = state
        .logins
        .with_password(&context, &basic.username, basic.password);
    Ok(Caller::User(login.await?.user))
}

/// The bearer token of a request.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
