//! The body of every error answer: `{"errors":[{"code","message","detail"}]}`.
//!
//! Shape and codes are those of the OCI distribution specification, section "Error Codes".

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::json;

/// An answer with one error. `code` is upper case with underscores; `message` is a sentence for the
/// person at the client and never holds internals.
#[must_use]
pub fn error_response(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({
        "errors": [{ "code": code, "message": message, "detail": null }]
    }))
}
