//! `/api/v1/groups/{group}/members` and `/api/v1/projects/{project}/members`.

use actix_web::{HttpRequest, HttpResponse, web};
use registry_token::{RepositoryName, ShownText};
use serde::Deserialize;
use utoipa::ToSchema;

use super::conditional;
use super::document::{IfMatch, IfNoneMatch};
use super::listing::List;
use super::values::Time;
use crate::accounts::membership::{self, Member, MemberFilter, Membership, NewMembership};
use crate::accounts::{Role, Username};
use crate::context::Context;
use crate::http::authenticate::Caller;
use crate::http::authorize::{Guest, OnGroup, OnProject, Owner};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;

pub const LIST: List = List {
    name: Some("username"),
    filters: &["inherited", "search"],
};

/// What a user is to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MembershipJson {
    role: Role,
    /// For good, if nothing is said
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    expires_at: Option<Time>,
}

/// List the members of a group
///
/// With what they are in the groups above.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}/members",
    operation_id = "list_group_members",
    tag = "members",
    params(
        ("group" = String, Path),
        ("inherited" = Option<bool>, Query, description = "Members of the groups above too"),
        ("search" = Option<String>, Query, description = "Part of the username"),
    ),
    responses((status = 200, description = "A page of members", body = Vec<Member>))
)]
pub async fn list_of_group(
    on: OnGroup<Guest>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    list(&on.context, &on.group.path, &request).await
}

/// List the members of a project
///
/// With what they are in the groups above.
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}/members",
    operation_id = "list_project_members",
    tag = "members",
    params(
        ("project" = String, Path),
        ("inherited" = Option<bool>, Query, description = "Members of the groups above too"),
        ("search" = Option<String>, Query, description = "Part of the username"),
    ),
    responses((status = 200, description = "A page of members", body = Vec<Member>))
)]
pub async fn list_of_project(
    on: OnProject<Guest>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    list(&on.context, &on.project.path, &request).await
}

async fn list(
    context: &Context,
    path: &RepositoryName,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(request)?;
    let filter = MemberFilter {
        inherited: wanted.flag("inherited")?.unwrap_or_default(),
        search: wanted.text("search")?,
    };
    let now = context.clock.now();
    let page = membership::list(&context.database, now, path, &filter, &wanted.page).await?;
    Ok(wanted.answer(
        request,
        &page,
        |member| member.username.to_string(),
        |member| member.user_id.0,
    ))
}

/// Make somebody a member of a group, or change what they are
#[utoipa::path(
    put,
    path = "/api/v1/groups/{group}/members/{username}",
    operation_id = "set_group_member",
    tag = "members",
    params(("group" = String, Path), ("username" = String, Path), IfMatch, IfNoneMatch),
    request_body = MembershipJson,
    responses(
        (status = 200, description = "The membership as it is now", body = Membership),
        (status = 201, description = "The new membership", body = Membership),
    )
)]
pub async fn set_in_group(
    on: OnGroup<Owner>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    set(
        &on.context,
        &on.caller,
        &on.group.path,
        &path.1,
        &request,
        body,
    )
    .await
}

/// Make somebody a member of a project, or change what they are
#[utoipa::path(
    put,
    path = "/api/v1/projects/{project}/members/{username}",
    operation_id = "set_project_member",
    tag = "members",
    params(("project" = String, Path), ("username" = String, Path), IfMatch, IfNoneMatch),
    request_body = MembershipJson,
    responses(
        (status = 200, description = "The membership as it is now", body = Membership),
        (status = 201, description = "The new membership", body = Membership),
    )
)]
pub async fn set_in_project(
    on: OnProject<Owner>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    set(
        &on.context,
        &on.caller,
        &on.project.path,
        &path.1,
        &request,
        body,
    )
    .await
}

async fn set(
    context: &Context,
    caller: &Caller,
    path: &RepositoryName,
    username: &str,
    request: &HttpRequest,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let username = named(username)?;
    let expected = conditional::expected_by_put(request)?;
    let json: MembershipJson = body.read().await?;
    let new = NewMembership {
        role: json.role,
        expires_at: json.expires_at.map(|time| time.0),
    };
    let set = membership::set(context, caller.rights(), path, &username, new, expected).await?;
    Ok(conditional::put(&set, set.object.version))
}

/// End a membership in a group
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{group}/members/{username}",
    operation_id = "remove_group_member",
    tag = "members",
    params(("group" = String, Path), ("username" = String, Path), IfMatch),
    responses((status = 204, description = "Nobody of this name is a member any more"))
)]
pub async fn remove_from_group(
    on: OnGroup<Owner>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    remove(&on.context, &on.caller, &on.group.path, &path.1, &request).await
}

/// End a membership in a project
#[utoipa::path(
    delete,
    path = "/api/v1/projects/{project}/members/{username}",
    operation_id = "remove_project_member",
    tag = "members",
    params(("project" = String, Path), ("username" = String, Path), IfMatch),
    responses((status = 204, description = "Nobody of this name is a member any more"))
)]
pub async fn remove_from_project(
    on: OnProject<Owner>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    remove(&on.context, &on.caller, &on.project.path, &path.1, &request).await
}

async fn remove(
    context: &Context,
    caller: &Caller,
    path: &RepositoryName,
    username: &str,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let username = named(username)?;
    let expected = conditional::expected(request)?;
    membership::remove(context, caller.rights(), path, &username, expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn named(username: &str) -> Result<Username, ApiError> {
    username.parse().map_err(|_| {
        let shown = ShownText::new(username);
        ApiError::not_found(format!("there is no user `{shown}`"))
    })
}

#[cfg(test)]
mod tests;
