//! `/api/v1/audit`: who did what.

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::PageRequest;
use crate::audit::search::{self, AuditEntry, AuditFilter};
use crate::http::authorize::{Administrator, Authorized};
use crate::http::error::ApiError;
use crate::http::nearest;
use crate::http::parameters::Parameters;
use crate::state::State;

const DEFAULT_LIMIT: u32 = 50;

const FILTERS: [&str; 7] = [
    "action", "actor", "subject", "outcome", "address", "since", "until",
];

/// The longest name that is looked for, in bytes.
const MAX_NAME_LENGTH: usize = 512;

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Events, the newest first
#[derive(Serialize, ToSchema)]
pub struct AuditPage(Vec<AuditEntry>);

/// Search the audit log
///
/// The newest event first. All filters must hold.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "search_audit",
    tag = "audit",
    params(
        ("limit" = Option<u32>, Query, description = "Entries a page, 50 unless it says otherwise; more than 200 are brought down to it", minimum = 1),
        ("after" = Option<i64>, Query, description = "The number of the last event of the page before this one; `Link` has it"),
        ("action" = Option<String>, Query, description = "`user.create`, or `user` for all that is done to users", pattern = "^[a-z_.]+$", max_length = 64),
        ("actor" = Option<String>, Query, description = "The name of who did it", max_length = 512),
        ("subject" = Option<String>, Query, description = "The name of what it was done to", max_length = 512),
        ("outcome" = Option<String>, Query, description = "`success` or `failure`", pattern = "^(success|failure)$"),
        ("address" = Option<String>, Query, description = "The client's address"),
        ("since" = Option<DateTime<Utc>>, Query, description = "From this moment on (RFC 3339)"),
        ("until" = Option<DateTime<Utc>>, Query, description = "Before this moment (RFC 3339)"),
    ),
    responses((
        status = 200, description = "A page of events", body = AuditPage,
        headers(
            ("X-Total-Count" = u64, description = "How many events all pages have together"),
            ("Link", description = "The next page, with `rel=\"next\"`; not on the last one"),
        ),
    ))
)]
pub async fn list(
    _: Authorized<Administrator>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    refuse_unknown(&parameters, &["limit", "after"])?;
    let filter = filter(&parameters)?;
    let limit = number(&parameters, "limit")?.unwrap_or(i64::from(DEFAULT_LIMIT));
    let limit = u32::try_from(limit).unwrap_or(PageRequest::MAX_LIMIT);
    let below = number(&parameters, "after")?;
    let page = search::search(&state.database, &filter, below, limit).await?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((TOTAL_COUNT, page.total));
    if page.more
        && let Some(last) = page.entries.last()
    {
        let next = parameters.with("after", &last.number.to_string());
        let path = request.path();
        response.insert_header((header::LINK, format!("<{path}?{next}>; rel=\"next\"")));
    }
    Ok(response.json(AuditPage(page.entries)))
}

/// Export the audit log
///
/// All events for which the filters hold, as JSON lines, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit/export",
    operation_id = "export_audit",
    tag = "audit",
    params(
        ("after" = Option<i64>, Query, description = "Events with a higher number alone: what is new since the last export"),
        ("action" = Option<String>, Query, description = "`user.create`, or `user` for all that is done to users", pattern = "^[a-z_.]+$", max_length = 64),
        ("actor" = Option<String>, Query, description = "The name of who did it", max_length = 512),
        ("subject" = Option<String>, Query, description = "The name of what it was done to", max_length = 512),
        ("outcome" = Option<String>, Query, description = "`success` or `failure`", pattern = "^(success|failure)$"),
        ("address" = Option<String>, Query, description = "The client's address"),
        ("since" = Option<DateTime<Utc>>, Query, description = "From this moment on (RFC 3339)"),
        ("until" = Option<DateTime<Utc>>, Query, description = "Before this moment (RFC 3339)"),
    ),
    responses((
        status = 200, description = "An event a line", body = String,
        content_type = "application/x-ndjson",
    ))
)]
pub async fn export(
    _: Authorized<Administrator>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    refuse_unknown(&parameters, &["after"])?;
    let filter = filter(&parameters)?;
    let above = number(&parameters, "after")?.unwrap_or(0);
    let batches = search::stream(state.database.clone(), &filter, above);
    // The first is read before the answer begins: a database that is away is a 503.
    let mut batches = Box::pin(batches.peekable());
    if let Some(Err(_)) = batches.as_mut().peek().await
        && let Some(Err(error)) = batches.next().await
    {
        return Err(error.into());
    }
    let lines = batches.map(|batch| {
        let mut text = Vec::new();
        for entry in batch.map_err(broken_off)? {
            serde_json::to_writer(&mut text, &entry)?;
            text.push(b'\n');
        }
        Ok::<_, std::io::Error>(web::Bytes::from(text))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/x-ndjson")
        .streaming(lines))
}

/// The answer has begun: all that can be done is to end it without its end.
fn broken_off(error: database::Error) -> std::io::Error {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "an export of the audit log broke off"
    );
    std::io::Error::other(error)
}

fn refuse_unknown(parameters: &Parameters, others: &[&'static str]) -> Result<(), ApiError> {
    let known = || FILTERS.iter().chain(others).copied();
    match parameters
        .names()
        .find(|name| !known().any(|known| known == *name))
    {
        None => Ok(()),
        Some(unknown) => Err(ApiError::bad_request(nearest::unknown(
            "parameter",
            unknown,
            known(),
        ))),
    }
}

fn filter(parameters: &Parameters) -> Result<AuditFilter, ApiError> {
    Ok(AuditFilter {
        action: value(parameters, "action")?,
        actor: name(parameters, "actor")?,
        subject: name(parameters, "subject")?,
        outcome: value(parameters, "outcome")?,
        address: value(parameters, "address")?,
        since: moment(parameters, "since")?,
        until: moment(parameters, "until")?,
    })
}

fn value<T: std::str::FromStr>(
    parameters: &Parameters,
    name: &'static str,
) -> Result<Option<T>, ApiError>
where
    T::Err: std::fmt::Display,
{
    let parse = |text: &str| {
        text.parse()
            .map_err(|reason| ApiError::bad_request(format!("the parameter `{name}`: {reason}")))
    };
    parameters.one(name)?.map(parse).transpose()
}

fn name(parameters: &Parameters, name: &'static str) -> Result<Option<String>, ApiError> {
    let text = parameters.one(name)?;
    // PostgreSQL's text cannot hold NUL, and no name does.
    if text.is_some_and(|text| text.len() > MAX_NAME_LENGTH || text.contains('\0')) {
        return Err(ApiError::bad_request(format!(
            "the parameter `{name}` must be a name of at most {MAX_NAME_LENGTH} bytes"
        )));
    }
    Ok(text.map(str::to_owned))
}

fn moment(parameters: &Parameters, name: &'static str) -> Result<Option<DateTime<Utc>>, ApiError> {
    let parse = |text: &str| {
        let parsed = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
        parsed.map_err(|_| {
            ApiError::bad_request(format!(
                "the parameter `{name}` must be a time like 2026-11-21T13:00:00Z"
            ))
        })
    };
    parameters.one(name)?.map(parse).transpose()
}

fn number(parameters: &Parameters, name: &'static str) -> Result<Option<i64>, ApiError> {
    let parse = |text: &str| match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(ApiError::bad_request(format!(
            "the parameter `{name}` must be a number from 1"
        ))),
    };
    parameters.one(name)?.map(parse).transpose()
}

#[cfg(test)]
mod tests;
