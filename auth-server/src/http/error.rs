//! [`ApiError`]: an answer that is no success. Which error of the domain is told how stands in one
//! [`table`].
//!
//! What is nobody's business outside (a statement, a path, a cause) goes to the log; the client gets
//! the request id, under which the log has the rest.

mod table;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

const INTERNAL_MESSAGE: &str =
    "an internal error; the log has more under the request id of this answer";

/// With 401, as RFC 9110 asks; a browser then shows its form. Clients of the token realm read
/// Bearer challenges alone and ignore it.
const BASIC: &str = "Basic realm=\"portcullis\", charset=\"UTF-8\"";

/// With 401 of the admin API. RFC 6750, section 3.
const BEARER: &str = "Bearer realm=\"portcullis\"";

/// The codes of the error bodies: OCI's words where it has one for the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be read, or makes no sense.
    BadRequest,
    /// Nobody has logged in, or not rightly.
    Unauthorized,
    /// Somebody has logged in who may not do this.
    Denied,
    NotFound,
    /// The method, or the kind of grant, is not for this address.
    Unsupported,
    /// What is stored stands against it.
    Conflict,
    /// What is stored has changed since the client read it.
    Outdated,
    /// The body is too large.
    SizeInvalid,
    UnsupportedMediaType,
    /// The request can be read, but a value in it is refused.
    Invalid,
    /// Not now, because of what was tried before.
    TooManyRequests,
    /// Later perhaps.
    Unavailable,
    /// A defect of ours.
    Unknown,
}

impl Code {
    const ALL: &[Self] = &[
        Self::BadRequest,
        Self::Unauthorized,
        Self::Denied,
        Self::NotFound,
        Self::Unsupported,
        Self::Conflict,
        Self::Outdated,
        Self::SizeInvalid,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Unknown,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::Unsupported => "UNSUPPORTED",
            Self::Conflict => "CONFLICT",
            Self::Outdated => "OUTDATED",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::Invalid => "INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// An answer that is no success. Its body is `{"errors":[{"code","message","detail"}]}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: Code,
    message: String,
    retry_after: Option<Duration>,
    /// With 401.
    challenge: &'static str,
    /// The methods that an address knows, for 405.
    allow: Option<HeaderValue>,
}

impl ApiError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            challenge: BASIC,
            allow: None,
        }
    }

    /// Every code that an answer may have.
    pub fn codes() -> Vec<&'static str> {
        Code::ALL.iter().map(|code| code.as_str()).collect()
    }

    /// The same told to a client of the admin API: a browser shows no form of its own then.
    pub fn for_api(self) -> Self {
        Self {
            challenge: BEARER,
            ..self
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
    }

    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Denied, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, Code::Conflict, message)
    }

    pub fn outdated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, Code::Outdated, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
    }

    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::SizeInvalid,
            format!("the body has more than {limit} bytes"),
        )
    }

    pub fn media_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::UnsupportedMediaType,
            format!("the body must be {expected}, and the header Content-Type must say so"),
        )
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::Invalid, message)
    }

    pub fn method_not_allowed(allow: HeaderValue) -> Self {
        let methods = allow.to_str().unwrap_or_default();
        let message = format!("this address knows the methods {methods}");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
        }
    }

    fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
        }
    }

    fn full(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unavailable, message)
    }

    fn too_many_requests(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyRequests,
                message,
            )
        }
    }

    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, message)
    }

    /// An application without its state.
    pub fn misconfigured() -> Self {
        tracing::error!("a handler found no application state");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            INTERNAL_MESSAGE,
        )
    }

    /// A defect: the log gets all of it, the client a sentence.
    fn internal(error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            INTERNAL_MESSAGE,
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = service::error_response(self.status, self.code.as_str(), &self.message);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(self.challenge),
            );
        }
        if let Some(retry_after) = self.retry_after {
            // Who comes back after less than it takes is refused again.
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = &self.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        response
    }
}
