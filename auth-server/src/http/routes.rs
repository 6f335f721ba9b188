//! All addresses in one [`table`]: what is not listed there does not exist, and what is listed says
//! what it requires. Tests ask every one of them without credentials, and with too few.

use actix_web::Route;
use actix_web::guard::{Any, Guard, Method as MethodIs};
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use service::request::HandlerName;

use super::audit;
use super::error::ApiError;
use crate::accounts::Role;
use crate::audit::Action;

/// Who may use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requires {
    Nothing,
    AnyUser,
    /// A browser that is logged in.
    InSession,
    /// The user whom the address names, or an administrator.
    ThatUser,
    Administrator,
    /// Who may know of the group that the address names.
    SeesGroup,
    /// Who has at least this role in the group that the address names.
    Group(Role),
    /// Who may know of the project that the address names.
    SeesProject,
    /// Who has at least this role in the project that the address names.
    Project(Role),
}

/// An address with a handler.
pub struct Endpoint {
    pub path: &'static str,
    pub methods: &'static [Method],
    /// The handler's arguments enforce it; the tests hold them to this.
    pub requires: Requires,
    /// What the audit log calls a failure here. Of addresses that change something.
    pub action: Option<Action>,
    handler: fn() -> Route,
}

impl Endpoint {
    /// What metrics call it.
    fn handler_name(&self) -> &'static str {
        match self.path {
            "/" => "home",
            "/jwt/auth" | "/auth/token" => "token",
            "/.well-known/jwks.json" | "/certs/bundle.pem" => "keys",
            _ => "api",
        }
    }

    fn route(&self) -> Route {
        let route = (self.handler)().guard(any_of(self.methods));
        match self.action {
            None => route,
            Some(action) => route.wrap(from_fn(move |request, next| {
                audit::failures(action, request, next)
            })),
        }
    }
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
/// The token realm: a HEAD would sign a token for nobody to read.
const GET_ALONE: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const PATCH: &[Method] = &[Method::PATCH];
const DELETE: &[Method] = &[Method::DELETE];

/// An address to read from, or one whose failures somebody else records.
const fn read(
    path: &'static str,
    methods: &'static [Method],
    requires: Requires,
    handler: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        methods,
        requires,
        action: None,
        handler,
    }
}

/// An address that changes something.
const fn change(
    path: &'static str,
    methods: &'static [Method],
    requires: Requires,
    action: Action,
    handler: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        methods,
        requires,
        action: Some(action),
        handler,
    }
}

mod table;

pub use self::table::ENDPOINTS;

/// Adds all addresses to an application. Each refuses the methods it does not know.
pub fn configure(config: &mut ServiceConfig) {
    for endpoints in ENDPOINTS.chunk_by(|one, two| one.path == two.path) {
        let [first, ..] = endpoints else { continue };
        let mut resource = web::resource(first.path).app_data(HandlerName(first.handler_name()));
        for endpoint in endpoints {
            resource = resource.route(endpoint.route());
        }
        let allow = allow(endpoints);
        let refuse = move || std::future::ready(refuse_method(allow.clone()));
        config.service(resource.default_service(web::to(refuse)));
    }
}

fn any_of(methods: &'static [Method]) -> impl Guard {
    methods
        .iter()
        .fold(Any(actix_web::guard::fn_guard(|_| false)), |any, method| {
            any.or(MethodIs(method.clone()))
        })
}

/// The methods that one path knows, as the header `Allow` lists them.
fn allow(endpoints: &[Endpoint]) -> HeaderValue {
    let methods: Vec<&str> = endpoints
        .iter()
        .flat_map(|endpoint| endpoint.methods)
        .map(Method::as_str)
        .collect();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("GET"))
}

fn refuse_method(allow: HeaderValue) -> Result<&'static str, ApiError> {
    Err(ApiError::method_not_allowed(allow))
}

#[cfg(test)]
mod tests;
