//! `/api/v1/openapi.json`: what there is, as `OpenAPI` 3.1.
//!
//! Each handler describes itself; what all of its kind have in common (errors, pages, entity tags,
//! credentials) is added here. Tests hold the document to the table of addresses.

use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required};
use utoipa::{IntoParams, OpenApi};

use super::listing::List;
use super::{
    audit, explain, grants, groups, import, keys, me, members, path_tokens, projects, session,
    sessions, system, tokens, users,
};
use crate::accounts::PageRequest;
use crate::http::authenticate::COOKIE;
use crate::http::error::ApiError;
use crate::http::routes::{ENDPOINTS, Requires};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portcullis admin API",
        description = "Users, groups, projects, tokens, keys and the audit log of a Portcullis \
                       auth-server.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/")),
    paths(
        explain::show,
        session::create,
        session::show,
        session::delete,
        me::show,
        me::change_password,
        tokens::list_mine,
        tokens::create_mine,
        tokens::revoke_mine,
        sessions::list_mine,
        sessions::revoke_all_mine,
        sessions::revoke_mine,
        system::show,
        audit::list,
        audit::export,
        keys::list,
        keys::rotate,
        keys::import,
        keys::show,
        keys::retire,
        users::list,
        users::create,
        users::show,
        users::change,
        users::delete,
        users::set_password,
        import::htpasswd,
        tokens::list,
        tokens::create,
        tokens::revoke,
        sessions::list,
        sessions::revoke_all,
        sessions::revoke,
        groups::list,
        groups::create,
        groups::show,
        groups::put,
        groups::change,
        groups::delete,
        projects::list,
        projects::create,
        projects::show,
        projects::put,
        projects::change,
        projects::delete,
        members::list_of_group,
        members::list_of_project,
        members::set_in_group,
        members::set_in_project,
        members::remove_from_group,
        members::remove_from_project,
        grants::list,
        grants::create,
        grants::show,
        grants::change,
        grants::delete,
        path_tokens::list_of_group,
        path_tokens::list_of_project,
        path_tokens::list_job_tokens,
        path_tokens::create_in_group,
        path_tokens::create_in_project,
        path_tokens::create_job_token,
        path_tokens::revoke_in_group,
        path_tokens::revoke_in_project,
        path_tokens::revoke_job_token,
        show,
    )
)]
struct Handlers;

/// The lists, and what can be asked of each.
const LISTS: &[(&str, &List)] = &[
    ("/api/v1/groups", &groups::LIST),
    ("/api/v1/groups/{group}/deploy-tokens", &path_tokens::LIST),
    ("/api/v1/groups/{group}/members", &members::LIST),
    ("/api/v1/me/sessions", &sessions::LIST),
    ("/api/v1/me/tokens", &tokens::LIST),
    ("/api/v1/projects", &projects::LIST),
    (
        "/api/v1/projects/{project}/deploy-tokens",
        &path_tokens::LIST,
    ),
    ("/api/v1/projects/{project}/grants", &grants::LIST),
    ("/api/v1/projects/{project}/job-tokens", &path_tokens::LIST),
    ("/api/v1/projects/{project}/members", &members::LIST),
    ("/api/v1/users", &users::LIST),
    ("/api/v1/users/{username}/sessions", &sessions::LIST),
    ("/api/v1/users/{username}/tokens", &tokens::LIST),
];

/// Schemas of objects that have a version, and hence an entity tag.
const VERSIONED: &[&str] = &["Grant", "Group", "Membership", "Project", "User"];

/// The header of a change that is meant for one version of an object.
pub enum IfMatch {}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The `ETag` of what is to be changed, as it came; 412 if somebody else was faster",
            ))
            .schema(Some(
                ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String),
            ))
            .build();
        vec![header]
    }
}

/// The header of a PUT that is to create something, or fail.
pub enum IfNoneMatch {}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name("If-None-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("`*`: 412 if it is there already"))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some(["*"])),
            ))
            .build();
        vec![header]
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(complete);

/// This document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "show_document",
    tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub async fn show(_: HttpRequest) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .json(&*DOCUMENT)
}

/// What the handlers say, and what goes without saying.
fn complete() -> Value {
    let mut handlers = Handlers::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut handlers.info.version);
    let mut document = serde_json::to_value(&handlers).unwrap_or_default();
    document["components"]["schemas"]["Errors"] = errors_schema();
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A personal token with the scope `api`, or `read_api` for reading.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": COOKIE,
            "description": "The cookie of `POST /api/v1/session`; changes take the header \
                            `X-CSRF-Token` too, which `GET /api/v1/session` tells.",
        },
    });
    for endpoint in ENDPOINTS {
        for method in endpoint.methods {
            let name = method.as_str().to_ascii_lowercase();
            if let Some(Value::Object(operation)) = document
                .pointer_mut("/paths")
                .and_then(|paths| paths.get_mut(endpoint.path)?.get_mut(&name))
            {
                let list = LISTS
                    .iter()
                    .find(|(path, _)| method == Method::GET && *path == endpoint.path);
                if let Some((_, list)) = list {
                    add_list(operation, list);
                }
                add_entity_tags(operation, method);
                add_errors(operation, method, endpoint.requires);
            }
        }
    }
    document
}

fn errors_schema() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was refused.",
        "required": ["errors"],
        "properties": {
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["code", "message", "detail"],
                    "properties": {
                        "code": {"type": "string", "enum": ApiError::codes()},
                        "message": {
                            "type": "string",
                            "description": "A sentence for people; scripts go by status and code.",
                        },
                        "detail": {},
                    },
                },
            },
        },
    })
}

/// The list at `key`, made if it is not there.
fn list_at<'o>(operation: &'o mut Map<String, Value>, key: &str) -> Option<&'o mut Vec<Value>> {
    operation
        .entry(key)
        .or_insert_with(|| json!([]))
        .as_array_mut()
}

fn add_list(operation: &mut Map<String, Value>, list: &List) {
    if let Some(parameters) = list_at(operation, "parameters") {
        parameters.extend([
            json!({
                "name": "limit", "in": "query", "required": false,
                "description": format!(
                    "Entries a page; more than {} are brought down to it", PageRequest::MAX_LIMIT
                ),
                "schema": {"type": "integer", "minimum": 1, "maximum": u32::MAX, "default": 50},
            }),
            json!({
                "name": "after", "in": "query", "required": false,
                "description": "Where the page before this one ended; `Link` has it",
                "schema": {"type": "string"},
            }),
        ]);
        if let Some(name) = list.name {
            parameters.push(json!({
                "name": "sort", "in": "query", "required": false,
                "description": "With `-` in front: from the last to the first",
                "schema": {"type": "string", "enum": list.sorts(), "default": name},
            }));
        }
    }
    operation["responses"]["200"]["headers"] = json!({
        "X-Total-Count": {
            "description": "How many entries all pages have together",
            "schema": {"type": "integer"},
        },
        "Link": {
            "description": "The next page, with `rel=\"next\"`; not on the last one",
            "schema": {"type": "string"},
        },
    });
}

fn add_entity_tags(operation: &mut Map<String, Value>, method: &Method) {
    let versioned = |response: &Value| {
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        let name = schema.as_str().and_then(|name| name.rsplit('/').next());
        name.is_some_and(|name| VERSIONED.contains(&name))
    };
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    let mut found = false;
    for response in responses
        .values_mut()
        .filter(|response| versioned(response))
    {
        response["headers"]["ETag"] = json!({
            "description": "The version, for `If-Match` and `If-None-Match`",
            "schema": {"type": "string"},
        });
        found = true;
    }
    if found && method == Method::GET {
        responses.insert(
            "304".to_owned(),
            json!({"description": "The client has this version"}),
        );
        if let Some(parameters) = list_at(operation, "parameters") {
            parameters.push(json!({
                "name": "If-None-Match", "in": "header", "required": false,
                "description": "An `ETag`; 304 if it still is the object's",
                "schema": {"type": "string"},
            }));
        }
    }
}

fn add_errors(operation: &mut Map<String, Value>, method: &Method, requires: Requires) {
    let has_parameter = |key: &str, value: &str| {
        operation
            .get("parameters")
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|parameter| parameter[key] == value))
    };
    let reads = method == Method::GET;
    let protected = requires != Requires::Nothing;
    let has_body = operation.contains_key("requestBody");
    let conditional = has_parameter("name", "If-Match");
    let errors = [
        (400, "The request cannot be read", true),
        (401, "Nobody has logged in, or not rightly", protected),
        (403, "The caller may not do this", protected),
        (
            404,
            "There is no such thing, or none that the caller may know of",
            has_parameter("in", "path")
                || matches!(requires, Requires::AnyUser | Requires::InSession),
        ),
        (408, "The body did not come in time", has_body),
        (409, "What is stored stands against it", !reads),
        (412, "It has been changed since it was read", conditional),
        (413, "The body is too large", has_body),
        (415, "The body is not of the right media type", has_body),
        (422, "A value is refused", has_body),
        (
            429,
            "Too many attempts; `Retry-After` says when to come back",
            protected,
        ),
        (
            500,
            "A defect; the log has more under the `X-Request-Id`",
            true,
        ),
        (
            503,
            "The database is away; `Retry-After` says when to come back",
            true,
        ),
    ];
    for (status, description, applies) in errors {
        if applies {
            operation["responses"][status.to_string()] = json!({"description": description});
        }
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        for (status, response) in responses {
            if status.starts_with(['4', '5']) {
                response["content"] = json!({
                    "application/json": {"schema": {"$ref": "#/components/schemas/Errors"}},
                });
            }
        }
    }
    let security = if protected {
        json!([{"token": []}, {"session": []}])
    } else {
        json!([])
    };
    operation.insert("security".to_owned(), security);
    if *method == Method::PATCH {
        let content = &mut operation["requestBody"]["content"];
        let schema = content["application/json"].clone();
        content["application/merge-patch+json"] = schema;
    }
}

#[cfg(test)]
mod tests;
