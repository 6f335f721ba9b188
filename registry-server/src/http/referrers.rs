//! `/v2/<name>/referrers/<digest>`: the manifests that say something about another one, as an
//! image index.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde_json::json;
use url::form_urlencoded;

use super::call::Call;
use super::error::Error;
use crate::auth::{Authorized, Pull};
use crate::oci::{Digest, media_type};
use crate::registry::Referrer;

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Empty for a subject, or a repository, that nobody knows: the specification wants no 404 here,
/// and so nobody learns what exists.
pub async fn list(call: &Call<'_>, access: Authorized<Pull>) -> Result<HttpResponse, Error> {
    let subject = call.digest()?;
    let query = call.query();
    let artifact_type = query.get("artifactType");
    let after = call.digest_parameter("last")?;
    let listed = call
        .registry()
        .referrers(&access, &subject, artifact_type.as_deref(), after.as_ref())
        .await?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = listed.entries.last().filter(|_| listed.more) {
        response.insert_header(next(
            call,
            &access,
            &subject,
            artifact_type.as_deref(),
            last,
        ));
    }
    response.insert_header((
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type::OCI_INDEX),
    ));
    if artifact_type.is_some() {
        response.insert_header((
            OCI_FILTERS_APPLIED,
            HeaderValue::from_static("artifactType"),
        ));
    }
    Ok(response.json(json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": listed.entries,
    })))
}

/// Where the next page is.
fn next(
    call: &Call<'_>,
    access: &Authorized<Pull>,
    subject: &Digest,
    artifact_type: Option<&str>,
    last: &Referrer,
) -> (HeaderName, HeaderValue) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("last", last.digest.as_str());
    if let Some(artifact_type) = artifact_type {
        query.append_pair("artifactType", artifact_type);
    }
    let path = format!("/v2/{}/referrers/{subject}", access.repository());
    call.link(&path, &query.finish())
}
