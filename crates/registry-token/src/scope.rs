//! The scopes a client asks for: `type[(class)]:name:action[,action]`.
//!
//! The grammar is the Docker token specification's ("Token Scope Documentation"). What clients
//! really send is looser in one way only: a name may carry `host:port`, so a scope is cut at its
//! first and its last colon.

use std::{fmt, str::FromStr};

use crate::{Action, Actions, RepositoryName, RepositoryNameError, Resource, text::ShownText};

/// How many scopes one request may ask for, counted before equal resources are merged.
pub const MAX_SCOPES: usize = 100;

/// The longest scope in bytes: the longest repository name, a host and port, and the words.
const MAX_SCOPE_LENGTH: usize = 640;

/// One resource and the actions wanted on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// What it is about.
    pub resource: Resource,
    /// What is wanted. Words that this version does not know are left out, so this can be empty.
    pub actions: Actions,
}

/// Why a scope was refused. The sentences may be shown to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not of the form `type:name:actions`.
    #[error("scope \"{scope}\" is not of the form type:name:action[,action]")]
    Malformed {
        /// What was sent, shortened.
        scope: ShownText,
    },
    /// A repository scope whose name breaks the grammar.
    #[error("scope \"{scope}\": {reason}")]
    InvalidName {
        /// What was sent, shortened.
        scope: ShownText,
        /// What is wrong with the name.
        reason: RepositoryNameError,
    },
    /// One scope longer than any sensible one.
    #[error("a scope has at most {MAX_SCOPE_LENGTH} bytes, this one has {length}")]
    TooLong {
        /// The length of the refused scope in bytes.
        length: usize,
    },
    /// More than [`MAX_SCOPES`] in one request.
    #[error("at most {MAX_SCOPES} scopes can be asked for at once")]
    TooMany,
}

impl Scope {
    /// A scope on a repository.
    pub fn repository(name: RepositoryName, actions: impl Into<Actions>) -> Self {
        Self {
            resource: Resource::Repository(name),
            actions: actions.into(),
        }
    }

    /// Parses one scope.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_LENGTH {
            return Err(ScopeError::TooLong { length: text.len() });
        }
        let malformed = || ScopeError::Malformed {
            scope: ShownText::new(text),
        };
        let (kind, rest) = text.split_once(':').ok_or_else(malformed)?;
        let (name, actions) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let (kind, class) = split_class(kind).ok_or_else(malformed)?;
        if name.is_empty() || actions.is_empty() || text.contains(char::is_whitespace) {
            return Err(malformed());
        }
        let resource = Resource::new(kind, class, name);
        if let ("repository", Resource::Other { .. }) = (kind, &resource) {
            check_foreign_name(name).map_err(|reason| ScopeError::InvalidName {
                scope: ShownText::new(text),
                reason,
            })?;
        }
        let actions = actions
            .split(',')
            .filter_map(|word| word.parse::<Action>().ok())
            .collect();
        Ok(Self { resource, actions })
    }
}

/// `type` or `type(class)`, both of letters, digits, dashes and underscores.
fn split_class(text: &str) -> Option<(&str, Option<&str>)> {
    let is_word = |word: &str| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !word.is_empty() && word.bytes().all(fine)
    };
    let (kind, class) = match text.split_once('(') {
        Some((kind, class)) => (kind, Some(class.strip_suffix(')')?)),
        None => (text, None),
    };
    (is_word(kind) && class.is_none_or(is_word)).then_some((kind, class))
}

/// A name with `host:port/` in front is well-formed, though no repository of ours; all else that
/// is not a repository name is a mistake worth telling.
fn check_foreign_name(name: &str) -> Result<(), RepositoryNameError> {
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(':') => path,
        _ => name,
    };
    RepositoryName::parse(path).map(drop)
}

/// Parses all scopes of a request: each value is split on white space, scopes on the same
/// resource are merged in the order they first appeared, and those that ask for nothing known
/// are left out.
pub fn parse_scopes<'a>(
    values: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Scope>, ScopeError> {
    let mut scopes: Vec<Scope> = Vec::new();
    let words = values.into_iter().flat_map(str::split_whitespace);
    for (index, word) in words.enumerate() {
        if index >= MAX_SCOPES {
            return Err(ScopeError::TooMany);
        }
        let scope = Scope::parse(word)?;
        if scope.actions.is_empty() {
            continue;
        }
        match scopes
            .iter_mut()
            .find(|known| known.resource == scope.resource)
        {
            Some(known) => known.actions = known.actions.union(scope.actions),
            None => scopes.push(scope),
        }
    }
    Ok(scopes)
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.resource, self.actions)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repository(name: &str, actions: impl Into<Actions>) -> Scope {
        Scope::repository(name.parse().unwrap(), actions)
    }

    #[test]
    fn reads_what_clients_send() {
        for (text, expected) in [
            (
                "repository:alpine:pull",
                repository("alpine", Actions::PULL),
            ),
            (
                "repository:a/b:push,pull",
                repository("a/b", Actions::PULL_PUSH),
            ),
            (
                "repository(plugin):a/b:pull",
                repository("a/b", Actions::PULL),
            ),
            ("repository:a:*", repository("a", Actions::ALL)),
            ("repository:a:pull,metadata", repository("a", Actions::PULL)),
            (
                "registry:catalog:*",
                Scope {
                    resource: Resource::RegistryCatalog,
                    actions: Actions::ALL,
                },
            ),
        ] {
            assert_eq!(Scope::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_host_and_port_belong_to_the_name() {
        let scope = Scope::parse("repository:localhost:5000/a/b:pull").unwrap();
        assert_eq!(scope.resource.name(), "localhost:5000/a/b");
        assert!(matches!(scope.resource, Resource::Other { .. }));
        assert_eq!(scope.actions, Actions::PULL);
    }

    #[test]
    fn refuses_what_is_no_scope() {
        for text in [
            "",
            ":",
            "::",
            "repository",
            "repository:a",
            "repository::pull",
            "repository:a:",
            ":a:pull",
            "repository(:a:pull",
            "repository():a:pull",
            "repository(x)y:a:pull",
            "repo sitory:a:pull",
            "repository:a b:pull",
            "repository:a:pull push",
        ] {
            let refused = Scope::parse(text);
            assert!(
                matches!(refused, Err(ScopeError::Malformed { .. })),
                "{text:?}: {refused:?}"
            );
        }
        for text in [
            "repository:A:pull",
            "repository:host:5000/:pull",
            "repository:a//b:pull",
        ] {
            let refused = Scope::parse(text);
            assert!(
                matches!(refused, Err(ScopeError::InvalidName { .. })),
                "{text:?}: {refused:?}"
            );
        }
        let long = format!("repository:{}:pull", "a".repeat(1000));
        assert_eq!(
            Scope::parse(&long),
            Err(ScopeError::TooLong { length: 1016 })
        );
    }

    #[test]
    fn a_request_is_split_and_merged() {
        let scopes = parse_scopes([
            "repository:a:pull  repository:b:push",
            "",
            "\trepository:a:push repository:c:dance ",
        ])
        .unwrap();
        assert_eq!(
            scopes,
            [
                repository("a", Actions::PULL_PUSH),
                repository("b", Action::Push)
            ]
        );
    }

    #[test]
    fn a_request_is_bounded() {
        let hundred = vec!["repository:a:pull"; MAX_SCOPES];
        assert_eq!(parse_scopes(hundred).unwrap().len(), 1);
        let more = "repository:a:pull ".repeat(MAX_SCOPES + 1);
        assert_eq!(parse_scopes([more.as_str()]), Err(ScopeError::TooMany));
    }

    #[test]
    fn a_refusal_cannot_smuggle_anything_into_a_header() {
        let error = Scope::parse("a\r\nSet-Cookie:x").unwrap_err();
        assert!(!error.to_string().contains(['\r', '\n']), "{error}");
    }

    proptest! {
        #[test]
        fn survives_its_own_text(
            kind in "(repository|registry|[a-z][a-z0-9]{0,6})",
            class in proptest::option::of("[a-z0-9]{1,6}"),
            name in "[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}",
            actions in "(\\*|pull|push|delete|pull,push|push,pull,delete)",
        ) {
            let class = class.map_or(String::new(), |class| format!("({class})"));
            let scope = Scope::parse(&format!("{kind}{class}:{name}:{actions}")).unwrap();
            prop_assert_eq!(&Scope::parse(&scope.to_string()).unwrap(), &scope);
        }

        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = Scope::parse(&text).map_err(|error| error.to_string());
            let _ = parse_scopes([text.as_str(), text.as_str()]);
        }

        #[test]
        fn merging_loses_and_invents_nothing(
            wanted in proptest::collection::vec(("[ab]", "(pull|push|delete|\\*)"), 0..12)
        ) {
            let texts: Vec<String> =
                wanted.iter().map(|(name, action)| format!("repository:{name}:{action}")).collect();
            let merged = parse_scopes([texts.join(" ").as_str()]).unwrap();
            for name in ["a", "b"] {
                let expected: Actions = wanted
                    .iter()
                    .filter(|(wanted, _)| wanted == name)
                    .map(|(_, action)| action.parse::<Action>().unwrap())
                    .collect();
                let resource = Resource::new("repository", None, name);
                let found: Vec<_> =
                    merged.iter().filter(|scope| scope.resource == resource).collect();
                prop_assert!(found.len() <= 1);
                prop_assert_eq!(found.first().map_or(Actions::NONE, |scope| scope.actions), expected);
            }
        }
    }
}
