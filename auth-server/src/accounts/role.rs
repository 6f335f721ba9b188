//! [`Role`]: what a member of a group or project is.

use registry_token::{Action, Actions};

/// From the least to the greatest: each may do what those before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
    sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum Role {
    /// Knows that it exists.
    Guest,
    /// Pulls.
    Reporter,
    /// Pushes too.
    Developer,
    /// Deletes too; manages deploy tokens, grants and settings.
    Maintainer,
    /// Manages members too, and may delete the group or project itself.
    Owner,
}

impl Role {
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::Reporter,
        Self::Developer,
        Self::Maintainer,
        Self::Owner,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Reporter => "reporter",
            Self::Developer => "developer",
            Self::Maintainer => "maintainer",
            Self::Owner => "owner",
        }
    }

    /// What it grants in the registry. Not `*`, of which catalogs and whatever is yet to be
    /// invented are part: that is for administrators.
    #[must_use]
    pub fn actions(self) -> Actions {
        match self {
            Self::Guest => Actions::NONE,
            Self::Reporter => Actions::PULL,
            Self::Developer => Actions::PULL_PUSH,
            Self::Maintainer | Self::Owner => {
                Actions::from([Action::Pull, Action::Push, Action::Delete])
            }
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no [`Role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is guest, reporter, developer, maintainer or owner")]
pub struct UnknownRole;

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_grants_what_those_before_it_do() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[1].actions().contains_all(pair[0].actions()));
        }
        assert!(!Role::Owner.actions().contains(Action::All));
    }

    #[test]
    fn a_role_survives_its_text() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for text in ["", "Owner", "admin", "owner "] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole), "{text:?}");
        }
    }
}
