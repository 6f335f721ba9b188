//! `/api/v1/users`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::conditional;
use super::document::IfMatch;
use super::listing::List;
use super::merge;
use crate::accounts::user::{self, NewUser, UserChange, UserFilter, UserView};
use crate::accounts::{NewPassword, Username};
use crate::http::authorize::{Administrator, Authorized, OnUser};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

pub const LIST: List = List {
    name: Some("username"),
    filters: &["admin", "disabled", "search"],
};

/// A user to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUserJson {
    /// Lower-case letters and digits, with single `.`, `_`, `__` or any number of `-` between them
    #[schema(max_length = 64, examples("alice"))]
    username: String,
    #[schema(max_length = 254, examples("alice@example.com"))]
    email: Option<String>,
    /// May do everything
    #[serde(default)]
    admin: bool,
    /// Without one the user cannot log in with a password yet
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
}

/// What is to be different
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "missing, null and a value are three things"
)]
struct UserChangeJson {
    /// `null` clears it
    #[serde(default, deserialize_with = "merge::nullable")]
    #[schema(value_type = Option<String>, max_length = 254)]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "merge::value")]
    #[schema(value_type = bool)]
    admin: Option<bool>,
    /// Disabling ends sessions and every `docker login` of the user, and refuses new ones
    #[serde(default, deserialize_with = "merge::value")]
    #[schema(value_type = bool)]
    disabled: Option<bool>,
}

/// A new password
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordJson {
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// A name that nobody can have is a name that nobody has.
fn named(path: &web::Path<String>) -> Result<Username, ApiError> {
    path.parse().map_err(|_| {
        let shown = registry_token::ShownText::new(path);
        ApiError::not_found(format!("there is no user `{shown}`"))
    })
}

/// List users
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "list_users",
    tag = "users",
    params(
        ("admin" = Option<bool>, Query, description = "Administrators alone, or all others"),
        ("disabled" = Option<bool>, Query, description = "Those that are disabled, or all others"),
        ("search" = Option<String>, Query, description = "Part of the name or of the e-mail address"),
    ),
    responses((status = 200, description = "A page of users", body = Vec<UserView>))
)]
pub async fn list(
    _: Authorized<Administrator>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(&request)?;
    let filter = UserFilter {
        admin: wanted.flag("admin")?,
        disabled: wanted.flag("disabled")?,
        search: wanted.text("search")?,
    };
    let page = user::list(&state.database, &filter, &wanted.page).await?;
    Ok(wanted.answer(
        &request,
        &page,
        |user| user.username.to_string(),
        |user| user.id.0,
    ))
}

/// Create a user
#[utoipa::path(
    post,
    path = "/api/v1/users",
    operation_id = "create_user",
    tag = "users",
    request_body = NewUserJson,
    responses((status = 201, description = "The user", body = UserView))
)]
pub async fn create(
    authorized: Authorized<Administrator>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let create: NewUserJson = body.read().await?;
    let username: Username = create.username.parse()?;
    let email = create.email.map(|email| email.parse()).transpose()?;
    let password = match create.password {
        None => None,
        Some(password) => {
            let checked = NewPassword::check(password, &username, state.password_policy)?;
            let passwords = &state.passwords;
            Some(passwords.hash(checked, &state.clock).await?)
        }
    };
    let new = NewUser {
        username,
        email,
        is_admin: create.admin,
        password,
    };
    let user = user::create(&authorized.context, new).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("/api/v1/users/{}", user.username)));
    Ok(conditional::changed(response, user.version, &user))
}

/// Show a user
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}",
    operation_id = "show_user",
    tag = "users",
    params(("username" = String, Path)),
    responses((status = 200, description = "The user", body = UserView))
)]
pub async fn show(on: OnUser, request: HttpRequest) -> HttpResponse {
    conditional::answer(&request, on.user.version, &on.user)
}

/// Change a user
#[utoipa::path(
    patch,
    path = "/api/v1/users/{username}",
    operation_id = "change_user",
    tag = "users",
    params(("username" = String, Path), IfMatch),
    request_body = UserChangeJson,
    responses((status = 200, description = "The user as it is now", body = UserView))
)]
pub async fn change(
    authorized: Authorized<Administrator>,
    request: HttpRequest,
    path: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let username = named(&path)?;
    let expected = conditional::expected(&request)?;
    let change: UserChangeJson = body.read().await?;
    let email = change
        .email
        .map(|email| email.map(|email| email.parse()).transpose());
    let change = UserChange {
        email: email.transpose()?,
        is_admin: change.admin,
        disabled: change.disabled,
    };
    let user = user::update(&authorized.context, &username, change, expected).await?;
    Ok(conditional::changed(
        HttpResponse::Ok(),
        user.version,
        &user,
    ))
}

/// Delete a user
///
/// With all memberships, tokens and sessions. A user with projects below their name is refused.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}",
    operation_id = "delete_user",
    tag = "users",
    params(("username" = String, Path), IfMatch),
    responses((status = 204, description = "There is no such user any more"))
)]
pub async fn delete(
    authorized: Authorized<Administrator>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let username = named(&path)?;
    let expected = conditional::expected(&request)?;
    user::delete(&authorized.context, &username, expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set a user's password
///
/// Ends sessions and every `docker login` of the user.
#[utoipa::path(
    put,
    path = "/api/v1/users/{username}/password",
    operation_id = "set_password",
    tag = "users",
    params(("username" = String, Path)),
    request_body = PasswordJson,
    responses((status = 204, description = "The password is set"))
)]
pub async fn set_password(
    authorized: Authorized<Administrator>,
    path: web::Path<String>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let username = named(&path)?;
    let set: PasswordJson = body.read().await?;
    let checked = NewPassword::check(set.password, &username, state.password_policy)?;
    let hash = state.passwords.hash(checked, &state.clock).await?;
    user::set_password(&authorized.context, &username, &hash).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
