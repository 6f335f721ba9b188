//! `/api/v1/me`: who is asking.

use actix_web::{HttpRequest, HttpResponse};

use super::conditional;
use crate::accounts::user::UserView;
use crate::http::authorize::{AnyUser, Authorized};
use crate::http::error::ApiError;

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
