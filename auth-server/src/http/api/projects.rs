//! `/api/v1/projects`. In an address a project goes by its id, or by its path with each `/`
//! written `%2F`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;
use registry_token::RepositoryName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::pagination;
use crate::accounts::project::{self, NewProject, OwnedProject};
use crate::accounts::{ProjectError, ProjectId, Username, Visibility};
use crate::http::authorize::{Administrator, Authorized};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

/// A project as clients see it.
#[derive(Serialize)]
struct ProjectJson<'a> {
    id: ProjectId,
    /// `project_id` in tokens.
    number: i64,
    path: &'a RepositoryName,
    owner: Option<&'a Username>,
    visibility: Visibility,
    created_at: DateTime<Utc>,
}

impl<'a> From<&'a OwnedProject> for ProjectJson<'a> {
    fn from(owned: &'a OwnedProject) -> Self {
        Self {
            id: owned.project.id,
            number: owned.project.number,
            path: &owned.project.path,
            owner: owned.owner.as_ref(),
            visibility: owned.project.visibility,
            created_at: owned.project.created_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateProject {
    path: String,
    owner: Option<String>,
    visibility: Option<Visibility>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeProject {
    visibility: Visibility,
}

/// The project that an address names.
async fn named(state: &State, segment: &str) -> Result<OwnedProject, ApiError> {
    let database = &state.database;
    let found = if let Ok(id) = Uuid::try_parse(segment) {
        project::find_by_id(database, ProjectId(id)).await?
    } else {
        // The router decodes all but the slash.
        let path = percent_decode_str(segment).decode_utf8_lossy();
        match RepositoryName::parse(&path) {
            Ok(path) => project::find_by_path(database, &path).await?,
            Err(_) => None,
        }
    };
    Ok(found.ok_or(ProjectError::NotFound)?)
}

fn answer(project: &OwnedProject) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ProjectJson::from(project))
}

/// `GET /api/v1/projects`
pub async fn list(
    _: Authorized<Administrator>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let wanted = pagination::requested(&request)?;
    let page = project::list(&state.database, &wanted).await?;
    Ok(pagination::answer(
        &request,
        &wanted,
        &page,
        |owned| owned.project.path.as_str(),
        |owned| serde_json::json!(ProjectJson::from(owned)),
    ))
}

/// `POST /api/v1/projects`
pub async fn create(
    _: Authorized<Administrator>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let create: CreateProject = body.read().await?;
    let path = RepositoryName::parse(&create.path)
        .map_err(|reason| ApiError::invalid(format!("path: {reason}")))?;
    let new = NewProject {
        path,
        owner: create.owner.map(|owner| owner.parse()).transpose()?,
        visibility: create.visibility.unwrap_or(Visibility::Private),
    };
    let project = project::create(&state.database, &state.clock, new).await?;
    let id = project.project.id.0;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/projects/{id}")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ProjectJson::from(&project)))
}

/// `GET /api/v1/projects/{project}`
pub async fn show(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(answer(&named(&state, &path).await?))
}

/// `PATCH /api/v1/projects/{project}`
pub async fn change(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut found = named(&state, &path).await?;
    let change: ChangeProject = body.read().await?;
    let database = &state.database;
    found.project = project::set_visibility(database, found.project.id, change.visibility).await?;
    Ok(answer(&found))
}

/// `DELETE /api/v1/projects/{project}`
pub async fn delete(
    _: Authorized<Administrator>,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let found = named(&state, &path).await?;
    project::delete(&state.database, found.project.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
