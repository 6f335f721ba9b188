//! `/v2/_catalog`: distribution's list of repositories.

use actix_web::HttpResponse;
use serde_json::json;

use super::call::Call;
use super::error::Error;
use super::query::{Limits, Page, next_page};
use crate::auth::{Authorized, Catalog};

pub async fn list(call: &Call<'_>, access: Authorized<Catalog>) -> Result<HttpResponse, Error> {
    let query = call.query();
    let page = Page::parse(&query, call.state.site.settings.max_entries, Limits::Strict)?;
    let listed = call
        .registry()
        .repositories(&access, page.last.as_deref(), page.limit)
        .await?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = listed.entries.last().filter(|_| listed.more) {
        let next = next_page(page.limit, last.as_str());
        response.insert_header(call.link("/v2/_catalog", &next));
    }
    Ok(response.json(json!({"repositories": listed.entries})))
}
