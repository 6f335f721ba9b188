//! `/api/v1/users`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::pagination;
use crate::accounts::user::{self, NewUser};
use crate::accounts::{NewPassword, User, UserError, UserId, Username};
use crate::http::authorize::{Administrator, Authorized};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

/// A user as clients see it.
#[derive(Serialize)]
pub struct UserJson<'a> {
    id: UserId,
    username: &'a Username,
    email: Option<&'a str>,
    admin: bool,
    disabled: bool,
    created_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
    last_login_at: Option<DateTime<Utc>>,
}

impl<'a> From<&'a User> for UserJson<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            username: &user.username,
            email: user.email.as_deref(),
            admin: user.is_admin,
            disabled: user.is_disabled(),
            created_at: user.created_at,
            disabled_at: user.disabled_at,
            last_login_at: user.last_login_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    username: String,
    email: Option<String>,
    #[serde(default)]
    admin: bool,
    /// Without one the user cannot log in with a password yet.
    password: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    disabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPassword {
    password: SecretString,
}

fn answer(user: &User) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(UserJson::from(user))
}

/// A name that nobody can have is a name that nobody has.
fn named(path: &web::Path<String>) -> Result<Username, ApiError> {
    path.parse().map_err(|_| {
        let shown = registry_token::ShownText::new(path);
        ApiError::not_found(format!("there is no user `{shown}`"))
    })
}

/// `GET /api/v1/users`
pub async fn list(
    _: Authorized<Administrator>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let wanted = pagination::requested(&request)?;
    let page = user::list(&state.database, &wanted).await?;
    Ok(pagination::answer(
        &request,
        &wanted,
        &page,
        |user| user.username.as_str(),
        |user| serde_json::json!(UserJson::from(user)),
    ))
}

/// `POST /api/v1/users`
pub async fn create(
    _: Authorized<Administrator>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let create: CreateUser = body.read().await?;
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
    let user = user::create(&state.database, &state.clock, new).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/users/{}", user.username)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(UserJson::from(&user)))
}

/// `GET /api/v1/users/{username}`
pub async fn show(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let username = named(&path)?;
    let user = user::find(&state.database, &username)
        .await?
        .ok_or(UserError::NotFound(username))?;
    Ok(answer(&user))
}

/// `PATCH /api/v1/users/{username}`
pub async fn change(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let username = named(&path)?;
    let change: ChangeUser = body.read().await?;
    let (database, clock) = (&state.database, &state.clock);
    let user = if change.disabled {
        user::disable(database, clock, &username).await?
    } else {
        user::enable(database, &username).await?
    };
    Ok(answer(&user))
}

/// `PUT /api/v1/users/{username}/password`
pub async fn set_password(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let username = named(&path)?;
    let set: SetPassword = body.read().await?;
    let (database, clock) = (&state.database, &state.clock);
    let checked = NewPassword::check(set.password, &username, state.password_policy)?;
    let hash = state.passwords.hash(checked, clock).await?;
    user::set_password(database, clock, &username, &hash).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
