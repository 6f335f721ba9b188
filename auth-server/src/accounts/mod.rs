//! Who there is and what belongs to whom: users and how they log in, groups, projects, their members
//! and grants.
//!
//! Plain functions over a [`Database`](database::Database) and a [`Clock`](crate::clock::Clock),
//! called by the HTTP handlers and by the command line alike. They decide what a change requires;
//! who may ask for it is the caller's matter, and what an account may do to a repository is
//! [`access`](crate::access)'s.

mod bearer;
pub mod bootstrap;
mod caller;
pub mod counts;
mod expected;
pub mod grant;
pub mod group;
pub mod htpasswd;
pub(crate) mod last_use;
pub mod login;
pub mod membership;
pub mod namespace;
pub mod page;
pub mod password;
mod pattern;
pub mod place;
pub mod project;
mod refusals;
mod right_password;
mod role;
pub mod secret;
pub mod session;
pub mod throttle;
pub mod token;
mod token_rules;
mod unwritten;
pub mod user;
mod username;

pub use self::caller::Caller;
pub use self::expected::{Expected, Put};
pub use self::grant::{Grant, GrantError, GrantId};
pub use self::group::{Group, GroupError, GroupId};
pub use self::membership::{MemberError, Membership};
pub use self::namespace::{InvalidPath, NamespaceError};
pub use self::page::{Order, Page, PageRequest};
pub use self::password::{NewPassword, PasswordError, PasswordPolicy, Passwords};
pub use self::pattern::{InvalidPattern, Pattern};
pub use self::project::{Project, ProjectError, ProjectId, Visibility};
pub use self::role::{Role, UnknownRole};
pub use self::secret::TokenSecret;
pub use self::token::{Token, TokenError, TokenPolicy};
pub use self::user::{User, UserError, UserId};
pub use self::username::{InvalidUsername, Username};
