//! `/api/v1/me`: who is asking. What such a user has is in [`tokens`](super::tokens) and
//! [`sessions`](super::sessions).

use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::conditional;
use crate::accounts::NewPassword;
use crate::accounts::login::LoginError;
use crate::accounts::user::{self, UserView};
use crate::http::authorize::{AnyUser, Authorized};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

/// A new password, and the one that it replaces
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePasswordJson {
    #[schema(value_type = String, format = Password)]
    old_password: SecretString,
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// The user whose credentials were sent
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "show_me",
    tag = "me",
    responses((status = 200, description = "The user", body = UserView))
)]
pub async fn show(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let user = authorized.user()?;
    Ok(conditional::answer(&request, user.version, user))
}

/// Change one's own password
///
/// Ends all sessions, this one too, and every `docker login`.
#[utoipa::path(
    put,
    path = "/api/v1/me/password",
    operation_id = "change_my_password",
    tag = "me",
    request_body = ChangePasswordJson,
    responses((status = 204, description = "The password is changed"))
)]
pub async fn change_password(
    authorized: Authorized<AnyUser>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let user = authorized.user()?;
    let context = &authorized.context;
    let change: ChangePasswordJson = body.read().await?;
    let new = NewPassword::check(change.new_password, &user.username, state.password_policy)?;
    // Counts as an attempt to log in: a stolen token is no way to guess a password.
    let login = state
        .logins
        .with_password(context, user.username.as_str(), change.old_password);
    login.await.map_err(|error| match error {
        LoginError::WrongCredentials => ApiError::invalid("the old password is wrong"),
        other => other.into(),
    })?;
    let hash = state.passwords.hash(new, &state.clock).await?;
    user::set_password(context, &user.username, &hash).await?;
    Ok(HttpResponse::NoContent().finish())
}
