//! `/api/v1/me`: who is asking.

use actix_web::HttpResponse;
use actix_web::http::header;

use super::users::UserJson;
use crate::http::authorize::{AnyUser, Authorized};

/// The user whose credentials were sent.
pub async fn show(authorized: Authorized<AnyUser>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(UserJson::from(&authorized.into_user()))
}
