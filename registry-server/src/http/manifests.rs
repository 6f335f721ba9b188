//! `/v2/<name>/manifests/<reference>`.

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::StreamExt as _;

use super::body::Absent;
use super::call::Call;
use super::error::Error;
use super::{content_digest, etag, header_value, names};
use crate::auth::{Authorized, Delete, Pull, Push};
use crate::oci::{MAX_MANIFEST_BYTES, ManifestError, Reference, Tag};
use crate::registry::{self, StoredManifest};

/// How many tags one push may set. The specification wants ten at least; each comes back in a
/// header of its own, and many clients read a hundred headers and no more.
pub const MAX_TAGS: usize = 64;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The manifest as it was pushed, whatever `Accept` says: converting is impossible, since the
/// digest would change, and a client that gets a type it does not know says so better than a 404.
pub async fn get(call: &Call<'_>, access: Authorized<Pull>) -> Result<HttpResponse, Error> {
    let reference = call.reference()?;
    let manifest = call.registry().manifest(&access, &reference).await?;
    if call
        .header(header::IF_NONE_MATCH)
        .is_some_and(|tags| names(tags, &manifest.digest))
    {
        return Ok(HttpResponse::NotModified()
            .insert_header(etag(&manifest.digest))
            .insert_header(content_digest(&manifest.digest))
            .finish());
    }
    Ok(describe(&manifest).body(manifest.payload))
}

/// The same without the manifest. Resolving a tag is no pull.
pub async fn head(call: &Call<'_>, access: Authorized<Pull>) -> Result<HttpResponse, Error> {
    let reference = call.reference()?;
    let manifest = call.registry().manifest_exists(&access, &reference).await?;
    let length = manifest.payload.len() as u64;
    Ok(describe(&manifest).body(Absent(length)))
}

fn describe(manifest: &StoredManifest) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, header_value(&manifest.media_type)))
        .insert_header(etag(&manifest.digest))
        .insert_header(content_digest(&manifest.digest));
    response
}

/// Stores a manifest, under a tag or under its digest and the tags of `?tag=`.
pub async fn put(
    call: &Call<'_>,
    access: Authorized<Push>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let reference = call.reference()?;
    let tags = tags(call, &reference)?;
    let content_type = call.header(header::CONTENT_TYPE);
    let body = read(call, payload).await?;
    let pushed = call
        .registry()
        .put_manifest(&access, &reference, &tags, content_type, body)
        .await?;

    let path = format!("/v2/{}/manifests/{}", access.repository(), pushed.digest);
    let mut response = HttpResponse::Created();
    response
        .insert_header(call.location(&path))
        .insert_header(content_digest(&pushed.digest));
    if let Some(subject) = &pushed.subject {
        response.insert_header((OCI_SUBJECT, header_value(subject.as_str())));
    }
    for tag in &tags {
        response.append_header((OCI_TAG, header_value(tag.as_str())));
    }
    Ok(response.finish())
}

fn tags(call: &Call<'_>, reference: &Reference) -> Result<Vec<Tag>, Error> {
    let query = call.query();
    let tags: Vec<Tag> = query
        .all("tag")
        .take(MAX_TAGS + 1)
        .map(|tag| tag.parse())
        .collect::<Result<_, _>>()
        .map_err(Error::TagParameter)?;
    match reference {
        Reference::Tag(_) if !tags.is_empty() => Err(Error::TagsBesideTag),
        _ if tags.len() > MAX_TAGS => Err(Error::TooManyTags),
        _ => Ok(tags),
    }
}

/// The one body that is held in memory, and so is short.
async fn read(call: &Call<'_>, payload: Payload) -> Result<Bytes, Error> {
    let too_large = || registry::Error::ManifestInvalid(ManifestError::TooLarge);
    let announced = call
        .header(header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_MANIFEST_BYTES) {
        return Err(too_large().into());
    }
    let mut incoming = call.body(payload);
    let mut body = BytesMut::with_capacity(announced.unwrap_or_default());
    while let Some(bytes) = incoming.next().await {
        let bytes = bytes.map_err(registry::Error::Interrupted)?;
        if body.len() + bytes.len() > MAX_MANIFEST_BYTES {
            return Err(too_large().into());
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body.freeze())
}

/// By digest: the manifest and all its tags. By tag: the tag alone.
pub async fn delete(call: &Call<'_>, access: Authorized<Delete>) -> Result<HttpResponse, Error> {
    match call.reference()? {
        Reference::Digest(digest) => call.registry().delete_manifest(&access, &digest).await?,
        Reference::Tag(tag) => call.registry().delete_tag(&access, &tag).await?,
    }
    Ok(HttpResponse::Accepted().finish())
}
