//! What a request shows of who sends it.

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};

use crate::outside::Credentials;

/// How the registry is told who asks.
#[derive(Clone, Debug)]
pub enum Access {
    Nobody,
    Password(Credentials),
    Token(SecretString),
}

impl Access {
    /// Puts it on a request. Only for requests over a connection that is trusted.
    pub fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nobody => request,
            Self::Password(who) => {
                request.basic_auth(&who.user, Some(who.password.expose_secret()))
            }
            Self::Token(token) => request.bearer_auth(token.expose_secret()),
        }
    }
}
