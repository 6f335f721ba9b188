//! `/v2/<name>/blobs/<digest>`.

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use service::request::RequestContext;

use super::body::Absent;
use super::call::Call;
use super::error::Error;
use super::range::{self, Requested};
use super::{content_digest, etag, header_value};
use crate::auth::{Authorized, Delete, Pull};
use crate::blob_store::BlobStream;
use crate::oci::Digest;

/// Content under a digest never changes: a year, as distribution has it.
const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The content, or the part of it that `Range` asks for.
pub async fn get(call: &Call<'_>, access: Authorized<Pull>) -> Result<HttpResponse, Error> {
    let digest = call.digest()?;
    let blob = call.registry().blob(&access, &digest).await?;
    if not_modified(call, &digest) {
        return Ok(HttpResponse::NotModified()
            .insert_header(etag(&digest))
            .finish());
    }
    let size = blob.size();
    let requested = match call.header(header::RANGE) {
        Some(header) if range_applies(call, &digest) => {
            range::requested(header, size).map_err(|reason| Error::Range { reason, size })?
        }
        _ => Requested::Whole,
    };
    let (part, content_range) = match requested {
        Requested::Whole => (0..size, None),
        Requested::Part(part) => {
            let (first, last) = (part.start, part.end - 1);
            let range = header_value(&format!("bytes {first}-{last}/{size}"));
            (part, Some((header::CONTENT_RANGE, range)))
        }
    };
    let mut response = HttpResponse::Ok();
    describe(&mut response, &digest);
    let length = part.end - part.start;
    let cached = if length <= BlobStream::CHUNK as u64 {
        blob.read_now(part.clone())
    } else {
        None
    };
    // The proxy makes a part of it by itself: to it, the answer is the whole.
    if cached.is_none()
        && let Some(instead) = call.hand_over(&blob, &digest)
    {
        RequestContext::of(call.request).hand_over(length);
        return Ok(response.insert_header(instead).finish());
    }
    if let Some(range) = content_range {
        response
            .status(StatusCode::PARTIAL_CONTENT)
            .insert_header(range);
    }
    // What is small and in the page cache is answered at once; anything else streams.
    if let Some(bytes) = cached {
        return Ok(response.body(bytes));
    }
    Ok(response.body(SizedStream::new(length, blob.read(part))))
}

/// The same without content, for clients that ask before they push.
pub async fn head(call: &Call<'_>, access: Authorized<Pull>) -> Result<HttpResponse, Error> {
    let digest = call.digest()?;
    let size = call.registry().blob_size(&access, &digest).await?;
    let mut response = HttpResponse::Ok();
    describe(&mut response, &digest);
    Ok(response.body(Absent(size)))
}

pub async fn delete(call: &Call<'_>, access: Authorized<Delete>) -> Result<HttpResponse, Error> {
    let digest = call.digest()?;
    call.registry().delete_blob(&access, &digest).await?;
    Ok(HttpResponse::Accepted().finish())
}

fn describe(response: &mut actix_web::HttpResponseBuilder, digest: &Digest) {
    response
        .insert_header((
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
        .insert_header((header::CACHE_CONTROL, FOR_EVER))
        .insert_header(etag(digest))
        .insert_header(content_digest(digest));
}

/// Whether the client has this very content already (RFC 9110, 13.1.2).
fn not_modified(call: &Call<'_>, digest: &Digest) -> bool {
    call.header(header::IF_NONE_MATCH)
        .is_some_and(|tags| super::names(tags, digest))
}

/// With `If-Range`, a part is wanted only if it is a part of what the client knows (RFC 9110, 13.1.5).
fn range_applies(call: &Call<'_>, digest: &Digest) -> bool {
    call.header(header::IF_RANGE)
        .is_none_or(|tag| super::names(tag, digest))
}
