//! What a scope or an access entry is about.

use std::{borrow::Cow, fmt};

use crate::RepositoryName;

/// A thing that actions apply to.
///
/// Equality is what authorization compares, so a repository's class is not part of it:
/// `repository(plugin):a/b` is the same resource as `repository:a/b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A repository of this registry.
    Repository(RepositoryName),
    /// The list of all repositories, `registry:catalog`.
    RegistryCatalog,
    /// Anything else. Kept so that it can be shown; nothing of ours is reached through it.
    Other {
        /// The resource type, `repository` too if the name is not one of ours (a host with a
        /// port in front of it, for example).
        kind: Box<str>,
        /// What stood in parentheses behind the type.
        class: Option<Box<str>>,
        /// The name as it was given.
        name: Box<str>,
    },
}

impl Resource {
    /// Sorts a type, class and name as they stand in a scope or a token.
    pub fn new(kind: &str, class: Option<&str>, name: &str) -> Self {
        match (kind, name) {
            ("registry", "catalog") => return Self::RegistryCatalog,
            ("repository", _) => {
                if let Ok(name) = RepositoryName::parse(name) {
                    return Self::Repository(name);
                }
            }
            _ => {}
        }
        Self::Other {
            kind: kind.into(),
            class: class.filter(|class| !class.is_empty()).map(Into::into),
            name: name.into(),
        }
    }

    /// The resource type: `repository`, `registry` or a foreign one.
    pub fn kind(&self) -> &str {
        match self {
            Self::Repository(_) => "repository",
            Self::RegistryCatalog => "registry",
            Self::Other { kind, .. } => kind,
        }
    }

    /// The class of a foreign resource, if it has one.
    pub fn class(&self) -> Option<&str> {
        match self {
            Self::Repository(_) | Self::RegistryCatalog => None,
            Self::Other { class, .. } => class.as_deref(),
        }
    }

    /// The name within the type.
    pub fn name(&self) -> &str {
        match self {
            Self::Repository(name) => name.as_str(),
            Self::RegistryCatalog => "catalog",
            Self::Other { name, .. } => name,
        }
    }
}

impl From<RepositoryName> for Resource {
    fn from(name: RepositoryName) -> Self {
        Self::Repository(name)
    }
}

/// `type:name` or `type(class):name`, the beginning of a scope.
impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self
            .class()
            .map_or(Cow::Borrowed(""), |class| format!("({class})").into());
        write!(formatter, "{}{class}:{}", self.kind(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_class_does_not_make_another_resource() {
        let plain = Resource::new("repository", None, "a/b");
        assert_eq!(plain, Resource::new("repository", Some("plugin"), "a/b"));
        assert_eq!(plain.to_string(), "repository:a/b");
    }

    #[test]
    fn a_name_that_is_none_of_ours_is_kept_apart() {
        let foreign = Resource::new("repository", None, "host:5000/a");
        assert_eq!(foreign.kind(), "repository");
        assert_eq!(foreign.name(), "host:5000/a");
        assert!(matches!(foreign, Resource::Other { .. }));
    }

    #[test]
    fn the_catalog_has_one_spelling() {
        assert_eq!(
            Resource::new("registry", None, "catalog"),
            Resource::RegistryCatalog
        );
        let other = Resource::new("registry", Some("x"), "metrics");
        assert_eq!(other.to_string(), "registry(x):metrics");
    }
}
