//! The rows. Those of one path stand together.

use actix_web::web;

use super::Requires::{
    Administrator, AnyUser, Group, InSession, Nothing, Project, SeesGroup, SeesProject, ThatUser,
};
use super::{DELETE, Endpoint, GET, GET_ALONE, PATCH, POST, PUT, change, read};
use crate::accounts::Role::{Developer, Guest, Maintainer, Owner};
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
    read("/api/v1/session", GET, InSession, || {
        web::to(api::session::show)
    }),
    read("/api/v1/session", POST, Nothing, || {
        web::to(api::session::create)
    }),
    change(
        "/api/v1/session",
        DELETE,
        InSession,
        Action::SessionRevoke,
        || web::to(api::session::delete),
    ),
    read("/api/v1/me", GET, AnyUser, || web::to(api::me::show)),
    change(
        "/api/v1/me/password",
        PUT,
        AnyUser,
        Action::UserSetPassword,
        || web::to(api::me::change_password),
    ),
    read("/api/v1/me/tokens", GET, AnyUser, || {
        web::to(api::tokens::list_mine)
    }),
    change(
        "/api/v1/me/tokens",
        POST,
        AnyUser,
        Action::TokenCreate,
        || web::to(api::tokens::create_mine),
    ),
    change(
        "/api/v1/me/tokens/{token}",
        DELETE,
        AnyUser,
        Action::TokenRevoke,
        || web::to(api::tokens::revoke_mine),
    ),
    read("/api/v1/me/sessions", GET, AnyUser, || {
        web::to(api::sessions::list_mine)
    }),
    change(
        "/api/v1/me/sessions",
        DELETE,
        AnyUser,
        Action::SessionRevoke,
        || web::to(api::sessions::revoke_all_mine),
    ),
    change(
        "/api/v1/me/sessions/{session}",
        DELETE,
        AnyUser,
        Action::SessionRevoke,
        || web::to(api::sessions::revoke_mine),
    ),
    read("/api/v1/explain", GET, AnyUser, || {
        web::to(api::explain::show)
    }),
    read("/api/v1/system", GET, Administrator, || {
        web::to(api::system::show)
    }),
    read("/api/v1/audit", GET, Administrator, || {
        web::to(api::audit::list)
    }),
    read("/api/v1/audit/export", GET_ALONE, Administrator, || {
        web::to(api::audit::export)
    }),
    read("/api/v1/keys", GET, Administrator, || {
        web::to(api::keys::list)
    }),
    change(
        "/api/v1/keys",
        POST,
        Administrator,
        Action::KeyGenerate,
        || web::to(api::keys::rotate),
    ),
    change(
        "/api/v1/keys/import",
        POST,
        Administrator,
        Action::KeyImport,
        || web::to(api::keys::import),
    ),
    read("/api/v1/keys/{key}", GET, Administrator, || {
        web::to(api::keys::show)
    }),
    change(
        "/api/v1/keys/{key}",
        DELETE,
        Administrator,
        Action::KeyRetire,
        || web::to(api::keys::retire),
    ),
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
    change(
        "/api/v1/import/htpasswd",
        POST,
        Administrator,
        Action::UserCreate,
        || web::to(api::import::htpasswd),
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
    read("/api/v1/users/{username}/tokens", GET, ThatUser, || {
        web::to(api::tokens::list)
    }),
    change(
        "/api/v1/users/{username}/tokens",
        POST,
        ThatUser,
        Action::TokenCreate,
        || web::to(api::tokens::create),
    ),
    change(
        "/api/v1/users/{username}/tokens/{token}",
        DELETE,
        ThatUser,
        Action::TokenRevoke,
        || web::to(api::tokens::revoke),
    ),
    read("/api/v1/users/{username}/sessions", GET, ThatUser, || {
        web::to(api::sessions::list)
    }),
    change(
        "/api/v1/users/{username}/sessions",
        DELETE,
        ThatUser,
        Action::SessionRevoke,
        || web::to(api::sessions::revoke_all),
    ),
    change(
        "/api/v1/users/{username}/sessions/{session}",
        DELETE,
        ThatUser,
        Action::SessionRevoke,
        || web::to(api::sessions::revoke),
    ),
    read("/api/v1/groups", GET, AnyUser, || {
        web::to(api::groups::list)
    }),
    change("/api/v1/groups", POST, AnyUser, Action::GroupCreate, || {
        web::to(api::groups::create)
    }),
    read("/api/v1/groups/{group}", GET, SeesGroup, || {
        web::to(api::groups::show)
    }),
    change(
        "/api/v1/groups/{group}",
        PUT,
        AnyUser,
        Action::GroupUpdate,
        || web::to(api::groups::put),
    ),
    change(
        "/api/v1/groups/{group}",
        PATCH,
        Group(Maintainer),
        Action::GroupUpdate,
        || web::to(api::groups::change),
    ),
    change(
        "/api/v1/groups/{group}",
        DELETE,
        Group(Owner),
        Action::GroupDelete,
        || web::to(api::groups::delete),
    ),
    read("/api/v1/groups/{group}/members", GET, Group(Guest), || {
        web::to(api::members::list_of_group)
    }),
    change(
        "/api/v1/groups/{group}/members/{username}",
        PUT,
        Group(Owner),
        Action::MemberSet,
        || web::to(api::members::set_in_group),
    ),
    change(
        "/api/v1/groups/{group}/members/{username}",
        DELETE,
        Group(Owner),
        Action::MemberRemove,
        || web::to(api::members::remove_from_group),
    ),
    read(
        "/api/v1/groups/{group}/deploy-tokens",
        GET,
        Group(Maintainer),
        || web::to(api::path_tokens::list_of_group),
    ),
    change(
        "/api/v1/groups/{group}/deploy-tokens",
        POST,
        Group(Maintainer),
        Action::TokenCreate,
        || web::to(api::path_tokens::create_in_group),
    ),
    change(
        "/api/v1/groups/{group}/deploy-tokens/{token}",
        DELETE,
        Group(Maintainer),
        Action::TokenRevoke,
        || web::to(api::path_tokens::revoke_in_group),
    ),
    read("/api/v1/projects", GET, AnyUser, || {
        web::to(api::projects::list)
    }),
    change(
        "/api/v1/projects",
        POST,
        AnyUser,
        Action::ProjectCreate,
        || web::to(api::projects::create),
    ),
    read("/api/v1/projects/{project}", GET, SeesProject, || {
        web::to(api::projects::show)
    }),
    change(
        "/api/v1/projects/{project}",
        PUT,
        AnyUser,
        Action::ProjectUpdate,
        || web::to(api::projects::put),
    ),
    change(
        "/api/v1/projects/{project}",
        PATCH,
        Project(Maintainer),
        Action::ProjectUpdate,
        || web::to(api::projects::change),
    ),
    change(
        "/api/v1/projects/{project}",
        DELETE,
        Project(Owner),
        Action::ProjectDelete,
        || web::to(api::projects::delete),
    ),
    read(
        "/api/v1/projects/{project}/members",
        GET,
        Project(Guest),
        || web::to(api::members::list_of_project),
    ),
    change(
        "/api/v1/projects/{project}/members/{username}",
        PUT,
        Project(Owner),
        Action::MemberSet,
        || web::to(api::members::set_in_project),
    ),
    change(
        "/api/v1/projects/{project}/members/{username}",
        DELETE,
        Project(Owner),
        Action::MemberRemove,
        || web::to(api::members::remove_from_project),
    ),
    read(
        "/api/v1/projects/{project}/grants",
        GET,
        Project(Maintainer),
        || web::to(api::grants::list),
    ),
    change(
        "/api/v1/projects/{project}/grants",
        POST,
        Project(Maintainer),
        Action::GrantCreate,
        || web::to(api::grants::create),
    ),
    read(
        "/api/v1/projects/{project}/grants/{grant}",
        GET,
        Project(Maintainer),
        || web::to(api::grants::show),
    ),
    change(
        "/api/v1/projects/{project}/grants/{grant}",
        PATCH,
        Project(Maintainer),
        Action::GrantUpdate,
        || web::to(api::grants::change),
    ),
    change(
        "/api/v1/projects/{project}/grants/{grant}",
        DELETE,
        Project(Maintainer),
        Action::GrantDelete,
        || web::to(api::grants::delete),
    ),
    read(
        "/api/v1/projects/{project}/deploy-tokens",
        GET,
        Project(Maintainer),
        || web::to(api::path_tokens::list_of_project),
    ),
    change(
        "/api/v1/projects/{project}/deploy-tokens",
        POST,
        Project(Maintainer),
        Action::TokenCreate,
        || web::to(api::path_tokens::create_in_project),
    ),
    change(
        "/api/v1/projects/{project}/deploy-tokens/{token}",
        DELETE,
        Project(Maintainer),
        Action::TokenRevoke,
        || web::to(api::path_tokens::revoke_in_project),
    ),
    read(
        "/api/v1/projects/{project}/job-tokens",
        GET,
        Project(Maintainer),
        || web::to(api::path_tokens::list_job_tokens),
    ),
    change(
        "/api/v1/projects/{project}/job-tokens",
        POST,
        Project(Developer),
        Action::TokenCreate,
        || web::to(api::path_tokens::create_job_token),
    ),
    change(
        "/api/v1/projects/{project}/job-tokens/{token}",
        DELETE,
        Project(Maintainer),
        Action::TokenRevoke,
        || web::to(api::path_tokens::revoke_job_token),
    ),
];
