//! The page at `/`: what this is, and how to log in.

use std::sync::LazyLock;

use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template as _;
use service::client_address::{Origin, Scheme};
use service::request::RequestContext;

use super::security_headers;

const STYLE: &str = include_str!("home.css");

static CONTENT_SECURITY_POLICY: LazyLock<String> =
    LazyLock::new(|| security_headers::content_security_policy(STYLE));

#[derive(askama::Template)]
#[template(path = "home.html")]
struct Home<'a> {
    style: &'a str,
    /// How docker names this registry.
    registry: &'a str,
    /// docker insists on TLS for every host but the machine's own.
    needs_insecure: bool,
    version: &'a str,
}

pub async fn show(request: HttpRequest, context: RequestContext) -> HttpResponse {
    let origin = context.origin(&request);
    let registry = origin
        .host
        .as_ref()
        .map_or("localhost:5000", |host| host.as_str());
    let home = Home {
        style: STYLE,
        registry,
        needs_insecure: needs_insecure(&origin),
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut response = HttpResponse::Ok();
    security_headers::add_to(&mut response, &CONTENT_SECURITY_POLICY);
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    match home.render() {
        Ok(page) => response.content_type(ContentType::html()).body(page),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no page");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn needs_insecure(origin: &Origin) -> bool {
    let local = origin.host.as_ref().is_none_or(|host| {
        let host = host.as_str();
        host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]")
    });
    origin.scheme == Scheme::Http && !local
}

#[cfg(test)]
mod tests;
