//! `/api/v1/groups`. In an address a group goes by its id, or by its path with each `/` written
//! `%2F`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::document::{IfMatch, IfNoneMatch};
use super::listing::{List, Wanted};
use super::{conditional, merge};
use crate::accounts::group::{self, Group, GroupChange, GroupFilter, NewGroup};
use crate::accounts::namespace;
use crate::http::authorize::{AnyUser, Authorized, Maintainer, OnGroup, Owner, Seen, path_to_put};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;

pub const LIST: List = List {
    name: Some("path"),
    filters: &["below", "search"],
};

/// A group to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroupJson {
    /// Below an existing group, or of one component, which takes an administrator
    #[schema(max_length = 255, examples("platform/backend"))]
    path: String,
    /// The first member, with the role of an owner
    owner: Option<String>,
    /// Whether a push to a path that no project covers makes a private project
    #[serde(default)]
    create_on_push: bool,
}

/// A group as it is to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupJson {
    /// Whether a push to a path that no project covers makes a private project; not, if nothing is said
    #[serde(default)]
    create_on_push: bool,
}

/// What is to be different
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupChangeJson {
    /// Whether a push to a path that no project covers makes a private project
    #[serde(default, deserialize_with = "merge::value")]
    #[schema(value_type = bool)]
    create_on_push: Option<bool>,
}

/// The part of the tree that `below` names.
pub(super) fn below(wanted: &Wanted) -> Result<Option<registry_token::RepositoryName>, ApiError> {
    wanted.word("below")
}

/// List groups
///
/// All that the caller may know of.
#[utoipa::path(
    get,
    path = "/api/v1/groups",
    operation_id = "list_groups",
    tag = "groups",
    params(
        ("below" = Option<String>, Query, description = "In this group, at any depth"),
        ("search" = Option<String>, Query, description = "Part of the path"),
    ),
    responses((status = 200, description = "A page of groups", body = Vec<Group>))
)]
pub async fn list(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(&request)?;
    let context = &authorized.context;
    let filter = GroupFilter {
        below: below(&wanted)?,
        search: wanted.text("search")?,
        ..GroupFilter::seen_by(authorized.caller.rights(), context.clock.now())
    };
    let page = group::list(&context.database, &filter, &wanted.page).await?;
    Ok(wanted.answer(
        &request,
        &page,
        |group| group.path.to_string(),
        |group| group.id.0,
    ))
}

/// Create a group
#[utoipa::path(
    post,
    path = "/api/v1/groups",
    operation_id = "create_group",
    tag = "groups",
    request_body = NewGroupJson,
    responses((status = 201, description = "The group", body = Group))
)]
pub async fn create(
    authorized: Authorized<AnyUser>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let create: NewGroupJson = body.read().await?;
    let new = NewGroup {
        path: namespace::parse_path(&create.path)?,
        owner: create.owner.map(|owner| owner.parse()).transpose()?,
        create_on_push: create.create_on_push,
    };
    let group = group::create(&authorized.context, authorized.caller.rights(), new).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("/api/v1/groups/{}", group.id.0)));
    Ok(conditional::changed(response, group.version, &group))
}

/// Show a group
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}",
    operation_id = "show_group",
    tag = "groups",
    params(("group" = String, Path)),
    responses((status = 200, description = "The group", body = Group))
)]
pub async fn show(on: OnGroup<Seen>, request: HttpRequest) -> HttpResponse {
    conditional::answer(&request, on.group.version, &on.group)
}

/// Create a group, or replace what it is like
///
/// May be repeated. The members stay as they are; whoever creates one is no member by that.
#[utoipa::path(
    put,
    path = "/api/v1/groups/{group}",
    operation_id = "put_group",
    tag = "groups",
    params(("group" = String, Path, description = "The path; not the id"), IfMatch, IfNoneMatch),
    request_body = GroupJson,
    responses(
        (status = 200, description = "The group as it is now", body = Group),
        (status = 201, description = "The new group", body = Group),
    )
)]
pub async fn put(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let path = path_to_put(&request, "group")?;
    let expected = conditional::expected_by_put(&request)?;
    let json: GroupJson = body.read().await?;
    let new = NewGroup {
        path,
        owner: None,
        create_on_push: json.create_on_push,
    };
    let rights = authorized.caller.rights();
    let put = group::put(&authorized.context, rights, &new, expected).await?;
    Ok(conditional::put(&put, put.object.version))
}

/// Change a group
#[utoipa::path(
    patch,
    path = "/api/v1/groups/{group}",
    operation_id = "change_group",
    tag = "groups",
    params(("group" = String, Path), IfMatch),
    request_body = GroupChangeJson,
    responses((status = 200, description = "The group as it is now", body = Group))
)]
pub async fn change(
    on: OnGroup<Maintainer>,
    request: HttpRequest,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let expected = conditional::expected(&request)?;
    let change: GroupChangeJson = body.read().await?;
    let change = GroupChange {
        create_on_push: change.create_on_push,
    };
    let group = group::update(&on.context, on.group.id, change, expected).await?;
    Ok(conditional::changed(
        HttpResponse::Ok(),
        group.version,
        &group,
    ))
}

/// Delete a group
///
/// With its members and tokens. A group in which something lies is refused.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{group}",
    operation_id = "delete_group",
    tag = "groups",
    params(("group" = String, Path), IfMatch),
    responses((status = 204, description = "There is no such group any more"))
)]
pub async fn delete(on: OnGroup<Owner>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let expected = conditional::expected(&request)?;
    group::delete(&on.context, on.group.id, expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
