//! What a request shows of who sends it.

use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::http::Http;
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

/// Somebody who may push to and pull from a repository.
pub struct Guest<'a> {
    pub http: &'a Http,
    pub registry: &'a Url,
    pub repository: &'a str,
    pub access: &'a Access,
}

impl Guest<'_> {
    pub fn ask(&self, method: Method, url: &Url) -> RequestBuilder {
        self.access.on(self.http.ask(method, url))
    }
}
