//! The one table that gives each error of the domain its status, code and sentence.
//!
//! Exhaustive on purpose, without `_` arms: a new error has to be given its place here.

use std::error::Error as StdError;
use std::time::Duration;

use super::ApiError;
use crate::access::UnknownTokenScope;
use crate::accounts::login::LoginError;
use crate::accounts::password::WeakPassword;
use crate::accounts::session::SessionError;
use crate::accounts::user::InvalidEmail;
use crate::accounts::{
    GrantError, GroupError, InvalidPath, InvalidPattern, InvalidUsername, MemberError,
    NamespaceError, PasswordError, ProjectError, TokenError, UserError,
};
use crate::http::basic::InvalidBasic;
use crate::http::parameters::InvalidParameters;
use crate::token::key_ring::KeyError;
use crate::token::rotation::RotationError;
use crate::token::{IssueError, RefreshError};

/// When to come back if the database is away.
const DATABASE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// When to come back if it takes no changes: an operator has to do something first.
const READ_ONLY_RETRY_AFTER: Duration = Duration::from_mins(1);

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
            database::Error::Full(_) => {
                tracing::error!(
                    error = &error as &(dyn StdError + 'static),
                    "a request was refused"
                );
                Self::full("the disk of the accounts database is full: nothing can be changed")
            }
            // Not 405 as in the registry: it is no property of the address, and a standby that is
            // promoted, or a disk that is mounted again, takes the same request.
            database::Error::ReadOnly(_) => {
                tracing::error!(
                    error = &error as &(dyn StdError + 'static),
                    "a request was refused"
                );
                Self::unavailable(
                    "the accounts database is read-only: nothing can be changed",
                    READ_ONLY_RETRY_AFTER,
                )
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
            | RotationError::Blind(_)
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
            GroupError::Denied(_) => Self::denied(error.to_string()),
            GroupError::Already(_) | GroupError::NotYet(_) | GroupError::Outdated => {
                Self::outdated(error.to_string())
            }
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
            ProjectError::Denied(_) => Self::denied(error.to_string()),
            ProjectError::Already(_) | ProjectError::NotYet(_) | ProjectError::Outdated => {
                Self::outdated(error.to_string())
            }
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
            MemberError::NotYet { .. } | MemberError::Already { .. } | MemberError::Outdated => {
                Self::outdated(error.to_string())
            }
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
            TokenError::NameTaken | TokenError::TooMany(_) => Self::conflict(error.to_string()),
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
