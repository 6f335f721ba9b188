//! `/api/v1/projects`. In an address a project goes by its id, or by its path with each `/`
//! written `%2F`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use registry_token::RepositoryName;
use serde::Deserialize;
use uuid::Uuid;

use super::listing::List;
use crate::accounts::namespace;
use crate::accounts::project::{self, NewProject, ProjectChange, ProjectFilter};
use crate::accounts::{Caller, Project, ProjectError, ProjectId, Visibility};
use crate::http::authorize::{Administrator, Authorized};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::state::State;

const LIST: List = List {
    name: "path",
    filters: &[],
};

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
async fn named(state: &State, segment: &str) -> Result<Project, ApiError> {
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

fn answer(project: &Project) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(project)
}

/// `GET /api/v1/projects`
pub async fn list(
    _: Authorized<Administrator>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let wanted = LIST.wanted(&request)?;
    let all = ProjectFilter::seen_by(Caller::Administrator, state.clock.now());
    let page = project::list(&state.database, &all, &wanted.page).await?;
    Ok(wanted.answer(
        &request,
        &page,
        |project| project.path.to_string(),
        |project| project.id.0,
    ))
}

/// `POST /api/v1/projects`
pub async fn create(
    caller: Authorized<Administrator>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let create: CreateProject = body.read().await?;
    let path = namespace::parse_path(&create.path)
        .map_err(|reason| ApiError::invalid(format!("path: {reason}")))?;
    let new = NewProject {
        path,
        owner: create.owner.map(|owner| owner.parse()).transpose()?,
        visibility: create.visibility.unwrap_or(Visibility::Private),
    };
    let project = project::create(&caller.context, Caller::Administrator, new).await?;
    let id = project.id.0;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/projects/{id}")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(&project))
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
    caller: Authorized<Administrator>,
    path: web::Path<String>,
    body: JsonBody,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let found = named(&state, &path).await?;
    let change: ChangeProject = body.read().await?;
    let change = ProjectChange {
        visibility: Some(change.visibility),
    };
    let changed = project::update(&caller.context, found.id, change, None).await?;
    Ok(answer(&changed))
}

/// `DELETE /api/v1/projects/{project}`
pub async fn delete(
    caller: Authorized<Administrator>,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let found = named(&state, &path).await?;
    project::delete(&caller.context, found.id, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests;
