//! `/api/v1/system`: what runs here.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::authorize::{Administrator, Authorized};
use crate::state::State;

/// What runs here
#[derive(Serialize, ToSchema)]
#[schema(as = System)]
struct SystemJson<'a> {
    version: &'static str,
    /// The claim `iss` of the tokens
    issuer: &'a str,
    /// The registries that tokens are issued for
    services: &'a [String],
    token_lifetime_seconds: u64,
    #[schema(inline)]
    signing_key: Option<SigningKeyJson>,
}

#[derive(Serialize, ToSchema)]
struct SigningKeyJson {
    /// `kid`.
    id: String,
    algorithm: String,
    /// RFC 7638.
    thumbprint: String,
}

/// What runs here
///
/// What an operator needs for pairing a registry.
#[utoipa::path(
    get,
    path = "/api/v1/system",
    operation_id = "show_system",
    tag = "system",
    responses((status = 200, description = "The system", body = SystemJson<'_>))
)]
pub async fn show(_: Authorized<Administrator>, state: web::Data<State>) -> HttpResponse {
    let issuer = &state.issuer;
    let signing_key = issuer.keys.current().map(|key| SigningKeyJson {
        id: key.key_id(),
        algorithm: key.algorithm().to_string(),
        thumbprint: key.thumbprint(),
    });
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(SystemJson {
            version: env!("CARGO_PKG_VERSION"),
            issuer: &issuer.settings.issuer,
            services: &issuer.settings.services,
            token_lifetime_seconds: issuer.settings.lifetime.as_secs(),
            signing_key,
        })
}
