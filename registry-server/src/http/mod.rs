//! The registry API over HTTP: the OCI distribution specification, 1.1 and what its main branch
//! adds to it, with distribution's additions that clients rely on.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>
//!
//! - [`route`]: what a path means, and the table of methods; [`dispatch`] below is its other half.
//! - [`call`]: one request: its proofs, parameters and headers. [`identity`]: who sends it.
//! - one file per noun: [`base`], [`blobs`], [`uploads`], [`manifests`], [`tags`], [`referrers`],
//!   [`catalog`]. They read requests and write answers; the rules are in
//!   [`registry`](crate::registry).
//! - [`body`]: bodies in both directions. [`range`], [`query`]: parsers.
//! - [`handover`]: blobs that a proxy sends in our place.
//! - [`error`]: the error table. [`site`]: the URLs that answers name.
//!
//! A handler takes the proof it needs as an argument ([`Authorized<Pull>`](crate::auth::Authorized),
//! …), and the functions of the registry take it from there: what nobody authorized cannot be
//! written down.

mod base;
mod blobs;
mod body;
mod call;
mod catalog;
mod error;
mod handover;
mod identity;
mod manifests;
mod query;
mod range;
mod referrers;
mod route;
mod site;
mod tags;
#[cfg(test)]
mod tests;
mod uploads;

use std::sync::Arc;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use service::health::Health;
use service::request::RequestContext;

use self::call::Call;
use self::error::Error;
pub use self::handover::Handover;
use self::identity::Identity;
use self::route::{Endpoint, Route};
pub use self::site::{Door, Site};
use crate::state::State;

/// Tells clients from before the OCI specification that this is the second version of the API.
const API_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("docker-distribution-api-version"),
    HeaderValue::from_static("registry/2.0"),
);
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Puts the API below the configured prefix.
///
/// One scope and no resource: names hold slashes, so resources would need regular expressions, and
/// eight of those cost more than the rest of a small pull.
pub fn configure(
    state: Arc<State>,
    health: Health,
) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let path = format!("{}/v2", state.site.settings.prefix);
    let served = Arc::new(Served { state, health });
    move |config| {
        config.service(
            web::scope(&path)
                .app_data(web::Data::from(Arc::clone(&served)))
                .default_service(web::to(serve)),
        );
    }
}

/// What is served, and whether it is worth it.
struct Served {
    state: Arc<State>,
    health: Health,
}

/// Answers every request below `/v2`.
async fn serve(request: HttpRequest, payload: Payload, served: web::Data<Served>) -> HttpResponse {
    let state = &*served.state;
    let below = state.site.settings.prefix.as_str().len() + "/v2".len();
    let path = request.path().get(below..).unwrap_or_default();
    let route = Route::parse(path);
    let mut response = match route {
        None => error::respond(&request, state, &Error::UnknownRoute),
        Some(route) => {
            let context = RequestContext::of(&request);
            context.set_handler(route.endpoint.label());
            let answered = if served.health.is_serving() {
                answer(&request, state, route, &context, payload).await
            } else {
                Err(Error::Unhealthy)
            };
            match answered {
                Ok(response) => response,
                Err(error) => error::respond(&request, state, &error),
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(API_VERSION.0, API_VERSION.1);
    for (name, value) in &state.site.settings.headers {
        headers.append(name.clone(), value.clone());
    }
    response
}

async fn answer(
    request: &HttpRequest,
    state: &State,
    route: Route<'_>,
    context: &RequestContext,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let identity = match state.gatekeeper.passwords() {
        None => Identity::bearer(request),
        // Boxed for the same reason as below.
        Some(passwords) => Identity::user(request, passwords).boxed_local().await?,
    };
    let call = Call::new(request, state, route, identity, context);
    dispatch(&call, payload).await
}

/// The table of handlers. What a handler may do is in its arguments: each `authorized()` builds
/// the proof that the handler asks for, or ends here with a challenge.
async fn dispatch(call: &Call<'_>, payload: Payload) -> Result<HttpResponse, Error> {
    match (call.endpoint(), call.method()) {
        (Endpoint::Base, "GET" | "HEAD") => Ok(base::version(&call.authenticated()?)),
        (Endpoint::Catalog, "GET" | "HEAD") => catalog::list(call, call.catalog()?).await,
        (Endpoint::Tags, "GET" | "HEAD") => tags::list(call, call.authorized()?).await,
        (Endpoint::Referrers, "GET" | "HEAD") => referrers::list(call, call.authorized()?).await,
        (Endpoint::Manifest, "GET") => manifests::get(call, call.authorized()?).await,
        (Endpoint::Blob, "GET") => blobs::get(call, call.authorized()?).await,
        // Boxed: a future is as large as the largest that it may wait for, and every pull would
        // copy 14 KiB into place where it needs 4.
        _ => dispatch_changes(call, payload).boxed_local().await,
    }
}

/// The rest of the table: what changes something. So does `HEAD`, which puts off reviews.
async fn dispatch_changes(call: &Call<'_>, payload: Payload) -> Result<HttpResponse, Error> {
    match (call.endpoint(), call.method()) {
        (Endpoint::Manifest, "HEAD") => manifests::head(call, call.authorized()?).await,
        (Endpoint::Manifest, "PUT") => manifests::put(call, call.authorized()?, payload).await,
        (Endpoint::Manifest, "DELETE") => manifests::delete(call, call.authorized()?).await,

        (Endpoint::Blob, "HEAD") => blobs::head(call, call.authorized()?).await,
        (Endpoint::Blob, "DELETE") => blobs::delete(call, call.authorized()?).await,

        (Endpoint::Uploads, "POST") => {
            let (push, source) = call.authorized_mount()?;
            uploads::start(call, push, source, payload).await
        }
        (Endpoint::Upload, "GET" | "HEAD") => uploads::status(call, call.upload_proof()?).await,
        (Endpoint::Upload, "PATCH") => uploads::append(call, call.upload_proof()?, payload).await,
        (Endpoint::Upload, "PUT") => uploads::complete(call, call.upload_proof()?, payload).await,
        (Endpoint::Upload, "DELETE") => uploads::cancel(call, call.upload_proof()?).await,

        (endpoint, _) => Err(Error::Method {
            method: call.request.method().clone(),
            endpoint,
        }),
    }
}

/// `Docker-Content-Digest`.
fn content_digest(digest: &crate::oci::Digest) -> (HeaderName, HeaderValue) {
    (CONTENT_DIGEST, header_value(digest.as_str()))
}

/// Text that is known to fit into a header. What does not fit is left out, not half written.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The `ETag` of content: its digest in quotation marks, so that it never changes under a name.
fn etag(digest: &crate::oci::Digest) -> (HeaderName, HeaderValue) {
    (header::ETAG, header_value(&format!("\"{digest}\"")))
}

/// Whether a list of entity tags (`If-None-Match`, `If-Range`) names this content. Weak tags do:
/// content under a digest is equal or it is not.
fn names(tags: &str, digest: &crate::oci::Digest) -> bool {
    tags.split(',').any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        tag == "*" || opaque == Some(digest.as_str())
    })
}
