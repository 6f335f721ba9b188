//! What verifiers fetch: `/.well-known/jwks.json` and `/certs/bundle.pem`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::state::State;
use crate::token::jwks::Document;

/// A verifier asks again after this time. A new key is published longer than this before it signs.
const CACHE_CONTROL: &str = "public, max-age=300";

/// The public keys as a JSON Web Key Set. RFC 7517.
pub async fn jwks(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    answer(&request, &state.published.jwks, "application/jwk-set+json")
}

/// The certificates that a registry takes as its `rootcertbundle`.
pub async fn bundle(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    answer(&request, &state.published.bundle, "application/x-pem-file")
}

fn answer(request: &HttpRequest, document: &Document, media_type: &str) -> HttpResponse {
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
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    if known {
        return response.finish();
    }
    response
        .content_type(media_type)
        .body(document.body.clone())
}

#[cfg(test)]
mod tests;
