//! What verifiers fetch: `/.well-known/jwks.json` and `/certs/bundle.pem`.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::state::State;
use crate::token::jwks::Document;

/// The public keys as a JSON Web Key Set. RFC 7517.
pub async fn jwks(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let keys = &state.issuer.keys;
    let jwks = &keys.load().published.jwks;
    answer(&request, jwks, keys.max_age(), "application/jwk-set+json")
}

/// The certificates that a registry takes as its `rootcertbundle`.
pub async fn bundle(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let keys = &state.issuer.keys;
    let bundle = &keys.load().published.bundle;
    answer(&request, bundle, keys.max_age(), "application/x-pem-file")
}

fn answer(
    request: &HttpRequest,
    document: &Document,
    max_age: Duration,
    media_type: &str,
) -> HttpResponse {
    let known = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == document.etag);
    let mut response = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, document.etag.as_str()))
        .insert_header((
            header::CACHE_CONTROL,
            format!("public, max-age={}", max_age.as_secs()),
        ));
    if known {
        return response.finish();
    }
    response
        .content_type(media_type)
        .body(document.body.clone())
}

#[cfg(test)]
mod tests;
