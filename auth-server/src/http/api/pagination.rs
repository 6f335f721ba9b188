//! Lists by page: `?limit=50&after=NAME`, with `Link` to the next page and `X-Total-Count`.

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::accounts::{Page, PageRequest};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;

const DEFAULT_LIMIT: u32 = 50;

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// What a client wants of a list. A limit above the maximum is brought down to it.
pub fn requested(request: &HttpRequest) -> Result<PageRequest, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    let limit = match parameters.one("limit")? {
        None => DEFAULT_LIMIT,
        Some(text) => match text.parse() {
            Ok(limit) if limit > 0 => limit,
            _ => {
                return Err(ApiError::bad_request(
                    "the parameter `limit` must be a number from 1",
                ));
            }
        },
    };
    let after = parameters.one("after")?;
    // PostgreSQL's text cannot hold it, and no name does.
    if after.is_some_and(|after| after.contains('\0')) {
        return Err(ApiError::bad_request(
            "the parameter `after` must be a name",
        ));
    }
    Ok(PageRequest::new(after.map(str::to_owned), limit))
}

/// A page as a JSON list; `name` is what the list is sorted by.
pub fn answer<T, J: Serialize>(
    request: &HttpRequest,
    wanted: &PageRequest,
    page: &Page<T>,
    name: impl Fn(&T) -> &str,
    json: impl Fn(&T) -> J,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((TOTAL_COUNT, page.total));
    if page.more
        && let Some(last) = page.entries.last()
    {
        let after = utf8_percent_encode(name(last), NON_ALPHANUMERIC);
        let (path, limit) = (request.path(), wanted.limit());
        response.insert_header((
            header::LINK,
            format!("<{path}?limit={limit}&after={after}>; rel=\"next\""),
        ));
    }
    response.json(page.entries.iter().map(json).collect::<Vec<_>>())
}
