//! The rows. Those of one path stand together.

use actix_web::web;

use super::Requires::{Administrator, AnyUser, Nothing, ThatUser};
use super::{DELETE, Endpoint, GET, GET_ALONE, PATCH, POST, PUT, change, read};
use crate::audit::Action;
use crate::http::{api, keys, token};
use crate::web as pages;

/// Every address.
pub static ENDPOINTS: &[Endpoint] = &[
    read("/", GET, Nothing, || web::to(pages::home::show)),
    read("/jwt/auth", GET_ALONE, Nothing, || web::to(token::get)),
    read("/jwt/auth", POST, Nothing, || web::to(token::post)),
    read("/auth/token", GET_ALONE, Nothing, || web::to(token::get)),
    read("/auth/token", POST, Nothing, || web::to(token::post)),
    read("/.well-known/jwks.json", GET, Nothing, || {
        web::to(keys::jwks)
    }),
    read("/certs/bundle.pem", GET, Nothing, || web::to(keys::bundle)),
    read("/api/docs", GET, Nothing, || web::to(pages::explorer::show)),
    read("/api/docs/{version}/{file}", GET, Nothing, || {
        web::to(pages::explorer::asset)
    }),
    read("/api/v1/openapi.json", GET, Nothing, || {
        web::to(api::document::show)
    }),
    read("/api/v1/me", GET, AnyUser, || web::to(api::me::show)),
    read("/api/v1/system", GET, Administrator, || {
        web::to(api::system::show)
    }),
    read("/api/v1/users", GET, Administrator, || {
        web::to(api::users::list)
    }),
    change(
        "/api/v1/users",
        POST,
        Administrator,
        Action::UserCreate,
        || web::to(api::users::create),
    ),
    read("/api/v1/users/{username}", GET, ThatUser, || {
        web::to(api::users::show)
    }),
    change(
        "/api/v1/users/{username}",
        PATCH,
        Administrator,
        Action::UserUpdate,
        || web::to(api::users::change),
    ),
    change(
        "/api/v1/users/{username}",
        DELETE,
        Administrator,
        Action::UserDelete,
        || web::to(api::users::delete),
    ),
    change(
        "/api/v1/users/{username}/password",
        PUT,
        Administrator,
        Action::UserSetPassword,
        || web::to(api::users::set_password),
    ),
    read("/api/v1/projects", GET, Administrator, || {
        web::to(api::projects::list)
    }),
    change(
        "/api/v1/projects",
        POST,
        Administrator,
        Action::ProjectCreate,
        || web::to(api::projects::create),
    ),
    read("/api/v1/projects/{project}", GET, Administrator, || {
        web::to(api::projects::show)
    }),
    change(
        "/api/v1/projects/{project}",
        PATCH,
        Administrator,
        Action::ProjectUpdate,
        || web::to(api::projects::change),
    ),
    change(
        "/api/v1/projects/{project}",
        DELETE,
        Administrator,
        Action::ProjectDelete,
        || web::to(api::projects::delete),
    ),
];
