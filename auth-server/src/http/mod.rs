//! HTTP: reads requests, calls the domain, writes answers. No rules.
//!
//! - [`routes`]: the table of all addresses, and what each requires.
//! - [`token`]: the token realm. [`keys`]: what verifiers fetch. [`api`]: the admin API.
//! - [`authenticate`]: who is asking. [`authorize`]: who may. [`audit`]: what failed. [`error`]: what went wrong, in every case.

mod api;
mod audit;
mod authenticate;
mod authorize;
pub mod basic;
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

use self::basic::{BasicCredentials, InvalidBasic};

/// The Basic credentials of a request, if it has any.
fn basic_credentials(request: &HttpRequest) -> Result<Option<BasicCredentials>, InvalidBasic> {
    request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| basic::parse(value.as_bytes()))
        .transpose()
}
