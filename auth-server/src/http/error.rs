//! [`ApiError`], and the one table that gives each error of the domain its status, code and
//! sentence.
//!
//! Exhaustive on purpose, without `_` arms: a new error has to be given its place here. What is
//! nobody's business outside (a statement, a path, a cause) goes to the log; the client gets the
//! request id, under which the log has the rest.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::basic::InvalidBasic;
use super::parameters::InvalidParameters;
use crate::access::UnknownTokenScope;
use crate::accounts::login::LoginError;
use crate::accounts::password::WeakPassword;
use crate::accounts::session::SessionError;
use crate::accounts::user::InvalidEmail;
use crate::accounts::{
    GrantError, GroupError, InvalidPath, InvalidPattern, InvalidUsername, MemberError,
    NamespaceError, PasswordError, ProjectError, TokenError, UserError,
};
use crate::token::key_ring::KeyError;
use crate::token::rotation::RotationError;
use crate::token::{IssueError, RefreshError};
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

/// When to come back if the database is away.
const DATABASE_RETRY_AFTER: Duration = Duration::from_secs(1);

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

impl From<database::Error> for ApiError {
    fn from(error: database::Error) -> Self {
        match &error {
            database::Error::Unavailable(_) | database::Error::Race(_) => {
                tracing::warn!(
                    error = &error as &(dyn StdError + 'static),
                    "a request had no database"
                );
                Self::unavailable("the database is unavailable", DATABASE_RETRY_AFTER)
            }
            // Whoever expects a conflict handles it before it comes here.
            database::Error::Conflict(_) | database::Error::Internal(_) => Self::internal(&error),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => {
                Self::unavailable("too many logins at once, try again", retry_after)
            }
            PasswordError::Hash(_) | PasswordError::Bcrypt(_) | PasswordError::Thread(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::WrongCredentials
            | LoginError::Disabled
            | LoginError::TokenExpired
            | LoginError::TokenRevoked => Self::unauthorized(error.to_string()),
            LoginError::Throttled { retry_after } => {
                Self::too_many_requests(error.to_string(), retry_after)
            }
            LoginError::Password(error) => error.into(),
            LoginError::Database(error) => error.into(),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Unknown
            | RefreshError::Expired
            | RefreshError::Revoked
            | RefreshError::Disabled
            | RefreshError::OtherService => Self::unauthorized(error.to_string()),
            RefreshError::Database(error) => error.into(),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::UnknownService { .. } => Self::bad_request(error.to_string()),
            IssueError::Login(error) => error.into(),
            IssueError::Refresh(error) => error.into(),
            IssueError::Database(error) => error.into(),
            IssueError::NoKey | IssueError::Sign(_) => Self::internal(&error),
        }
    }
}

impl From<RotationError> for ApiError {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::NotFound(_) => Self::not_found(error.to_string()),
            RotationError::Mounted
            | RotationError::Pending { .. }
            | RotationError::Retired { .. }
            | RotationError::Signing { .. }
            | RotationError::Verifying { .. }
            | RotationError::MountedSigns { .. }
            | RotationError::Known { .. } => Self::conflict(error.to_string()),
            RotationError::NoPrivateKey
            | RotationError::PrivateKeyOfMounted
            | RotationError::NoCertificate
            | RotationError::Unusable(_)
            | RotationError::CertificateEnded(_) => Self::invalid(error.to_string()),
            RotationError::Keys(KeyError::Database(error)) | RotationError::Database(error) => {
                error.into()
            }
            RotationError::Keys(error) => Self::internal(&error),
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::UsernameTaken(_)
            | UserError::EmailTaken
            | UserError::NamespaceInUse { .. }
            | UserError::StillHasProjects { .. }
            | UserError::LastAdministrator(_) => Self::conflict(error.to_string()),
            UserError::NotFound(_) => Self::not_found(error.to_string()),
            UserError::Outdated(_) => Self::outdated(error.to_string()),
            UserError::Database(error) => error.into(),
        }
    }
}

impl From<NamespaceError> for ApiError {
    fn from(error: NamespaceError) -> Self {
        match error {
            NamespaceError::Denied { .. } => Self::denied(error.to_string()),
            NamespaceError::NoGroup { .. }
            | NamespaceError::NoNamespace { .. }
            | NamespaceError::Taken(_) => Self::conflict(error.to_string()),
            NamespaceError::Database(error) => error.into(),
        }
    }
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Namespace(error) => error.into(),
            GroupError::OwnerNotFound(_) => Self::invalid(error.to_string()),
            GroupError::NotEmpty { .. } => Self::conflict(error.to_string()),
            GroupError::NotFound => Self::not_found(error.to_string()),
            GroupError::Outdated => Self::outdated(error.to_string()),
            GroupError::Database(error) => error.into(),
        }
    }
}

impl From<ProjectError> for ApiError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Namespace(error) => error.into(),
            ProjectError::OwnerNotFound(_) => Self::invalid(error.to_string()),
            ProjectError::NotFound => Self::not_found(error.to_string()),
            ProjectError::Outdated => Self::outdated(error.to_string()),
            ProjectError::Database(error) => error.into(),
        }
    }
}

impl From<MemberError> for ApiError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::NotFound | MemberError::NoMember { .. } | MemberError::UserNotFound(_) => {
                Self::not_found(error.to_string())
            }
            MemberError::Expired => Self::invalid(error.to_string()),
            MemberError::LastOwner { .. } => Self::conflict(error.to_string()),
            MemberError::Outdated => Self::outdated(error.to_string()),
            MemberError::Database(error) => error.into(),
        }
    }
}

impl From<GrantError> for ApiError {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::ProjectNotFound | GrantError::NotFound => {
                Self::not_found(error.to_string())
            }
            GrantError::UserNotFound(_)
            | GrantError::GroupNotFound(_)
            | GrantError::TokenNotFound(_)
            | GrantError::Actions
            | GrantError::Pattern { .. }
            | GrantError::Expired => Self::invalid(error.to_string()),
            GrantError::Outdated => Self::outdated(error.to_string()),
            GrantError::Database(error) => error.into(),
        }
    }
}

impl From<InvalidPath> for ApiError {
    fn from(error: InvalidPath) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidPattern> for ApiError {
    fn from(error: InvalidPattern) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Name
            | TokenError::DeployName
            | TokenError::NoScopes
            | TokenError::NoActions
            | TokenError::AllActions
            | TokenError::PushWithoutPull
            | TokenError::PatternElsewhere { .. }
            | TokenError::Past
            | TokenError::TooLate(_) => Self::invalid(error.to_string()),
            TokenError::MoreThanMaker(_) => Self::denied(error.to_string()),
            TokenError::NameTaken => Self::conflict(error.to_string()),
            TokenError::PathNotFound | TokenError::NotFound => Self::not_found(error.to_string()),
            TokenError::Database(error) => error.into(),
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Outdated => Self::unauthorized(error.to_string()),
            SessionError::NotFound => Self::not_found(error.to_string()),
            SessionError::Database(error) => error.into(),
        }
    }
}

impl From<InvalidBasic> for ApiError {
    fn from(error: InvalidBasic) -> Self {
        match error {
            InvalidBasic::TooLong
            | InvalidBasic::Base64
            | InvalidBasic::Utf8
            | InvalidBasic::NoColon => Self::bad_request(error.to_string()),
            InvalidBasic::Scheme => Self::unauthorized(error.to_string()),
        }
    }
}

impl From<InvalidParameters> for ApiError {
    fn from(error: InvalidParameters) -> Self {
        match error {
            InvalidParameters::TooMany
            | InvalidParameters::Utf8
            | InvalidParameters::Ambiguous(_)
            | InvalidParameters::NoFlag(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<registry_token::ScopeError> for ApiError {
    fn from(error: registry_token::ScopeError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<InvalidUsername> for ApiError {
    fn from(error: InvalidUsername) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidEmail> for ApiError {
    fn from(error: InvalidEmail) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<WeakPassword> for ApiError {
    fn from(error: WeakPassword) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<UnknownTokenScope> for ApiError {
    fn from(error: UnknownTokenScope) -> Self {
        Self::invalid(error.to_string())
    }
}
