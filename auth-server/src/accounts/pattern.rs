//! [`Pattern`]: which repositories, as a glob over their whole names.

use registry_token::RepositoryName;

/// `*` stands for any characters within a component, the component `**` for any number of
/// components, none too: `team/app/**` is `team/app` and all below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, sqlx::Type)]
#[serde(transparent)]
// What comes from the database was checked on its way in.
#[sqlx(transparent)]
pub struct Pattern(String);

/// Why a text is no pattern. The sentences may be shown to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("a pattern has 1 to {} bytes", Pattern::MAX_LENGTH)]
    Length,
    #[error(
        "{character:?} at byte {position} cannot be in a pattern: repository names consist of \
         lower-case letters, digits, '.', '_', '-' and '/', and '*' stands for any of them"
    )]
    Character { character: char, position: usize },
    #[error("a pattern has no empty component: it neither starts nor ends with '/'")]
    EmptyComponent,
    #[error("`**` must be a whole component, as in `team/**`")]
    AcrossWithin,
}

impl Pattern {
    /// In bytes; no repository name is longer.
    pub const MAX_LENGTH: usize = 255;

    const ACROSS: &'static str = "**";

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn matches(&self, repository: &RepositoryName) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let components: Vec<&str> = repository.components().collect();
        glob(
            &pattern,
            &components,
            |component| *component == Self::ACROSS,
            |pattern, component| matches_within(pattern, component),
        )
    }

    /// Whether some repository at or below the path could match. One that never does is a
    /// mistake that nobody would notice.
    #[must_use]
    pub fn can_match_in(&self, path: &RepositoryName) -> bool {
        let mut pattern = self.0.split('/');
        for component in path.components() {
            match pattern.next() {
                Some(Self::ACROSS) => return true,
                Some(one) if matches_within(one, component) => {}
                Some(_) | None => return false,
            }
        }
        true
    }
}

/// Of one component each.
fn matches_within(pattern: &str, component: &str) -> bool {
    glob(
        pattern.as_bytes(),
        component.as_bytes(),
        |byte| *byte == b'*',
        |one, other| one == other,
    )
}

/// Whether a pattern with wild cards matches a text. When it fails, only the latest wild card has
/// to take more: what those before it took was the least they could. So the time is bounded by
/// the product of the lengths.
fn glob<P, T>(
    pattern: &[P],
    text: &[T],
    is_wild: impl Fn(&P) -> bool,
    matches: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    // After the latest wild card, and what the text had left for it.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(wild) if is_wild(wild) => {
                p += 1;
                retry = Some((p, t));
            }
            Some(one) if matches(one, &text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, start)) => {
                    p = after;
                    t = start + 1;
                    retry = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(is_wild)
}

impl std::str::FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_LENGTH {
            return Err(InvalidPattern::Length);
        }
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' | '*');
        if let Some((position, character)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err(InvalidPattern::Character {
                character,
                position,
            });
        }
        for component in text.split('/') {
            if component.is_empty() {
                return Err(InvalidPattern::EmptyComponent);
            }
            if component != Self::ACROSS && component.contains(Self::ACROSS) {
                return Err(InvalidPattern::AcrossWithin);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::repository;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern
            .parse::<Pattern>()
            .unwrap()
            .matches(&repository(name))
    }

    #[test]
    fn the_table() {
        for (pattern, inside, outside) in [
            (
                "team/app",
                &["team/app"][..],
                &["team", "team/app/x", "team/apps"][..],
            ),
            (
                "team/*",
                &["team/app", "team/a-b"],
                &["team", "team/app/x", "teams/app"],
            ),
            (
                "team/app/**",
                &["team/app", "team/app/x", "team/app/x/y"],
                &["team", "team/application", "team/app-2/x"],
            ),
            ("**", &["a", "a/b", "a/b/c"], &[]),
            (
                "**/test",
                &["test", "a/test", "a/b/test"],
                &["a/tests", "test/a"],
            ),
            (
                "a/**/z",
                &["a/z", "a/b/z", "a/z/z", "a/b/c/z"],
                &["a", "z", "a/z/b"],
            ),
            ("a/*/z", &["a/b/z", "a/bc/z"], &["a/z", "a/b/c/z"]),
            (
                "a/x*y*z",
                &["a/xyz", "a/x-y-z", "a/xyyzz"],
                &["a/xz", "a/xy", "a/x/y/z"],
            ),
            (
                "**/a/**/a",
                &["a/a", "b/a/a", "a/b/a", "a/a/a"],
                &["a", "a/b", "a/a/b"],
            ),
        ] {
            for name in inside {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in outside {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_in_a_project_is_told() {
        for (pattern, expected) in [
            ("team/app", true),
            ("team/app/x", true),
            ("team/*", true),
            ("team/*/x/**", true),
            ("**/x", true),
            ("t*/a*/*", true),
            ("team", false),
            ("team/apps", false),
            ("*", false),
            ("other/**", false),
            ("app/**", false),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(
                parsed.can_match_in(&repository("team/app")),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "a".repeat(256);
        for (text, expected) in [
            ("", InvalidPattern::Length),
            (long.as_str(), InvalidPattern::Length),
            (
                "Team/*",
                InvalidPattern::Character {
                    character: 'T',
                    position: 0,
                },
            ),
            (
                "a/?",
                InvalidPattern::Character {
                    character: '?',
                    position: 2,
                },
            ),
            (
                "a/[a]",
                InvalidPattern::Character {
                    character: '[',
                    position: 2,
                },
            ),
            (
                "a/{b}",
                InvalidPattern::Character {
                    character: '{',
                    position: 2,
                },
            ),
            (
                "a\0",
                InvalidPattern::Character {
                    character: '\0',
                    position: 1,
                },
            ),
            ("/a", InvalidPattern::EmptyComponent),
            ("a/", InvalidPattern::EmptyComponent),
            ("a//b", InvalidPattern::EmptyComponent),
            ("a**", InvalidPattern::AcrossWithin),
            ("a/***", InvalidPattern::AcrossWithin),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(expected), "{text:?}");
        }
    }

    /// Slow and obvious: a wild card takes nothing, or one thing more.
    fn model(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            (["**", rest @ ..], []) => model(rest, name),
            (["**", rest @ ..], [_, below @ ..]) => model(rest, name) || model(pattern, below),
            ([_, ..], []) => false,
            ([one, rest @ ..], [first, below @ ..]) => {
                model_of_one(one.as_bytes(), first.as_bytes()) && model(rest, below)
            }
        }
    }

    fn model_of_one(pattern: &[u8], component: &[u8]) -> bool {
        match (pattern, component) {
            ([], _) => component.is_empty(),
            ([b'*', rest @ ..], []) => model_of_one(rest, component),
            ([b'*', rest @ ..], [_, after @ ..]) => {
                model_of_one(rest, component) || model_of_one(pattern, after)
            }
            ([one, rest @ ..], [first, after @ ..]) => one == first && model_of_one(rest, after),
            ([_, ..], []) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn it_matches_what_the_model_does(
            pattern in "(a|b|\\*|a\\*|\\*b|a\\*b\\*|\\*\\*)(/(a|b|\\*|ab\\*|\\*\\*)){0,4}",
            name in "[ab]{1,4}(/[ab]{1,3}){0,4}",
        ) {
            let (parts, components): (Vec<_>, Vec<_>) =
                (pattern.split('/').collect(), name.split('/').collect());
            prop_assert_eq!(matches(&pattern, &name), model(&parts, &components));
        }

        #[test]
        fn hostile_patterns_cost_little(pattern in "(a\\*){40,80}b", name in "a{200,255}") {
            prop_assert!(!matches(&pattern, &name));
        }
    }
}
