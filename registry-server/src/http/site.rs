//! [`Site`]: how the API presents itself, and by which URLs this client can reach it.

use actix_web::HttpRequest;
use service::request::RequestContext;

use crate::auth::challenge::{self, Refusal};
use crate::config::{LocationBase, Realm, WebSettings};

/// The outside of the server.
#[derive(Clone, Debug)]
pub struct Site {
    pub settings: WebSettings,
    pub door: Door,
}

/// What clients are asked for.
#[derive(Clone, Debug)]
pub enum Door {
    /// Nothing.
    Open,
    /// A token.
    Tokens {
        /// Where they get it.
        realm: Realm,
        /// What it is made out to.
        service: String,
    },
    /// A password.
    Passwords {
        /// What it is for, in words for people.
        realm: String,
    },
}

impl Site {
    /// What the path of the API is put behind in `Location` and `Link`.
    pub fn base(&self, request: &HttpRequest) -> String {
        let prefix = self.settings.prefix.as_str();
        match &self.settings.location {
            LocationBase::Fixed(url) => format!("{url}{prefix}"),
            LocationBase::Relative => {
                let origin = RequestContext::of(request).origin(request);
                format!("{}{prefix}", origin.prefix)
            }
            LocationBase::FromRequest => {
                let origin = RequestContext::of(request).origin(request);
                origin
                    .url(prefix)
                    .unwrap_or_else(|| format!("{}{prefix}", origin.prefix))
            }
        }
    }

    /// The value of `WWW-Authenticate` for who was refused.
    pub fn challenge(&self, request: &HttpRequest, refusal: &Refusal) -> String {
        match &self.door {
            // Nobody is refused there.
            Door::Open => refusal.challenge("", ""),
            Door::Passwords { realm } => challenge::basic(realm),
            Door::Tokens {
                realm: Realm::Fixed(url),
                service,
            } => refusal.challenge(url, service),
            Door::Tokens {
                realm: Realm::SameHost(path),
                service,
            } => {
                let origin = RequestContext::of(request).origin(request);
                // Without a host there is nothing better than the path.
                let url = origin.url(path).unwrap_or_else(|| path.clone());
                refusal.challenge(&url, service)
            }
        }
    }
}
