//! `/api/v1/keys`: the keys that sign tokens.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::authorize::{Administrator, Authorized};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::state::State;
use crate::token::rotation::{self, KeyImport, RotationError};
use crate::token::signing_key::SigningKeyInfo;

/// Keys, those that sign last at the end
#[derive(Serialize, ToSchema)]
pub struct KeyList(Vec<SigningKeyInfo>);

/// A key pair that was made elsewhere
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyImportJson {
    /// PEM: RSA from 2048 bits, or EC on P-256 or P-384. Left out where the server's key is mounted
    #[schema(value_type = Option<String>, format = Password)]
    private_key: Option<SecretString>,
    /// PEM, with those of its authorities behind it. Without one, one is made
    certificate: Option<String>,
}

/// A key that was retired
#[derive(Serialize, ToSchema)]
struct RetirementJson {
    key: SigningKeyInfo,
    /// What does not work for a while, in sentences
    warnings: Vec<String>,
}

fn created(key: &SigningKeyInfo) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/keys/{}", key.thumbprint)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(key)
}

/// List signing keys
///
/// With what each is good for now. Retired keys stay in the list.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    operation_id = "list_keys",
    tag = "keys",
    responses((status = 200, description = "All keys", body = KeyList))
)]
pub async fn list(
    _: Authorized<Administrator>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let keys = rotation::list(&state.database, state.clock.now()).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(KeyList(keys)))
}

/// Show a signing key
#[utoipa::path(
    get,
    path = "/api/v1/keys/{key}",
    operation_id = "show_key",
    tag = "keys",
    params(("key" = String, Path, description = "The id or the thumbprint")),
    responses((status = 200, description = "The key", body = SigningKeyInfo))
)]
pub async fn show(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let found = rotation::find(&state.database, state.clock.now(), &path).await?;
    let shown = || registry_token::ShownText::new(&path);
    let key = found.ok_or_else(|| RotationError::NotFound(shown()))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(key))
}

/// Make the next signing key
///
/// It is published at once, signs after `keys.publishahead`, and the key before it retires when its
/// last token has expired.
#[utoipa::path(
    post,
    path = "/api/v1/keys",
    operation_id = "rotate_keys",
    tag = "keys",
    responses((status = 201, description = "The new key", body = SigningKeyInfo))
)]
pub async fn rotate(
    authorized: Authorized<Administrator>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let key = rotation::rotate(&authorized.context, &state.issuer.keys).await?;
    Ok(created(&key))
}

/// Import the next signing key
///
/// Like one that is made here, it is published at once and signs after `keys.publishahead`.
#[utoipa::path(
    post,
    path = "/api/v1/keys/import",
    operation_id = "import_key",
    tag = "keys",
    request_body = KeyImportJson,
    responses((status = 201, description = "The new key", body = SigningKeyInfo))
)]
pub async fn import(
    authorized: Authorized<Administrator>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let import: KeyImportJson = body.read().await?;
    let import = KeyImport {
        private_key: import.private_key,
        certificate: import.certificate,
    };
    let key = rotation::import(&authorized.context, &state.issuer.keys, import).await?;
    Ok(created(&key))
}

/// Retire a signing key
///
/// One that has not signed yet; with `force` any: then its tokens are refused from now on, and
/// another key signs at once.
#[utoipa::path(
    delete,
    path = "/api/v1/keys/{key}",
    operation_id = "retire_key",
    tag = "keys",
    params(
        ("key" = String, Path, description = "The id or the thumbprint"),
        ("force" = Option<bool>, Query, description = "Although tokens are refused for a while: somebody else has got hold of it"),
    ),
    responses((status = 200, description = "The key, and what follows", body = RetirementJson))
)]
pub async fn retire(
    authorized: Authorized<Administrator>,
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    let force = parameters.flag("force")?.unwrap_or_default();
    let keys = &state.issuer.keys;
    let retired = rotation::retire(&authorized.context, keys, &path, force).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(RetirementJson {
            key: retired.key,
            warnings: retired.warnings,
        }))
}

#[cfg(test)]
mod tests;
