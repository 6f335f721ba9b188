//! `/api/v1/users/{username}/tokens` and `/api/v1/me/tokens`: personal tokens.

use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::listing::List;
use super::values::Time;
use crate::access::TokenScopes;
use crate::accounts::token::{self, Bearer, CreatedToken, NewPersonalToken, Token};
use crate::accounts::{TokenError, User};
use crate::context::Context;
use crate::http::authorize::{AnyUser, Authorized, OnUser};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

pub const LIST: List = List {
    name: None,
    filters: &[],
};

/// A token to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPersonalTokenJson {
    /// What it is called
    #[schema(min_length = 1, max_length = 64, examples("laptop"))]
    name: String,
    /// `read_registry`, `write_registry`, `delete_registry`, `api`, `read_api`
    #[schema(min_items = 1, examples(json!(["read_registry"])))]
    scopes: Vec<String>,
    /// As late as the settings allow, if nothing is said
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    expires_at: Option<Time>,
}

/// A token with its secret, which is never shown again
#[derive(Serialize, ToSchema)]
pub struct CreatedTokenJson {
    #[serde(flatten)]
    description: Token,
    /// What to log in with
    #[schema(examples("ptc_…"))]
    token: String,
}

/// 201 with the secret.
pub(super) fn created(created: CreatedToken) -> HttpResponse {
    super::conditional::no_store(HttpResponse::Created()).json(CreatedTokenJson {
        token: created.secret.secret().expose_secret().to_owned(),
        description: created.token,
    })
}

/// List a user's personal tokens
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}/tokens",
    operation_id = "list_tokens",
    tag = "tokens",
    params(("username" = String, Path)),
    responses((status = 200, description = "A page of tokens, oldest first", body = Vec<Token>))
)]
pub async fn list(on: OnUser, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    page(&on.context, &on.user, &request).await
}

/// List one's own personal tokens
#[utoipa::path(
    get,
    path = "/api/v1/me/tokens",
    operation_id = "list_my_tokens",
    tag = "me",
    responses((status = 200, description = "A page of tokens, oldest first", body = Vec<Token>))
)]
pub async fn list_mine(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    page(&authorized.context, authorized.user()?, &request).await
}

async fn page(
    context: &Context,
    user: &User,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(request)?;
    let page = token::list_personal(&context.database, user.id, &wanted.page).await?;
    Ok(wanted.answer_by_id(request, &page, |token| token.id))
}

/// Make a personal token for a user
#[utoipa::path(
    post,
    path = "/api/v1/users/{username}/tokens",
    operation_id = "create_token",
    tag = "tokens",
    params(("username" = String, Path)),
    request_body = NewPersonalTokenJson,
    responses((status = 201, description = "The token", body = CreatedTokenJson))
)]
pub async fn create(
    on: OnUser,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    make(&on.context, &state, &on.user, body).await
}

/// Make a personal token for oneself
#[utoipa::path(
    post,
    path = "/api/v1/me/tokens",
    operation_id = "create_my_token",
    tag = "me",
    request_body = NewPersonalTokenJson,
    responses((status = 201, description = "The token", body = CreatedTokenJson))
)]
pub async fn create_mine(
    authorized: Authorized<AnyUser>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    make(&authorized.context, &state, authorized.user()?, body).await
}

async fn make(
    context: &Context,
    state: &State,
    user: &User,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let json: NewPersonalTokenJson = body.read().await?;
    let scopes: Result<TokenScopes, _> = json.scopes.iter().map(|scope| scope.parse()).collect();
    let new = NewPersonalToken {
        name: json.name,
        scopes: scopes?,
        expires_at: json.expires_at.map(|time| time.0),
    };
    let token = token::create_personal(context, state.token_policy, user, new).await?;
    Ok(created(token))
}

/// Revoke a user's personal token
///
/// The next request that shows it is refused.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}/tokens/{token}",
    operation_id = "revoke_token",
    tag = "tokens",
    params(("username" = String, Path), ("token" = Uuid, Path)),
    responses((status = 204, description = "The token is revoked"))
)]
pub async fn revoke(
    on: OnUser,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    end(&on.context, &on.user, &path.1).await
}

/// Revoke one's own personal token
///
/// The next request that shows it is refused.
#[utoipa::path(
    delete,
    path = "/api/v1/me/tokens/{token}",
    operation_id = "revoke_my_token",
    tag = "me",
    params(("token" = Uuid, Path)),
    responses((status = 204, description = "The token is revoked"))
)]
pub async fn revoke_mine(
    authorized: Authorized<AnyUser>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    end(&authorized.context, authorized.user()?, &path).await
}

async fn end(context: &Context, user: &User, id: &str) -> Result<HttpResponse, ApiError> {
    end_if(context, id, |bearer| match bearer {
        Bearer::Personal(personal) => personal.user_id == user.id,
        Bearer::Deploy(_) | Bearer::Job(_) => false,
    })
    .await
}

/// Revokes a token if it is one of those that the address is about.
pub(super) async fn end_if(
    context: &Context,
    id: &str,
    is_here: impl Fn(&Bearer) -> bool,
) -> Result<HttpResponse, ApiError> {
    let id = Uuid::try_parse(id).map_err(|_| TokenError::NotFound)?;
    let found = token::find(&context.database, id).await?;
    let token = found
        .filter(|token| is_here(&token.bearer))
        .ok_or(TokenError::NotFound)?;
    token::revoke(context, token.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
