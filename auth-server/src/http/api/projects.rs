//! `/api/v1/projects`. In an address a project goes by its id, or by its path with each `/`
//! written `%2F`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::document::{IfMatch, IfNoneMatch};
use super::listing::List;
use super::{conditional, groups, merge};
use crate::accounts::project::{self, NewProject, Project, ProjectChange, ProjectFilter};
use crate::accounts::{Visibility, namespace};
use crate::http::authorize::{
    AnyUser, Authorized, Maintainer, OnProject, Owner, Seen, path_to_put,
};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;

pub const LIST: List = List {
    name: Some("path"),
    filters: &["below", "search", "visibility"],
};

/// A project to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProjectJson {
    /// Below a group or a user's name, or of one component, which takes an administrator
    #[schema(max_length = 255, examples("team/app"))]
    path: String,
    /// The first member, with the role of an owner
    owner: Option<String>,
    /// Private, if nothing is said
    visibility: Option<Visibility>,
}

/// A project as it is to be
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectJson {
    /// Private, if nothing is said
    visibility: Option<Visibility>,
}

/// What is to be different
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectChangeJson {
    /// Who may pull without being named; tokens that are issued from now on follow it
    #[serde(default, deserialize_with = "merge::value")]
    #[schema(value_type = Visibility)]
    visibility: Option<Visibility>,
}

/// List projects
///
/// All that the caller may know of.
#[utoipa::path(
    get,
    path = "/api/v1/projects",
    operation_id = "list_projects",
    tag = "projects",
    params(
        ("below" = Option<String>, Query, description = "In this group or namespace, at any depth"),
        ("search" = Option<String>, Query, description = "Part of the path"),
        ("visibility" = Option<Visibility>, Query, description = "Of this visibility alone"),
    ),
    responses((status = 200, description = "A page of projects", body = Vec<Project>))
)]
pub async fn list(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(&request)?;
    let context = &authorized.context;
    let filter = ProjectFilter {
        below: groups::below(&wanted)?,
        search: wanted.text("search")?,
        visibility: wanted.word("visibility")?,
        ..ProjectFilter::seen_by(authorized.caller.rights(), context.clock.now())
    };
    let page = project::list(&context.database, &filter, &wanted.page).await?;
    Ok(wanted.answer(
        &request,
        &page,
        |project| project.path.to_string(),
        |project| project.id.0,
    ))
}

/// Create a project
///
/// Repositories need no creation: they come into being with their first push.
#[utoipa::path(
    post,
    path = "/api/v1/projects",
    operation_id = "create_project",
    tag = "projects",
    request_body = NewProjectJson,
    responses((status = 201, description = "The project", body = Project))
)]
pub async fn create(
    authorized: Authorized<AnyUser>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let create: NewProjectJson = body.read().await?;
    let new = NewProject {
        path: namespace::parse_path(&create.path)?,
        owner: create.owner.map(|owner| owner.parse()).transpose()?,
        visibility: create.visibility.unwrap_or(Visibility::Private),
    };
    let project = project::create(&authorized.context, authorized.caller.rights(), new).await?;
    let mut response = HttpResponse::Created();
    let id = project.id.0;
    response.insert_header((header::LOCATION, format!("/api/v1/projects/{id}")));
    Ok(conditional::changed(response, project.version, &project))
}

/// Show a project
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}",
    operation_id = "show_project",
    tag = "projects",
    params(("project" = String, Path)),
    responses((status = 200, description = "The project", body = Project))
)]
pub async fn show(on: OnProject<Seen>, request: HttpRequest) -> HttpResponse {
    conditional::answer(&request, on.project.version, &on.project)
}

/// Create a project, or replace what it is like
///
/// May be repeated. The members stay as they are; whoever creates one is no member by that.
#[utoipa::path(
    put,
    path = "/api/v1/projects/{project}",
    operation_id = "put_project",
    tag = "projects",
    params(("project" = String, Path, description = "The path; not the id"), IfMatch, IfNoneMatch),
    request_body = ProjectJson,
    responses(
        (status = 200, description = "The project as it is now", body = Project),
        (status = 201, description = "The new project", body = Project),
    )
)]
pub async fn put(
    authorized: Authorized<AnyUser>,
    request: HttpRequest,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let path = path_to_put(&request, "project")?;
    let expected = conditional::expected_by_put(&request)?;
    let json: ProjectJson = body.read().await?;
    let new = NewProject {
        path,
        owner: None,
        visibility: json.visibility.unwrap_or(Visibility::Private),
    };
    let rights = authorized.caller.rights();
    let put = project::put(&authorized.context, rights, &new, expected).await?;
    Ok(conditional::put(&put, put.object.version))
}

/// Change a project
#[utoipa::path(
    patch,
    path = "/api/v1/projects/{project}",
    operation_id = "change_project",
    tag = "projects",
    params(("project" = String, Path), IfMatch),
    request_body = ProjectChangeJson,
    responses((status = 200, description = "The project as it is now", body = Project))
)]
pub async fn change(
    on: OnProject<Maintainer>,
    request: HttpRequest,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let expected = conditional::expected(&request)?;
    let change: ProjectChangeJson = body.read().await?;
    let change = ProjectChange {
        visibility: change.visibility,
    };
    let project = project::update(&on.context, on.project.id, change, expected).await?;
    Ok(conditional::changed(
        HttpResponse::Ok(),
        project.version,
        &project,
    ))
}

/// Delete a project
///
/// With its members, grants and tokens. The images stay in the registry, and fall to the next
/// shorter project.
#[utoipa::path(
    delete,
    path = "/api/v1/projects/{project}",
    operation_id = "delete_project",
    tag = "projects",
    params(("project" = String, Path), IfMatch),
    responses((status = 204, description = "There is no such project any more"))
)]
pub async fn delete(on: OnProject<Owner>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let expected = conditional::expected(&request)?;
    project::delete(&on.context, on.project.id, expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
