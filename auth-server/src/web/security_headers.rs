//! What a browser may do with our pages: show them.

use actix_web::HttpResponseBuilder;
use actix_web::http::header;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// A policy that allows one inline style sheet, by its hash, and nothing else.
/// <https://www.w3.org/TR/CSP3/>
pub fn content_security_policy(style: &str) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
}

pub fn add_to(response: &mut HttpResponseBuilder, content_security_policy: &str) {
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, content_security_policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"));
}
