//! `/api/v1/session`: logging a browser in and out.
//!
//! The cookie is out of every script's reach. A change by a browser shows the CSRF token beside
//! it, which a page gets from here and a page of another site does not.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::conditional::no_store;
use crate::accounts::session;
use crate::accounts::user::UserView;
use crate::http::authenticate::{COOKIE, anonymous};
use crate::http::authorize::{InSession, refuse_other_sites};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

/// Who logs in
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginJson {
    #[schema(max_length = 255)]
    username: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// A browser that is logged in
#[derive(Serialize, ToSchema)]
struct SessionJson {
    user: UserView,
    /// What changes send as `X-CSRF-Token`
    csrf_token: String,
    expires_at: DateTime<Utc>,
}

/// `__Host-`: for this host alone, over TLS (or from localhost), and for all paths.
fn cookie(value: String, age: Duration) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(age)
        .finish()
}

/// Log in
///
/// Sets the cookie `__Host-portcullis`.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    operation_id = "create_session",
    tag = "session",
    request_body = LoginJson,
    responses(
        (status = 201, description = "The session", body = SessionJson),
        (status = 401, description = "Wrong username or password"),
        (status = 403, description = "A page of another site has sent this"),
        (status = 429, description = "Too many wrong passwords; `Retry-After` says when to come back"),
    )
)]
pub async fn create(
    request: HttpRequest,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    refuse_other_sites(&request)?;
    let json: LoginJson = body.read().await?;
    let context = anonymous(&request, &state);
    let login = state
        .logins
        .with_password(&context, &json.username, json.password)
        .await
        .map_err(|error| ApiError::from(error).for_api())?;
    let opened = session::open(&context, state.session_policy, &login).await?;
    let lifetime = opened.expires_at - context.clock.now();
    let cookie = cookie(
        opened.secret.secret().expose_secret().to_owned(),
        Duration::seconds(lifetime.num_seconds()),
    );
    Ok(no_store(HttpResponse::Created())
        .cookie(cookie)
        .json(SessionJson {
            user: login.user.into(),
            csrf_token: opened.csrf,
            expires_at: opened.expires_at,
        }))
}

/// Show who is logged in
#[utoipa::path(
    get,
    path = "/api/v1/session",
    operation_id = "show_session",
    tag = "session",
    responses((status = 200, description = "The session", body = SessionJson))
)]
pub async fn show(current: InSession) -> HttpResponse {
    let session = &current.session;
    no_store(HttpResponse::Ok()).json(SessionJson {
        user: session.user.clone().into(),
        csrf_token: session.csrf().to_owned(),
        expires_at: session.expires_at,
    })
}

/// Log out
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    operation_id = "delete_session",
    tag = "session",
    responses((status = 204, description = "The session has ended"))
)]
pub async fn delete(current: InSession) -> Result<HttpResponse, ApiError> {
    session::revoke(&current.context, current.session.id).await?;
    Ok(no_store(HttpResponse::NoContent())
        .cookie(cookie(String::new(), Duration::ZERO))
        .finish())
}

#[cfg(test)]
mod tests;
