//! `/v2/<name>/tags/list`.

use actix_web::HttpResponse;
use serde_json::json;

use super::call::Call;
use super::error::Error;
use super::query::{Limits, Page, next_page};
use crate::auth::{Authorized, Pull};

/// One page of tags, in byte order. There is always a greatest page, so that no list is too long
/// to be answered; `Link` leads to the next one.
pub async fn list(call: &Call<'_>, access: Authorized<Pull>) -> Result<HttpResponse, Error> {
    let query = call.query();
    let page = Page::parse(&query, call.state.site.settings.max_tags, Limits::Lenient)?;
    let listed = call
        .registry()
        .tags(&access, page.last.as_deref(), page.limit)
        .await?;
    let name = access.repository();
    let mut response = HttpResponse::Ok();
    if let Some(last) = listed.entries.last().filter(|_| listed.more) {
        let path = format!("/v2/{name}/tags/list");
        response.insert_header(call.link(&path, &next_page(page.limit, last.as_str())));
    }
    Ok(response.json(json!({"name": name, "tags": listed.entries})))
}
