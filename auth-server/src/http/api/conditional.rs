//! Conditions of requests (RFC 9110, section 13): a change that is meant for one version of an
//! object does not hit another one.
//!
//! An entity tag is the object's version in quotes: `"7"`.

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::accounts::{Expected, Put};
use crate::http::error::ApiError;

/// No object has it: who expects it is refused.
const NO_VERSION: i64 = -1;

/// The version that `If-Match` expects of what is to be changed. `None`: any.
pub fn expected(request: &HttpRequest) -> Result<Option<i64>, ApiError> {
    let Some(text) = only(request, &header::IF_MATCH)? else {
        return Ok(None);
    };
    if text == "*" {
        return Ok(None);
    }
    if text.starts_with("W/") {
        return Err(ApiError::outdated(
            "a weak entity tag never matches; `If-Match` takes the `ETag` as it came",
        ));
    }
    if text.contains(',') {
        return Err(ApiError::bad_request(
            "the header `If-Match` takes one entity tag",
        ));
    }
    let version = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(|| {
            ApiError::bad_request("the header `If-Match` takes an entity tag in quotes, or `*`")
        })?;
    Ok(Some(version.parse().unwrap_or(NO_VERSION)))
}

/// What a PUT expects to be there: by `If-Match` an object, or one version of it; by
/// `If-None-Match: *` none.
pub fn expected_by_put(request: &HttpRequest) -> Result<Expected, ApiError> {
    let of_match = match (expected(request)?, only(request, &header::IF_MATCH)?) {
        (Some(version), _) => Some(Expected::Version(version)),
        (None, Some(_)) => Some(Expected::Something),
        (None, None) => None,
    };
    match (of_match, only(request, &header::IF_NONE_MATCH)?) {
        (Some(expected), None) => Ok(expected),
        (None, None) => Ok(Expected::Anything),
        (None, Some("*")) => Ok(Expected::Nothing),
        (_, Some("*")) => Err(ApiError::bad_request(
            "the headers `If-Match` and `If-None-Match: *` exclude each other",
        )),
        (_, Some(_)) => Err(ApiError::bad_request(
            "the header `If-None-Match` of a change takes `*` alone",
        )),
    }
}

/// An object with its entity tag; 304 if the client has that version already.
pub fn answer(request: &HttpRequest, version: i64, json: &impl Serialize) -> HttpResponse {
    let tag = entity_tag(version);
    let known = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .any(|value| {
            // Weak comparison, as section 13.1.2 asks.
            value.to_str().is_ok_and(|value| {
                value.split(',').any(|one| {
                    let one = one.trim();
                    one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
                })
            })
        });
    if known {
        return HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish();
    }
    changed(HttpResponse::Ok(), version, json)
}

/// An object as a change has left it.
pub fn changed(
    mut response: actix_web::HttpResponseBuilder,
    version: i64,
    json: &impl Serialize,
) -> HttpResponse {
    response
        .insert_header((header::ETAG, entity_tag(version)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json)
}

/// An object as a PUT has left it: 201 if it is new.
pub fn put<T: Serialize>(put: &Put<T>, version: i64) -> HttpResponse {
    let response = if put.is_new {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    changed(response, version, &put.object)
}

/// An answer that nobody in between, and no browser, may keep.
pub fn no_store(mut response: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

fn entity_tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The only value of a header.
fn only<'r>(request: &'r HttpRequest, name: &HeaderName) -> Result<Option<&'r str>, ApiError> {
    let mut values = request.headers().get_all(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value.trim())),
        _ => Err(ApiError::bad_request(format!(
            "the header `{name}` cannot be read"
        ))),
    }
}
