//! The error table: what is wrong → status, OCI code, message and detail. Exhaustive, so that a new
//! error cannot be answered by accident.
//!
//! Codes: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes>,
//! and those of distribution where the specification has none.

use std::borrow::Cow;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use registry_token::RepositoryNameError;
use serde::Serialize;
use serde_json::{Value, json};

use super::header_value;
use super::query::InvalidPage;
use super::range::{self, InvalidChunkRange, InvalidRange};
use super::route::Endpoint;
use crate::auth::{Reason, Refusal};
use crate::oci::{DigestError, MAX_MANIFEST_BYTES, ManifestError, ReferenceError};
use crate::registry::{self, Interrupted};
use crate::state::State;

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(#[from] registry::Error),

    #[error("the registry is out of order for now; /debug/health and its log say why")]
    Unhealthy,
    #[error("too many passwords are being checked: try again soon")]
    TooManyPasswords,
    #[error("this path is no endpoint of the registry API")]
    UnknownRoute,
    #[error("{method} is not supported here: use {}", methods(*.endpoint))]
    Method { method: Method, endpoint: Endpoint },
    #[error("invalid repository name: {0}")]
    Name(#[source] RepositoryNameError),
    #[error("invalid repository name in `from`: {0}")]
    Source(#[source] RepositoryNameError),
    #[error("invalid reference: {0}")]
    Reference(#[source] ReferenceError),
    #[error("invalid tag in `tag`: {0}")]
    TagParameter(#[source] ReferenceError),
    #[error("`tag` parameters need a digest in the path, there is a tag")]
    TagsBesideTag,
    #[error(
        "at most {} `tag` parameters can be given at once",
        super::manifests::MAX_TAGS
    )]
    TooManyTags,
    #[error("invalid digest: {0}")]
    Digest(#[source] DigestError),
    #[error("invalid digest in `{parameter}`: {source}")]
    DigestParameter {
        parameter: &'static str,
        source: DigestError,
    },
    #[error("`digest` is missing: it names the content that the upload is to become")]
    DigestMissing,
    #[error(transparent)]
    Page(#[from] InvalidPage),
    #[error("{reason}; the content has {size} bytes")]
    Range { reason: InvalidRange, size: u64 },
    /// The upload's position is answered with it, where the client may read where to go on.
    #[error("{0}")]
    ChunkRange(InvalidChunkRange),
    #[error("Content-Range covers {range} bytes, but Content-Length is {length}")]
    ChunkLength { range: u64, length: u64 },
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub code: Code,
    pub message: Cow<'static, str>,
    pub detail: Value,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u32>,
}

/// The codes that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Unsupported,
    // distribution's.
    PaginationNumberInvalid,
    RangeInvalid,
    Unavailable,
    Unknown,
    // Ours: a path that is no endpoint.
    NotFound,
}

/// How soon a client may try again what failed for a while.
const RETRY_AFTER_SECONDS: u32 = 5;

impl Answer {
    fn new(status: StatusCode, code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: Value::Null,
            retry_after: None,
        }
    }

    fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    fn retry(mut self) -> Self {
        self.retry_after = Some(RETRY_AFTER_SECONDS);
        self
    }

    /// `{"errors":[{"code","message","detail"}]}`; a detail that is a list makes an error of each
    /// of its entries, as the specification wants for missing blobs.
    pub fn body(&self) -> Value {
        let entry = |detail: &Value| {
            if detail.is_null() {
                json!({"code": self.code, "message": self.message})
            } else {
                json!({"code": self.code, "message": self.message, "detail": detail})
            }
        };
        let errors = match &self.detail {
            Value::Array(details) => details.iter().map(entry).collect(),
            detail => vec![entry(detail)],
        };
        json!({ "errors": errors })
    }
}

impl Error {
    /// The row of the table.
    pub fn answer(&self) -> Answer {
        let message = self.to_string();
        match self {
            Self::Registry(error) => registry_answer(error, message),
            Self::Unhealthy | Self::TooManyPasswords => unavailable(message),
            Self::UnknownRoute => Answer::new(StatusCode::NOT_FOUND, Code::NotFound, message),
            Self::Method { .. } => {
                Answer::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            }
            Self::Name(_) | Self::Source(_) => bad_request(Code::NameInvalid, message),
            Self::Reference(ReferenceError::Tag) | Self::TagParameter(_) | Self::TagsBesideTag => {
                bad_request(Code::TagInvalid, message)
            }
            Self::Reference(ReferenceError::Digest(_))
            | Self::Digest(_)
            | Self::DigestParameter { .. }
            | Self::DigestMissing => bad_request(Code::DigestInvalid, message),
            // What the specification wants for more than a registry takes.
            Self::TooManyTags => Answer::new(StatusCode::URI_TOO_LONG, Code::TagInvalid, message),
            Self::Page(_) => bad_request(Code::PaginationNumberInvalid, message),
            Self::Range { .. } => Answer::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Code::RangeInvalid,
                message,
            ),
            Self::ChunkRange(_) => Answer::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Code::BlobUploadInvalid,
                message,
            ),
            Self::ChunkLength { .. } => bad_request(Code::SizeInvalid, message),
        }
    }
}

fn registry_answer(error: &registry::Error, message: String) -> Answer {
    match error {
        registry::Error::Refused(refusal) => refused(refusal, message),
        registry::Error::BlobRequired(digest) => {
            Answer::new(StatusCode::CONFLICT, Code::Denied, message)
                .detail(json!({"digest": digest}))
        }
        registry::Error::RepositoryUnknown => not_found(Code::NameUnknown, message),
        registry::Error::BlobUnknown(digest) => {
            not_found(Code::BlobUnknown, message).detail(json!({"digest": digest}))
        }
        registry::Error::ManifestUnknown => not_found(Code::ManifestUnknown, message),
        registry::Error::TagUnknown(tag) => {
            not_found(Code::ManifestUnknown, message).detail(json!({"tag": tag}))
        }
        registry::Error::UploadUnknown | registry::Error::UploadLost => {
            not_found(Code::BlobUploadUnknown, message)
        }
        // Not 416: the client's idea of the offset may be right, only too early.
        registry::Error::UploadBusy => {
            Answer::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, message).retry()
        }
        registry::Error::OutOfOrder { offset } => Answer::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            Code::BlobUploadInvalid,
            message,
        )
        .detail(json!({"offset": offset})),
        registry::Error::ChunkSize { .. } => bad_request(Code::SizeInvalid, message),
        registry::Error::DigestMismatch { expected, actual } => {
            bad_request(Code::DigestInvalid, message)
                .detail(json!({"digest": expected, "actual": actual}))
        }
        registry::Error::Interrupted(interrupted) => match interrupted {
            Interrupted::Disconnected | Interrupted::Malformed => {
                bad_request(Code::BlobUploadInvalid, message)
            }
            Interrupted::TooSlow => Answer::new(
                StatusCode::REQUEST_TIMEOUT,
                Code::BlobUploadInvalid,
                message,
            ),
        },
        registry::Error::ManifestInvalid(ManifestError::TooLarge) => {
            Answer::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
                .detail(json!({"limit": MAX_MANIFEST_BYTES}))
        }
        registry::Error::ManifestInvalid(_) | registry::Error::UrlForbidden(_) => {
            bad_request(Code::ManifestInvalid, message)
        }
        // 404 is what the specification has for it, but clients take 404 on PUT for a missing
        // repository; distribution answers 400, and so does everybody.
        registry::Error::ContentMissing(digests) => {
            let missing = |digest| json!({"digest": digest});
            bad_request(Code::ManifestBlobUnknown, message)
                .detail(digests.iter().map(missing).collect())
        }
        registry::Error::SizeMismatch { digest, size } => {
            bad_request(Code::SizeInvalid, message).detail(json!({"digest": digest, "size": size}))
        }
        // What distribution answers if it is read-only for maintenance; no client tries it again.
        registry::Error::DeletionDisabled
        | registry::Error::Maintenance
        | registry::Error::StoreReadOnly(_)
        | registry::Error::DatabaseReadOnly(_) => {
            Answer::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
        }
        // 507 and not 503: the client tools that retry 503 in a tight loop (go-containerregistry,
        // containers/image) give up with the message instead; docker retries any 5xx.
        registry::Error::StoreFull(_)
        | registry::Error::DatabaseFull(_)
        | registry::Error::NoRoom { .. } => {
            Answer::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unavailable, message)
        }
        // DENIED, which no client tries again, and not TOOMANYREQUESTS, which podman does: nothing
        // changes until somebody finishes or cancels an upload.
        registry::Error::TooMuchHeld { limit } => {
            Answer::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Denied, message)
                .detail(json!({"limit": limit}))
        }
        registry::Error::ContentSwept
        | registry::Error::StoreUnavailable(_)
        | registry::Error::DatabaseUnavailable(_) => unavailable(message),
        registry::Error::Internal(_) => Answer::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "the registry failed; its log says why, under the id of this request",
        ),
    }
}

fn refused(refusal: &Refusal, message: String) -> Answer {
    let answer = Answer::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message);
    match &refusal.reason {
        Reason::NoToken | Reason::WrongPassword | Reason::InvalidToken(_) => answer,
        Reason::InsufficientScope => answer.detail(json!({"scope": refusal.scopes().join(" ")})),
    }
}

fn unavailable(message: String) -> Answer {
    Answer::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message).retry()
}

fn bad_request(code: Code, message: String) -> Answer {
    Answer::new(StatusCode::BAD_REQUEST, code, message)
}

fn not_found(code: Code, message: String) -> Answer {
    Answer::new(StatusCode::NOT_FOUND, code, message)
}

/// The value of `Allow`.
pub fn methods(endpoint: Endpoint) -> String {
    let methods: Vec<&str> = endpoint.methods().iter().map(Method::as_str).collect();
    methods.join(", ")
}

/// The answer to a failed request, with the headers that belong to it.
pub fn respond(request: &HttpRequest, state: &State, error: &Error) -> HttpResponse {
    let answer = error.answer();
    // What the health checks have said already is not said at every request.
    if answer.status.is_server_error() && !matches!(error, Error::Unhealthy) {
        tracing::error!(error = %chain(error), "a request failed");
    }
    let mut response = HttpResponse::build(answer.status);
    if let Some(seconds) = answer.retry_after {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    match error {
        Error::Registry(registry::Error::Refused(refusal)) => {
            let challenge = state.site.challenge(request, refusal);
            response.insert_header((header::WWW_AUTHENTICATE, header_value(&challenge)));
        }
        Error::Registry(registry::Error::OutOfOrder { offset }) => {
            response.insert_header((header::RANGE, header_value(&range::uploaded(*offset))));
        }
        Error::Range { size, .. } => {
            let range = format!("bytes */{size}");
            response.insert_header((header::CONTENT_RANGE, header_value(&range)));
        }
        Error::Method { endpoint, .. } => {
            response.insert_header((header::ALLOW, header_value(&methods(*endpoint))));
        }
        _ => {}
    }
    response.json(answer.body())
}

/// An error and what caused it, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
