//! `GET /v2/`: whether this is a registry, and whether the caller may come in.

use actix_web::HttpResponse;

use crate::auth::Authenticated;

/// `{}`, as distribution answers: some clients parse it.
pub fn version(_caller: &Authenticated) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body("{}")
}
