//! [`Identity`]: what the header `Authorization` says about who sends a request.

use actix_web::HttpRequest;
use actix_web::http::header;
use service::basic;

use super::error::Error;
use crate::auth::passwords::NotKnown;
use crate::auth::{KnownUser, Passwords, Presented};

/// What a request brings, with passwords checked.
pub enum Identity<'r> {
    Nothing,
    Token(&'r str),
    User(KnownUser),
    WrongPassword,
}

impl<'r> Identity<'r> {
    /// The bearer token. Other schemes count as none: a client that tries its password here first
    /// is told where to go, not that its token is wrong.
    pub fn bearer(request: &'r HttpRequest) -> Self {
        let value = request.headers().get(header::AUTHORIZATION);
        let token = value.and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            let token = token.trim();
            (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
        });
        token.map_or(Self::Nothing, Self::Token)
    }

    /// The user whose password it brings.
    pub async fn user(request: &HttpRequest, passwords: &Passwords) -> Result<Self, Error> {
        let Some(value) = request.headers().get(header::AUTHORIZATION) else {
            return Ok(Self::Nothing);
        };
        let Ok(credentials) = basic::parse(value.as_bytes()) else {
            return Ok(Self::Nothing);
        };
        match passwords.check(&credentials).await {
            Ok(user) => Ok(Self::User(user)),
            Err(NotKnown::Wrong) => Ok(Self::WrongPassword),
            Err(NotKnown::Busy) => Err(Error::TooManyPasswords),
        }
    }

    /// For the gatekeeper.
    pub fn presented(&self) -> Presented<'_> {
        match self {
            Self::Nothing => Presented::Nothing,
            Self::Token(token) => Presented::Token(token),
            Self::User(user) => Presented::User(user),
            Self::WrongPassword => Presented::WrongPassword,
        }
    }
}
