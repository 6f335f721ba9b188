//! `/api/v1/explain`: what somebody may do, and by which rule.

use actix_web::{HttpRequest, HttpResponse};
use registry_token::{Scope, ShownText};
use uuid::Uuid;

use super::conditional::no_store;
use super::listing::refuse_unknown;
use crate::access::explain::{self, Explanation, Reader};
use crate::access::{PathToken, Subject};
use crate::accounts::token::{self, Bearer, PathBearer};
use crate::accounts::{TokenError, User, UserError, Username, group, user};
use crate::context::Context;
use crate::http::authorize::{AnyUser, Authorized};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;

const PARAMETERS: [&str; 4] = ["scope", "user", "token", "anonymous"];

/// Explain what somebody may do
///
/// As the token realm would decide now; nothing is created. About others than themselves
/// administrators alone may ask.
#[utoipa::path(
    get,
    path = "/api/v1/explain",
    operation_id = "explain",
    tag = "explain",
    params(
        ("scope" = String, Query, description = "What is asked for, as clients write it", example = "repository:team/app:pull,push"),
        ("user" = Option<String>, Query, description = "What this user may do; oneself, if nobody is named"),
        ("token" = Option<Uuid>, Query, description = "What this personal, deploy or job token may do"),
        ("anonymous" = Option<bool>, Query, description = "What anybody may do without logging in"),
    ),
    responses(
        (status = 200, description = "The decision, and the rules that made it", body = Explanation),
        (status = 409, description = "Every credential of the account, or the token, is refused"),
    )
)]
pub async fn show(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    refuse_unknown(&parameters, &PARAMETERS)?;
    let scope = parameters.one("scope")?.ok_or_else(|| {
        ApiError::bad_request(
            "the parameter `scope` says what is asked for, such as `repository:team/app:pull`",
        )
    })?;
    let scope = Scope::parse(scope)?;
    let anonymous = parameters.flag("anonymous")?.unwrap_or_default();
    let context = &authorized.context;
    let own = authorized.caller.user();
    let named = parameters.one("user")?;
    let is_own = named.is_none_or(|name| own.is_some_and(|user| user.username.as_str() == name));
    let token = parameters.one("token")?;
    let others = anonymous || token.is_some() || !is_own;
    if others && !authorized.caller.is_administrator() {
        return Err(ApiError::denied(
            "what others may do is for administrators to ask",
        ));
    }
    let subject = match (named, token, anonymous) {
        (None, None, true) => Subject::Anonymous,
        (None, Some(id), false) => of_token(context, id).await?,
        (Some(name), None, false) => Subject::User(enabled(context, name).await?),
        (None, None, false) => {
            let user = own.ok_or_else(|| {
                ApiError::bad_request("say about whom: by `user`, `token` or `anonymous`")
            })?;
            Subject::User(user.clone())
        }
        _ => {
            return Err(ApiError::bad_request(
                "the parameters `user`, `token` and `anonymous` exclude each other",
            ));
        }
    };
    let reader = if authorized.caller.is_administrator() {
        Reader::Administrator
    } else {
        Reader::Subject
    };
    let now = context.clock.now();
    let explanation = explain::explain(&context.database, now, subject, &scope, reader).await?;
    Ok(no_store(HttpResponse::Ok()).json(explanation))
}

/// A user whose credentials are not refused before anything is decided.
async fn enabled(context: &Context, name: &str) -> Result<User, ApiError> {
    // A name that nobody can have is a name that nobody has.
    let username: Username = name.parse().map_err(|_| {
        let shown = ShownText::new(name);
        ApiError::not_found(format!("there is no user `{shown}`"))
    })?;
    let found = user::find(&context.database, &username).await?;
    let user = found.ok_or(UserError::NotFound(username))?;
    if user.is_disabled() {
        return Err(ApiError::conflict(format!(
            "the account `{}` is disabled: every credential of it is refused",
            user.username
        )));
    }
    Ok(user)
}

async fn of_token(context: &Context, id: &str) -> Result<Subject, ApiError> {
    let id = Uuid::try_parse(id).map_err(|_| TokenError::NotFound)?;
    let found = token::find(&context.database, id).await?;
    let token = found.ok_or(TokenError::NotFound)?;
    if token.has_ended(context.clock.now()) {
        return Err(ApiError::conflict(
            "the token has expired or was revoked: it is refused",
        ));
    }
    match token.bearer {
        Bearer::Personal(personal) => Ok(Subject::PersonalToken {
            user: enabled(context, personal.user.as_str()).await?,
            scopes: personal.scopes,
        }),
        Bearer::Deploy(at) | Bearer::Job(at) => of_path(context, id, at).await,
    }
}

async fn of_path(context: &Context, id: Uuid, at: PathBearer) -> Result<Subject, ApiError> {
    let group = group::find_by_path(&context.database, &at.path).await?;
    Ok(Subject::Token(PathToken {
        id,
        username: at.username,
        of_group: group.is_some(),
        path: at.path,
        actions: at.actions,
        pattern: at.pattern,
    }))
}

#[cfg(test)]
mod tests;
