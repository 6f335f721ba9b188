//! [`Username`]: also the first component of the repositories that the user owns.

use std::fmt;
use std::str::FromStr;

use registry_token::RepositoryName;

/// Names that would mislead: those by which clients announce a token instead of a name, those
/// that stand for nobody or for the system, and `library`, which Docker puts before a bare name.
const RESERVED: [&str; 14] = [
    "anonymous",
    "api",
    "ci-job-token",
    "deploy-token",
    "gitlab-ci-token",
    "library",
    "oauth2accesstoken",
    "personal-access-token",
    "portcullis",
    "root",
    "system",
    "token",
    "v1",
    "v2",
];

/// The reserved name that this is, if it is one.
pub(super) fn reserved(name: &str) -> Option<&'static str> {
    RESERVED.into_iter().find(|reserved| *reserved == name)
}

/// A valid username: one component of a repository name, at most 64 bytes, not reserved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, sqlx::Type)]
// What comes from the database was checked on its way in.
#[sqlx(transparent)]
pub struct Username(String);

impl Username {
    /// In bytes; leaves room for projects and repositories below it.
    pub const MAX_LENGTH: usize = 64;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no username.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsername {
    #[error("a username has 1 to {} characters", Username::MAX_LENGTH)]
    Length,
    #[error(
        "a username consists of lower-case letters and digits, with single `.`, `_`, `__` or any \
         number of `-` between them, because it names the user's repositories"
    )]
    Grammar,
    #[error("`{0}` is a reserved name")]
    Reserved(&'static str),
}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_LENGTH {
            return Err(InvalidUsername::Length);
        }
        if text.contains('/') || RepositoryName::from_str(text).is_err() {
            return Err(InvalidUsername::Grammar);
        }
        match reserved(text) {
            Some(reserved) => Err(InvalidUsername::Reserved(reserved)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Username {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_are_components_of_a_repository_name_are_taken() {
        for name in ["a", "alice", "alice-2", "a.b", "a_b", "a__b", "a---b", "0"] {
            assert_eq!(Username::from_str(name).unwrap().as_str(), name);
        }
        assert!(Username::from_str(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn everything_else_is_refused() {
        for (name, expected) in [
            ("", InvalidUsername::Length),
            (&*"a".repeat(65), InvalidUsername::Length),
            ("Alice", InvalidUsername::Grammar),
            ("alice/app", InvalidUsername::Grammar),
            ("..", InvalidUsername::Grammar),
            ("a..b", InvalidUsername::Grammar),
            ("a___b", InvalidUsername::Grammar),
            ("-a", InvalidUsername::Grammar),
            ("a-", InvalidUsername::Grammar),
            ("a b", InvalidUsername::Grammar),
            ("a\0", InvalidUsername::Grammar),
            ("<token>", InvalidUsername::Grammar),
            // CYRILLIC SMALL LETTER A
            ("\u{430}lice", InvalidUsername::Grammar),
            ("v2", InvalidUsername::Reserved("v2")),
            ("library", InvalidUsername::Reserved("library")),
        ] {
            assert_eq!(Username::from_str(name).unwrap_err(), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_username_can_always_own_a_repository(text in "\\PC{0,70}|[a-z0-9._-]{0,70}") {
            if let Ok(name) = Username::from_str(&text) {
                let repository = format!("{name}/app");
                prop_assert!(RepositoryName::from_str(&repository).is_ok());
            }
        }
    }
}
