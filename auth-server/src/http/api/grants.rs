//! `/api/v1/projects/{project}/grants`: rights in a project beside the roles of its members.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::document::IfMatch;
use super::listing::List;
use super::values::{GivenActions, Time};
use super::{conditional, merge};
use crate::accounts::GrantError;
use crate::accounts::grant::{self, Grant, GrantChange, GrantId, NewGrant, NewGrantee};
use crate::http::authorize::{Maintainer, OnProject};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;

pub const LIST: List = List {
    name: None,
    filters: &[],
};

/// A grant to be: to a user, a group or a token
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGrantJson {
    /// The name of a user
    user: Option<String>,
    /// The path of a group: its members, and those of the groups above it
    group: Option<String>,
    /// The id of a deploy or job token
    token: Option<Uuid>,
    /// `pull`, `push`, `delete`
    #[schema(value_type = Vec<String>, examples(json!(["pull", "push"])))]
    actions: GivenActions,
    /// Which repositories of the project: `*` stands for anything within a component of the name,
    /// `**` for any components. All, if nothing is said
    #[schema(max_length = 255, examples("team/app/**"))]
    pattern: Option<String>,
    /// For good, if nothing is said
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    expires_at: Option<Time>,
}

/// What is to be different
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "missing, null and a value are three things"
)]
struct GrantChangeJson {
    #[serde(default, deserialize_with = "merge::value")]
    #[schema(value_type = Vec<String>)]
    actions: Option<GivenActions>,
    #[serde(default, deserialize_with = "merge::value")]
    #[schema(value_type = String)]
    pattern: Option<String>,
    /// `null`: for good
    #[serde(default, deserialize_with = "merge::nullable")]
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    expires_at: Option<Option<Time>>,
}

/// A grant that nothing can be called is one that is not there.
fn named(path: &web::Path<(String, String)>) -> Result<GrantId, ApiError> {
    let id = Uuid::try_parse(&path.1).map_err(|_| GrantError::NotFound)?;
    Ok(GrantId(id))
}

/// List the grants of a project
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}/grants",
    operation_id = "list_grants",
    tag = "grants",
    params(("project" = String, Path)),
    responses((status = 200, description = "A page of grants, oldest first", body = Vec<Grant>))
)]
pub async fn list(
    on: OnProject<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(&request)?;
    let page = grant::list(&on.context.database, on.project.id, &wanted.page).await?;
    Ok(wanted.answer_by_id(&request, &page, |grant| grant.id.0))
}

/// Grant something in a project
#[utoipa::path(
    post,
    path = "/api/v1/projects/{project}/grants",
    operation_id = "create_grant",
    tag = "grants",
    params(("project" = String, Path)),
    request_body = NewGrantJson,
    responses((status = 201, description = "The grant", body = Grant))
)]
pub async fn create(on: OnProject<Maintainer>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    let json: NewGrantJson = body.read().await?;
    let to = match (json.user, json.group, json.token) {
        (Some(user), None, None) => NewGrantee::User(user.parse()?),
        (None, Some(group), None) => NewGrantee::Group(
            group
                .parse()
                .map_err(|reason| ApiError::invalid(format!("group: {reason}")))?,
        ),
        (None, None, Some(token)) => NewGrantee::Token(token),
        _ => {
            return Err(ApiError::invalid(
                "a grant is to one of `user`, `group` and `token`",
            ));
        }
    };
    let project = &on.project;
    let pattern = json
        .pattern
        .unwrap_or_else(|| format!("{}/**", project.path));
    let new = NewGrant {
        to,
        actions: json.actions.0,
        pattern: pattern.parse()?,
        expires_at: json.expires_at.map(|time| time.0),
    };
    let grant = grant::create(&on.context, on.caller.rights(), project.id, new).await?;
    let mut response = HttpResponse::Created();
    let (project, id) = (project.id.0, grant.id.0);
    response.insert_header((
        header::LOCATION,
        format!("/api/v1/projects/{project}/grants/{id}"),
    ));
    Ok(conditional::changed(response, grant.version, &grant))
}

/// Show a grant
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}/grants/{grant}",
    operation_id = "show_grant",
    tag = "grants",
    params(("project" = String, Path), ("grant" = Uuid, Path)),
    responses((status = 200, description = "The grant", body = Grant))
)]
pub async fn show(
    on: OnProject<Maintainer>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let found = grant::find(&on.context.database, on.project.id, named(&path)?).await?;
    let grant = found.ok_or(GrantError::NotFound)?;
    Ok(conditional::answer(&request, grant.version, &grant))
}

/// Change a grant
#[utoipa::path(
    patch,
    path = "/api/v1/projects/{project}/grants/{grant}",
    operation_id = "change_grant",
    tag = "grants",
    params(("project" = String, Path), ("grant" = Uuid, Path), IfMatch),
    request_body = GrantChangeJson,
    responses((status = 200, description = "The grant as it is now", body = Grant))
)]
pub async fn change(
    on: OnProject<Maintainer>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id = named(&path)?;
    let expected = conditional::expected(&request)?;
    let json: GrantChangeJson = body.read().await?;
    let change = GrantChange {
        actions: json.actions.map(|given| given.0),
        pattern: json.pattern.map(|pattern| pattern.parse()).transpose()?,
        expires_at: json.expires_at.map(|time| time.map(|time| time.0)),
    };
    let grant = grant::update(&on.context, on.project.id, id, change, expected).await?;
    Ok(conditional::changed(
        HttpResponse::Ok(),
        grant.version,
        &grant,
    ))
}

/// Take a grant back
///
/// Tokens that are issued from now on follow it.
#[utoipa::path(
    delete,
    path = "/api/v1/projects/{project}/grants/{grant}",
    operation_id = "delete_grant",
    tag = "grants",
    params(("project" = String, Path), ("grant" = Uuid, Path), IfMatch),
    responses((status = 204, description = "There is no such grant any more"))
)]
pub async fn delete(
    on: OnProject<Maintainer>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = named(&path)?;
    let expected = conditional::expected(&request)?;
    grant::delete(&on.context, on.project.id, id, expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
