//! [`Site`]: how the API presents itself, and by which URLs this client can reach it.

use actix_web::HttpRequest;
use service::request::RequestContext;

use crate::config::{LocationBase, Realm, WebSettings};

/// The outside of the server.
#[derive(Clone, Debug)]
pub struct Site {
    pub settings: WebSettings,
    /// Where clients get tokens, and the name that tokens are made out to; `None` if nobody needs
    /// one.
    pub realm: Option<(Realm, String)>,
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

    /// Realm and service of a challenge.
    pub fn realm(&self, request: &HttpRequest) -> (String, &str) {
        match &self.realm {
            None => (String::new(), ""),
            Some((Realm::Fixed(url), service)) => (url.clone(), service),
            Some((Realm::SameHost(path), service)) => {
                let origin = RequestContext::of(request).origin(request);
                // Without a host there is nothing better than the path.
                let url = origin.url(path).unwrap_or_else(|| path.clone());
                (url, service)
            }
        }
    }
}
