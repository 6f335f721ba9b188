//! HTTP: reads requests, calls the domain, writes answers. No rules.
//!
//! - [`routes`]: the table of all addresses, and what each requires.
//! - [`token`]: the token realm. [`keys`]: what verifiers fetch. [`api`]: the admin API.
//! - [`authenticate`]: who is asking. [`authorize`]: who may. [`audit`]: what failed. [`error`]: what went wrong, in every case.

mod api;
mod audit;
mod authenticate;
mod authorize;
mod body;
mod error;
#[cfg(test)]
mod fuzz_seeds;
mod keys;
mod nearest;
pub mod parameters;
pub(crate) mod routes;
#[cfg(test)]
pub(crate) mod test_app;
mod token;

use actix_web::HttpRequest;
use actix_web::http::header;
pub use service::basic;
use service::request::RequestContext;

use self::basic::{BasicCredentials, InvalidBasic};
use crate::audit::{Actor, Origin};

/// The longest user agent that the audit log keeps, in characters.
const MAX_USER_AGENT: usize = 256;

/// Where a request comes from, before it is known who sends it.
fn origin(request: &HttpRequest) -> Origin {
    let told = RequestContext::of(request);
    let user_agent = request
        .headers()
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(|text| text.chars().take(MAX_USER_AGENT).collect());
    Origin {
        actor: Actor::anonymous(""),
        address: told.client(),
        user_agent,
        request_id: Some(told.id().to_string()),
    }
}

/// The Basic credentials of a request, if it has any.
fn basic_credentials(request: &HttpRequest) -> Result<Option<BasicCredentials>, InvalidBasic> {
    request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| basic::parse(value.as_bytes()))
        .transpose()
}
