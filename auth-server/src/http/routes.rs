//! All addresses in one table: what is not listed here does not exist, and what is listed says
//! what it requires. A test asks every one of them without credentials, and with too few.

use actix_web::Route;
use actix_web::guard::{Any, Guard, Method as MethodIs};
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::web::{self, ServiceConfig};
use service::request::HandlerName;

use super::error::ApiError;
use super::{api, keys, token};
use crate::web as pages;

/// Who may use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requires {
    Nothing,
    AnyUser,
    Administrator,
}

/// An address with a handler.
pub struct Endpoint {
    pub path: &'static str,
    pub methods: &'static [Method],
    /// The handler's arguments enforce it; the tests hold them to this.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by the tests of every address")
    )]
    pub requires: Requires,
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
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
/// The token realm: a HEAD would sign a token for nobody to read.
const GET_ALONE: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const PATCH: &[Method] = &[Method::PATCH];
const DELETE: &[Method] = &[Method::DELETE];

const fn endpoint(
    path: &'static str,
    methods: &'static [Method],
    requires: Requires,
    handler: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        methods,
        requires,
        handler,
    }
}

/// Every address. Those of one path stand together.
pub static ENDPOINTS: &[Endpoint] = {
    use Requires::{Administrator, AnyUser, Nothing};
    &[
        endpoint("/", GET, Nothing, || web::to(pages::home::show)),
        endpoint("/jwt/auth", GET_ALONE, Nothing, || web::to(token::get)),
        endpoint("/jwt/auth", POST, Nothing, || web::to(token::post)),
        endpoint("/auth/token", GET_ALONE, Nothing, || web::to(token::get)),
        endpoint("/auth/token", POST, Nothing, || web::to(token::post)),
        endpoint("/.well-known/jwks.json", GET, Nothing, || {
            web::to(keys::jwks)
        }),
        endpoint("/certs/bundle.pem", GET, Nothing, || web::to(keys::bundle)),
        endpoint("/api/v1/me", GET, AnyUser, || web::to(api::me::show)),
        endpoint("/api/v1/system", GET, Administrator, || {
            web::to(api::system::show)
        }),
        endpoint("/api/v1/users", GET, Administrator, || {
            web::to(api::users::list)
        }),
        endpoint("/api/v1/users", POST, Administrator, || {
            web::to(api::users::create)
        }),
        endpoint("/api/v1/users/{username}", GET, Administrator, || {
            web::to(api::users::show)
        }),
        endpoint("/api/v1/users/{username}", PATCH, Administrator, || {
            web::to(api::users::change)
        }),
        endpoint(
            "/api/v1/users/{username}/password",
            PUT,
            Administrator,
            || web::to(api::users::set_password),
        ),
        endpoint("/api/v1/projects", GET, Administrator, || {
            web::to(api::projects::list)
        }),
        endpoint("/api/v1/projects", POST, Administrator, || {
            web::to(api::projects::create)
        }),
        endpoint("/api/v1/projects/{project}", GET, Administrator, || {
            web::to(api::projects::show)
        }),
        endpoint("/api/v1/projects/{project}", PATCH, Administrator, || {
            web::to(api::projects::change)
        }),
        endpoint("/api/v1/projects/{project}", DELETE, Administrator, || {
            web::to(api::projects::delete)
        }),
    ]
};

/// Adds all addresses to an application. Each refuses the methods it does not know.
pub fn configure(config: &mut ServiceConfig) {
    for endpoints in ENDPOINTS.chunk_by(|one, two| one.path == two.path) {
        let [first, ..] = endpoints else { continue };
        let mut resource = web::resource(first.path).app_data(HandlerName(first.handler_name()));
        for endpoint in endpoints {
            resource = resource.route((endpoint.handler)().guard(any_of(endpoint.methods)));
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
