//! [`Caller`]: who asks for a change, as far as the rules about it depend on that.

use super::User;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// An administrator, an operator, or the server itself: may do everything.
    Administrator,
    User(&'a User),
}

impl<'a> From<&'a User> for Caller<'a> {
    fn from(user: &'a User) -> Self {
        if user.is_admin {
            Self::Administrator
        } else {
            Self::User(user)
        }
    }
}

impl<'a> Caller<'a> {
    /// The user, unless everything is allowed anyway.
    #[must_use]
    pub fn user(self) -> Option<&'a User> {
        match self {
            Self::Administrator => None,
            Self::User(user) => Some(user),
        }
    }

    #[must_use]
    pub fn is_administrator(self) -> bool {
        matches!(self, Self::Administrator)
    }
}
