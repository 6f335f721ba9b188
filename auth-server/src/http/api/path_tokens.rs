//! Deploy tokens, `/api/v1/groups/{group}/deploy-tokens` and
//! `/api/v1/projects/{project}/deploy-tokens`; and tokens for one run of a pipeline,
//! `/api/v1/projects/{project}/job-tokens`.

use actix_web::{HttpRequest, HttpResponse, web};
use registry_token::RepositoryName;
use serde::Deserialize;
use utoipa::ToSchema;

use super::listing::List;
use super::tokens::{CreatedTokenJson, created, end_if};
use super::values::{GivenActions, Time};
use crate::accounts::Role;
use crate::accounts::token::{self, Bearer, NewPathToken, PathTokenKind, Token};
use crate::context::Context;
use crate::http::authorize::{Developer, Maintainer, OnGroup, OnProject, may};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

pub const LIST: List = List {
    name: None,
    filters: &[],
};

/// A token to be, with no more rights than its maker has
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPathTokenJson {
    /// What it is called; of a deploy token, the end of its username
    #[schema(min_length = 1, max_length = 64, examples("cluster"))]
    name: String,
    /// `pull`, `push`, `delete`
    #[schema(value_type = Vec<String>, examples(json!(["pull"])))]
    actions: GivenActions,
    /// Which repositories: `*` stands for anything within a component of the name, `**` for any
    /// components. All at and below the path, if nothing is said
    #[schema(max_length = 255, examples("team/app/**"))]
    pattern: Option<String>,
    /// If nothing is said, as late as the settings allow; of a job token, in an hour
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    expires_at: Option<Time>,
}

impl NewPathTokenJson {
    fn read(self) -> Result<NewPathToken, ApiError> {
        Ok(NewPathToken {
            name: self.name,
            actions: self.actions.0,
            pattern: self.pattern.map(|pattern| pattern.parse()).transpose()?,
            expires_at: self.expires_at.map(|time| time.0),
        })
    }
}

/// List the deploy tokens of a group
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}/deploy-tokens",
    operation_id = "list_group_deploy_tokens",
    tag = "deploy tokens",
    params(("group" = String, Path)),
    responses((status = 200, description = "A page of tokens, oldest first", body = Vec<Token>))
)]
pub async fn list_of_group(
    on: OnGroup<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    page(&on.context, &on.group.path, PathTokenKind::Deploy, &request).await
}

/// List the deploy tokens of a project
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}/deploy-tokens",
    operation_id = "list_project_deploy_tokens",
    tag = "deploy tokens",
    params(("project" = String, Path)),
    responses((status = 200, description = "A page of tokens, oldest first", body = Vec<Token>))
)]
pub async fn list_of_project(
    on: OnProject<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    page(
        &on.context,
        &on.project.path,
        PathTokenKind::Deploy,
        &request,
    )
    .await
}

/// List the job tokens of a project
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}/job-tokens",
    operation_id = "list_job_tokens",
    tag = "job tokens",
    params(("project" = String, Path)),
    responses((status = 200, description = "A page of tokens, oldest first", body = Vec<Token>))
)]
pub async fn list_job_tokens(
    on: OnProject<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    page(&on.context, &on.project.path, PathTokenKind::Job, &request).await
}

async fn page(
    context: &Context,
    path: &RepositoryName,
    kind: PathTokenKind,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(request)?;
    let page = token::list_of_path(&context.database, path, kind, &wanted.page).await?;
    Ok(wanted.answer_by_id(request, &page, |token| token.id))
}

/// Make a deploy token of a group
///
/// For the repositories of all projects below it.
#[utoipa::path(
    post,
    path = "/api/v1/groups/{group}/deploy-tokens",
    operation_id = "create_group_deploy_token",
    tag = "deploy tokens",
    params(("group" = String, Path)),
    request_body = NewPathTokenJson,
    responses((status = 201, description = "The token", body = CreatedTokenJson))
)]
pub async fn create_in_group(
    on: OnGroup<Maintainer>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    make_deploy(&on.context, &state, &on.group.path, on.role, body).await
}

/// Make a deploy token of a project
#[utoipa::path(
    post,
    path = "/api/v1/projects/{project}/deploy-tokens",
    operation_id = "create_project_deploy_token",
    tag = "deploy tokens",
    params(("project" = String, Path)),
    request_body = NewPathTokenJson,
    responses((status = 201, description = "The token", body = CreatedTokenJson))
)]
pub async fn create_in_project(
    on: OnProject<Maintainer>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    make_deploy(&on.context, &state, &on.project.path, on.role, body).await
}

async fn make_deploy(
    context: &Context,
    state: &State,
    path: &RepositoryName,
    role: Option<Role>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let new = body.read::<NewPathTokenJson>().await?.read()?;
    let token = token::create_deploy(context, state.token_policy, path, may(role), new).await?;
    Ok(created(token))
}

/// Make a token for one run of a pipeline
#[utoipa::path(
    post,
    path = "/api/v1/projects/{project}/job-tokens",
    operation_id = "create_job_token",
    tag = "job tokens",
    params(("project" = String, Path)),
    request_body = NewPathTokenJson,
    responses((status = 201, description = "The token", body = CreatedTokenJson))
)]
pub async fn create_job_token(
    on: OnProject<Developer>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let new = body.read::<NewPathTokenJson>().await?.read()?;
    let token = token::create_job(&on.context, &on.project.path, may(on.role), new).await?;
    Ok(created(token))
}

/// Revoke a deploy token of a group
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{group}/deploy-tokens/{token}",
    operation_id = "revoke_group_deploy_token",
    tag = "deploy tokens",
    params(("group" = String, Path), ("token" = Uuid, Path)),
    responses((status = 204, description = "The token is revoked"))
)]
pub async fn revoke_in_group(
    on: OnGroup<Maintainer>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    end(&on.context, &on.group.path, PathTokenKind::Deploy, &path.1).await
}

/// Revoke a deploy token of a project
#[utoipa::path(
    delete,
    path = "/api/v1/projects/{project}/deploy-tokens/{token}",
    operation_id = "revoke_project_deploy_token",
    tag = "deploy tokens",
    params(("project" = String, Path), ("token" = Uuid, Path)),
    responses((status = 204, description = "The token is revoked"))
)]
pub async fn revoke_in_project(
    on: OnProject<Maintainer>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    end(
        &on.context,
        &on.project.path,
        PathTokenKind::Deploy,
        &path.1,
    )
    .await
}

/// Revoke a job token
#[utoipa::path(
    delete,
    path = "/api/v1/projects/{project}/job-tokens/{token}",
    operation_id = "revoke_job_token",
    tag = "job tokens",
    params(("project" = String, Path), ("token" = Uuid, Path)),
    responses((status = 204, description = "The token is revoked"))
)]
pub async fn revoke_job_token(
    on: OnProject<Maintainer>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    end(&on.context, &on.project.path, PathTokenKind::Job, &path.1).await
}

async fn end(
    context: &Context,
    path: &RepositoryName,
    kind: PathTokenKind,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    end_if(context, id, |bearer| match (bearer, kind) {
        (Bearer::Deploy(at), PathTokenKind::Deploy) | (Bearer::Job(at), PathTokenKind::Job) => {
            at.path == *path
        }
        (Bearer::Personal(_) | Bearer::Deploy(_) | Bearer::Job(_), _) => false,
    })
    .await
}

#[cfg(test)]
mod tests;
