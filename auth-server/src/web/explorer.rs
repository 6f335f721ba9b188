//! `/api/docs`: the admin API, to be read and tried in a browser. Swagger UI (Apache-2.0), embedded.
//!
//! Credentials: a personal token, under "Authorize"; or the session of this browser, opened with
//! the form at the top, whose cookie no script can read.

use std::sync::LazyLock;

use actix_web::http::header::{self, ContentEncoding, ContentType};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::security_headers;

/// Swagger UI sets styles on its elements, as attributes, and has its icons in `data:` addresses.
/// Scripts come from here alone and are never made of text; requests go nowhere else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE_SHEET: &str = "text/css; charset=utf-8";

/// A file that the page loads.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    is_compressed: bool,
}

static ASSETS: [Asset; 3] = [
    Asset {
        name: "swagger-ui-bundle.js",
        media_type: JAVASCRIPT,
        content: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
        is_compressed: true,
    },
    Asset {
        name: "swagger-ui.css",
        media_type: STYLE_SHEET,
        content: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")),
        is_compressed: true,
    },
    Asset {
        name: "explorer.js",
        media_type: JAVASCRIPT,
        content: include_bytes!("explorer/explorer.js"),
        is_compressed: false,
    },
];

/// What changes when any of the files does: a part of their addresses, so that they can be kept
/// for good.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.content);
    }
    let hash = BASE64_URL_SAFE_NO_PAD.encode(hash.finalize());
    hash.chars().take(16).collect()
});

#[derive(askama::Template)]
#[template(path = "explorer.html")]
struct Page<'a> {
    version: &'a str,
}

pub async fn show() -> HttpResponse {
    use askama::Template as _;

    let mut response = HttpResponse::Ok();
    security_headers::add_to(&mut response, CONTENT_SECURITY_POLICY);
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    match (Page { version: &VERSION }).render() {
        Ok(page) => response.content_type(ContentType::html()).body(page),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no page");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// `/api/docs/{version}/{file}`
pub async fn asset(request: HttpRequest) -> HttpResponse {
    let (version, file) = (
        request.match_info().query("version"),
        request.match_info().query("file"),
    );
    let asset = ASSETS.iter().find(|asset| asset.name == file);
    let Some(asset) = asset.filter(|_| version == *VERSION) else {
        return HttpResponse::NotFound().finish();
    };
    let mut response = HttpResponse::Ok();
    security_headers::add_to(&mut response, CONTENT_SECURITY_POLICY);
    response
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .content_type(asset.media_type);
    if asset.is_compressed {
        // Every browser takes it; kept uncompressed too, the files would be four times as large.
        response.insert_header(ContentEncoding::Gzip);
    }
    response.body(asset.content)
}

#[cfg(test)]
mod tests;
