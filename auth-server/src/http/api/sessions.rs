//! `/api/v1/users/{username}/sessions` and `/api/v1/me/sessions`: browsers that have logged in, and
//! clients with a refresh token, such as docker.

use actix_web::{HttpRequest, HttpResponse, web};
use uuid::Uuid;

use super::listing::List;
use crate::accounts::User;
use crate::accounts::session::{self, Opened, SessionError};
use crate::context::Context;
use crate::http::authorize::{AnyUser, Authorized, OnUser};
use crate::http::error::ApiError;
use crate::state::State;

pub const LIST: List = List {
    name: None,
    filters: &[],
};

/// List a user's sessions
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}/sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    params(("username" = String, Path)),
    responses((status = 200, description = "A page of sessions, oldest first", body = Vec<Opened>))
)]
pub async fn list(
    on: OnUser,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    page(&on.context, &state, &on.user, &request).await
}

/// List one's own sessions
#[utoipa::path(
    get,
    path = "/api/v1/me/sessions",
    operation_id = "list_my_sessions",
    tag = "me",
    responses((status = 200, description = "A page of sessions, oldest first", body = Vec<Opened>))
)]
pub async fn list_mine(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    page(&authorized.context, &state, authorized.user()?, &request).await
}

async fn page(
    context: &Context,
    state: &State,
    user: &User,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(request)?;
    let page = session::list(context, state.session_policy, user.id, &wanted.page).await?;
    Ok(wanted.answer_by_id(request, &page, |opened| opened.id))
}

/// End all sessions of a user
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}/sessions",
    operation_id = "revoke_sessions",
    tag = "sessions",
    params(("username" = String, Path)),
    responses((status = 204, description = "All have ended"))
)]
pub async fn revoke_all(on: OnUser) -> Result<HttpResponse, ApiError> {
    session::revoke_all(&on.context, &on.user, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End all of one's own sessions, but the one that asks for it
#[utoipa::path(
    delete,
    path = "/api/v1/me/sessions",
    operation_id = "revoke_my_sessions",
    tag = "me",
    responses((status = 204, description = "All others have ended"))
)]
pub async fn revoke_all_mine(authorized: Authorized<AnyUser>) -> Result<HttpResponse, ApiError> {
    let but = authorized.caller.session().map(|session| session.id);
    session::revoke_all(&authorized.context, authorized.user()?, but).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End a session of a user
///
/// The next request that shows it is refused.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}/sessions/{session}",
    operation_id = "revoke_session",
    tag = "sessions",
    params(("username" = String, Path), ("session" = Uuid, Path)),
    responses((status = 204, description = "The session has ended"))
)]
pub async fn revoke(
    on: OnUser,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    end(&on.context, &on.user, &path.1).await
}

/// End one of one's own sessions
///
/// The next request that shows it is refused.
#[utoipa::path(
    delete,
    path = "/api/v1/me/sessions/{session}",
    operation_id = "revoke_my_session",
    tag = "me",
    params(("session" = Uuid, Path)),
    responses((status = 204, description = "The session has ended"))
)]
pub async fn revoke_mine(
    authorized: Authorized<AnyUser>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    end(&authorized.context, authorized.user()?, &path).await
}

async fn end(context: &Context, user: &User, id: &str) -> Result<HttpResponse, ApiError> {
    let id = Uuid::try_parse(id).map_err(|_| SessionError::NotFound)?;
    let opened = session::find_opened(&context.database, id)
        .await?
        .filter(|opened| opened.user_id == user.id)
        .ok_or(SessionError::NotFound)?;
    session::revoke(context, opened.id).await?;
    Ok(HttpResponse::NoContent().finish())
}
