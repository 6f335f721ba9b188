//! `/api/v1/import`: taking over from others. Not below `/users`, where `import` may be somebody's
//! name.

use actix_web::{HttpRequest, HttpResponse};

use super::conditional::no_store;
use super::listing::refuse_unknown;
use crate::accounts::htpasswd::{self, Htpasswd, ImportOptions, ImportReport};
use crate::http::authorize::{Administrator, Authorized};
use crate::http::body::TextBody;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;

/// The largest file, in bytes: ten thousand users.
const MAX_LENGTH: usize = 1_024 * 1_024;

const PARAMETERS: [&str; 2] = ["dry_run", "replace_passwords"];

/// Take over users from an htpasswd file
///
/// As Apache, nginx and `registry:2` read it, with passwords hashed by bcrypt (`htpasswd -B`).
/// Lines that cannot be taken over are told with the reason; the others are taken over
/// nevertheless, each on its own.
#[utoipa::path(
    post,
    path = "/api/v1/import/htpasswd",
    operation_id = "import_htpasswd",
    tag = "users",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only tell what would be done"),
        ("replace_passwords" = Option<bool>, Query, description = "Give users that exist already the password of the file, and end their sessions"),
    ),
    request_body(content = String, content_type = "text/plain", description = "The file, of at most a mebibyte"),
    responses((status = 200, description = "What was done, or would be", body = ImportReport))
)]
pub async fn htpasswd(
    authorized: Authorized<Administrator>,
    request: HttpRequest,
    body: TextBody,
) -> Result<HttpResponse, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    refuse_unknown(&parameters, &PARAMETERS)?;
    let options = ImportOptions {
        dry_run: parameters.flag("dry_run")?.unwrap_or_default(),
        replace_passwords: parameters.flag("replace_passwords")?.unwrap_or_default(),
    };
    let file = Htpasswd::parse(&body.read(MAX_LENGTH).await?);
    let report = htpasswd::import(&authorized.context, file, options).await?;
    Ok(no_store(HttpResponse::Ok()).json(report))
}

#[cfg(test)]
mod tests;
