//! The name of a repository, by the grammar of the OCI distribution specification.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest repository name in bytes.
///
/// The specification leaves the limit to the registry and notes that many clients stop at 255
/// characters, host name included.
pub const MAX_REPOSITORY_NAME_LENGTH: usize = 255;

/// A valid repository name such as `library/alpine`. Cheap to clone.
///
/// The grammar is the specification's, `<name>` under "Pulling manifests":
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.
/// So a name never starts or ends with a separator, has no empty component, and is safe as a
/// path below a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Arc<str>);

/// Why a text is not a repository name. The sentences may be shown to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// There is no text at all.
    #[error("a repository name cannot be empty")]
    Empty,
    /// Longer than [`MAX_REPOSITORY_NAME_LENGTH`] bytes.
    #[error(
        "a repository name has at most {MAX_REPOSITORY_NAME_LENGTH} bytes, this one has {length}"
    )]
    TooLong {
        /// The length of the refused text in bytes.
        length: usize,
    },
    /// A slash at the start or the end, or two in a row.
    #[error("a repository name has no empty component: look for '/' at byte {position}")]
    EmptyComponent {
        /// Byte offset of the slash or of the end of the text.
        position: usize,
    },
    /// A character that no repository name may hold, an upper-case letter for example.
    #[error(
        "{character:?} at byte {position} cannot be in a repository name: \
         use lower-case letters, digits, '.', '_', '-' and '/'"
    )]
    InvalidCharacter {
        /// The offending character.
        character: char,
        /// Its byte offset.
        position: usize,
    },
    /// A separator that does not stand between letters or digits, or a forbidden run of them.
    #[error(
        "the separator at byte {position} is misplaced: '.', '_', '__' or dashes \
         stand one at a time between letters or digits"
    )]
    MisplacedSeparator {
        /// Byte offset where the separator starts.
        position: usize,
    },
}

impl RepositoryName {
    /// Checks a text against the grammar.
    pub fn parse(text: &str) -> Result<Self, RepositoryNameError> {
        validate(text)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first component: whose repository this is. A name of one component is its own
    /// namespace.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(first, _)| first)
    }

    /// The parts between slashes, at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

fn validate(text: &str) -> Result<(), RepositoryNameError> {
    if text.is_empty() {
        return Err(RepositoryNameError::Empty);
    }
    if text.len() > MAX_REPOSITORY_NAME_LENGTH {
        return Err(RepositoryNameError::TooLong { length: text.len() });
    }
    let mut start = 0;
    for component in text.split('/') {
        validate_component(component, start)?;
        start += component.len() + 1;
    }
    Ok(())
}

/// `start` is where the component begins in the whole name, so that errors can point at it.
fn validate_component(component: &str, start: usize) -> Result<(), RepositoryNameError> {
    if component.is_empty() {
        return Err(RepositoryNameError::EmptyComponent { position: start });
    }
    let forbidden = |c: char| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if let Some((offset, character)) = component.char_indices().find(|(_, c)| forbidden(*c)) {
        return Err(RepositoryNameError::InvalidCharacter {
            character,
            position: start + offset,
        });
    }
    let bytes = component.as_bytes();
    let mut offset = 0;
    while offset < bytes.len() {
        let run = separator_run(&bytes[offset..]);
        let inside = offset > 0 && offset + run.len() < bytes.len();
        let allowed = matches!(run, b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-');
        if !(run.is_empty() || inside && allowed) {
            return Err(RepositoryNameError::MisplacedSeparator {
                position: start + offset,
            });
        }
        offset += run.len().max(1);
    }
    Ok(())
}

/// The separators that `bytes` starts with.
fn separator_run(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(u8::is_ascii_alphanumeric)
        .unwrap_or(bytes.len());
    &bytes[..end]
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = RepositoryNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        validate(&text)?;
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for RepositoryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for RepositoryName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepositoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_what_the_specification_allows() {
        let longest = format!("a/{}", "b".repeat(253));
        for name in [
            "a",
            "alpine",
            "library/alpine",
            "a/b/c/d/e",
            "0/1",
            "a.b",
            "a_b",
            "a__b",
            "a-b",
            "a-----b",
            "a.b_c__d-e/f.g",
            longest.as_str(),
        ] {
            assert_eq!(RepositoryName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_and_says_where() {
        use RepositoryNameError as E;
        let too_long = "a".repeat(256);
        for (name, expected) in [
            ("", E::Empty),
            (too_long.as_str(), E::TooLong { length: 256 }),
            ("/a", E::EmptyComponent { position: 0 }),
            ("a/", E::EmptyComponent { position: 2 }),
            ("a//b", E::EmptyComponent { position: 2 }),
            (
                "library/Alpine",
                E::InvalidCharacter {
                    character: 'A',
                    position: 8,
                },
            ),
            (
                "localhost:5000/a",
                E::InvalidCharacter {
                    character: ':',
                    position: 9,
                },
            ),
            (
                "é",
                E::InvalidCharacter {
                    character: 'é',
                    position: 0,
                },
            ),
            (
                "a\0b",
                E::InvalidCharacter {
                    character: '\0',
                    position: 1,
                },
            ),
            (".", E::MisplacedSeparator { position: 0 }),
            ("a/..", E::MisplacedSeparator { position: 2 }),
            ("a..b", E::MisplacedSeparator { position: 1 }),
            ("a___b", E::MisplacedSeparator { position: 1 }),
            ("a.-b", E::MisplacedSeparator { position: 1 }),
            ("a-", E::MisplacedSeparator { position: 1 }),
            ("a/-b", E::MisplacedSeparator { position: 2 }),
        ] {
            assert_eq!(RepositoryName::parse(name), Err(expected), "{name:?}");
        }
    }

    #[test]
    fn the_namespace_is_the_first_component() {
        let name: RepositoryName = "team/app/worker".parse().unwrap();
        assert_eq!(name.namespace(), "team");
        assert_eq!(
            name.components().collect::<Vec<_>>(),
            ["team", "app", "worker"]
        );
        assert_eq!(RepositoryName::parse("solo").unwrap().namespace(), "solo");
    }

    /// A second, slow reading of the grammar to hold the scanner against.
    fn by_the_grammar(name: &str) -> bool {
        let component = |component: &str| {
            let pieces: Vec<&str> = component.split(['.', '_', '-']).collect();
            let separators: String = component.chars().filter(|c| ".-_".contains(*c)).collect();
            let (mut rest, mut words) = (component, 0);
            while let Some(end) = rest.find(['.', '_', '-']) {
                let tail = rest[end..].trim_start_matches(['.', '_', '-']);
                let run = &rest[end..rest.len() - tail.len()];
                let fine = [".", "_", "__"].contains(&run) || run.chars().all(|c| c == '-');
                if end == 0 || tail.is_empty() || !fine {
                    return false;
                }
                (rest, words) = (tail, words + 1);
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            !rest.is_empty()
                && words <= separators.len()
                && pieces.iter().all(|piece| piece.chars().all(plain))
        };
        name.len() <= MAX_REPOSITORY_NAME_LENGTH && name.split('/').all(component)
    }

    proptest! {
        #[test]
        fn every_generated_name_is_accepted(
            name in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}){0,3}"
        ) {
            let parsed = RepositoryName::parse(&name).unwrap();
            prop_assert_eq!(parsed.to_string(), name.clone());
            let json = serde_json::to_string(&parsed).unwrap();
            prop_assert_eq!(serde_json::from_str::<RepositoryName>(&json).unwrap(), parsed);
        }

        #[test]
        fn agrees_with_the_grammar(name in "[a-b0-1._/A:-]{0,12}") {
            prop_assert_eq!(RepositoryName::parse(&name).is_ok(), by_the_grammar(&name));
        }

        #[test]
        fn never_panics(name in "\\PC{0,300}") {
            let _ = RepositoryName::parse(&name).map_err(|error| error.to_string());
        }
    }
}
