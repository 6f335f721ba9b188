//! `/v2/<name>/blobs/uploads/`: pushing blobs.
//!
//! Writing goes on in a task of its own: when a client vanishes, its request is dropped wherever it
//! stands, but what has arrived is to be kept, and the session to be free for the next attempt.

use std::future::Future;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::Payload;
use actix_web::{HttpResponse, HttpResponseBuilder};
use registry_token::RepositoryName;
use service::request_id::{self, RequestId};
use uuid::Uuid;

use super::call::Call;
use super::error::Error;
use super::{content_digest, header_value, range};
use crate::auth::{Authorized, Delete, Pull, Push, UploadProof};
use crate::oci::{Algorithm, Digest};
use crate::registry::{self, Announced};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Opens a session; or does without, if the blob is mounted or comes with the request.
pub async fn start(
    call: &Call<'_>,
    push: Authorized<Push>,
    source: Option<Authorized<Pull>>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let registry = Arc::clone(call.registry());
    if let Some(digest) = call.digest_parameter("mount")?
        && registry.mount(&push, source.as_ref(), &digest).await?
    {
        return Ok(created(call, push.repository(), &digest));
    }
    if let Some(digest) = call.digest_parameter("digest")? {
        let length = length(call);
        let body = call.body(payload);
        let repository = push.repository().clone();
        let wanted = digest.clone();
        detached(async move { registry.push_blob(&push, &wanted, length, body).await }).await?;
        return Ok(created(call, &repository, &digest));
    }
    let algorithm = algorithm(call)?;
    let id = registry.open_upload(&push, algorithm).await?;
    let mut response = HttpResponse::Accepted();
    Ok(located(call, &mut response, push.repository(), id, 0).finish())
}

/// The algorithm that the client is going to name the content by, if it says so early. Any other
/// works as well, at the price of reading the content once more.
fn algorithm(call: &Call<'_>) -> Result<Algorithm, Error> {
    let parameter = "digest-algorithm";
    call.query()
        .get(parameter)
        .map_or(Ok(Algorithm::Sha256), |name| name.parse())
        .map_err(|source| Error::DigestParameter { parameter, source })
}

/// How much of an upload has been stored.
pub async fn status(call: &Call<'_>, proof: UploadProof<Pull>) -> Result<HttpResponse, Error> {
    let id = call.upload_id()?;
    let repository = proof.repository().clone();
    let offset = call.registry().upload_offset(proof, id).await?;
    let mut response = HttpResponse::NoContent();
    Ok(located(call, &mut response, &repository, id, offset).finish())
}

/// Takes a chunk, or all there is.
pub async fn append(
    call: &Call<'_>,
    proof: UploadProof<Push>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let id = call.upload_id()?;
    let repository = proof.repository().clone();
    let announced = announced(call)?;
    let body = call.body(payload);
    let registry = Arc::clone(call.registry());
    let offset =
        detached(async move { registry.append_to_upload(proof, id, announced, body).await })
            .await?;
    let mut response = HttpResponse::Accepted();
    Ok(located(call, &mut response, &repository, id, offset).finish())
}

/// Takes the rest, which may be nothing, and makes the upload a blob.
pub async fn complete(
    call: &Call<'_>,
    proof: UploadProof<Push>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let id = call.upload_id()?;
    let repository = proof.repository().clone();
    let digest = call
        .digest_parameter("digest")?
        .ok_or(Error::DigestMissing)?;
    let announced = announced(call)?;
    let body = call.body(payload);
    let registry = Arc::clone(call.registry());
    let wanted = digest.clone();
    detached(async move {
        registry
            .complete_upload(proof, id, announced, body, &wanted)
            .await
    })
    .await?;
    Ok(created(call, &repository, &digest))
}

pub async fn cancel(call: &Call<'_>, proof: UploadProof<Delete>) -> Result<HttpResponse, Error> {
    let id = call.upload_id()?;
    call.registry().cancel_upload(proof, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What the client says of the body: how long it is, and where it belongs. A chunk's length must be that
/// of the body, as far as both are known before it is read.
fn announced(call: &Call<'_>) -> Result<Announced, Error> {
    let length = length(call);
    let chunk = call
        .header(header::CONTENT_RANGE)
        .map(range::chunk)
        .transpose()
        .map_err(Error::ChunkRange)?;
    match (&chunk, length) {
        (Some(chunk), Some(length)) if length != chunk.end - chunk.start => {
            Err(Error::ChunkLength {
                range: chunk.end - chunk.start,
                length,
            })
        }
        _ => Ok(Announced { chunk, length }),
    }
}

fn length(call: &Call<'_>) -> Option<u64> {
    call.header(header::CONTENT_LENGTH)
        .and_then(|length| length.parse().ok())
}

/// The headers of every answer about an open upload.
fn located<'r>(
    call: &Call<'_>,
    response: &'r mut HttpResponseBuilder,
    repository: &RepositoryName,
    id: Uuid,
    offset: u64,
) -> &'r mut HttpResponseBuilder {
    let path = format!("/v2/{repository}/blobs/uploads/{id}");
    response
        .insert_header(call.location(&path))
        .insert_header((header::RANGE, header_value(&range::uploaded(offset))))
        .insert_header((UPLOAD_UUID, header_value(&id.to_string())))
}

/// The answer to a blob that is there.
fn created(call: &Call<'_>, repository: &RepositoryName, digest: &Digest) -> HttpResponse {
    let path = format!("/v2/{repository}/blobs/{digest}");
    HttpResponse::Created()
        .insert_header(call.location(&path))
        .insert_header(content_digest(digest))
        .finish()
}

/// Runs `work` to its end, whatever becomes of the request that wants its result. What it logs
/// still names the request.
async fn detached<T: 'static>(
    work: impl Future<Output = Result<T, registry::Error>> + 'static,
) -> Result<T, registry::Error> {
    let id = request_id::current().unwrap_or_else(RequestId::generate);
    match actix_web::rt::spawn(request_id::scope(id, work)).await {
        Ok(result) => result,
        Err(error) => Err(registry::Error::Internal(Box::new(error))),
    }
}
