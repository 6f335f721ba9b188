//! [`Rules`]: what the configuration decides about content.

use regex::Regex;

use crate::oci::{Descriptor, Platform};

/// What the configuration decides.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Tags, manifests and blobs may be deleted.
    pub deletion: bool,
    /// Nothing may be written.
    pub read_only: bool,
    /// What indexes must find.
    pub indexes: IndexRules,
    /// The URLs that manifests may name.
    pub urls: UrlRules,
    pub uploads: UploadRules,
}

/// What uploads may take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadRules {
    /// What one subject may hold in uploads that are not finished; `None` for no bound.
    pub max_held: Option<u64>,
    /// What uploads leave free in the store; `None` for a little, that depends on its size.
    pub reserve: Option<u64>,
}

/// Which of its manifests an index must find in its repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IndexRules {
    /// None: it may be sparse.
    #[default]
    Sparse,
    Complete,
    /// Those for one of these platforms.
    Platforms(Vec<Platform>),
}

impl IndexRules {
    pub(super) fn requires(&self, entry: &Descriptor) -> bool {
        match self {
            Self::Sparse => false,
            Self::Complete => true,
            Self::Platforms(listed) => entry
                .platform
                .as_ref()
                .is_some_and(|platform| listed.contains(platform)),
        }
    }
}

/// Which URLs are accepted as a place where clients find content. They go there without asking
/// anybody, so who pushes must not choose: distribution accepts none by default, either.
#[derive(Clone, Debug, Default)]
pub enum UrlRules {
    #[default]
    None,
    Any,
    /// Those that match one of `allow`, if there is any, and none of `deny`.
    Matching {
        allow: Vec<Regex>,
        deny: Vec<Regex>,
    },
}

impl UrlRules {
    pub(super) fn accept(&self, url: &str) -> bool {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(url));
        let allowed = match self {
            Self::None => false,
            Self::Any => true,
            Self::Matching { allow, deny } => {
                (allow.is_empty() || matches(allow)) && !matches(deny)
            }
        };
        allowed && is_web(url)
    }
}

/// As distribution has it: `http` or `https`, and no fragment.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Regex> {
        texts.iter().map(|text| Regex::new(text).unwrap()).collect()
    }

    #[test]
    fn urls_are_accepted_as_distribution_would() {
        let matching = |allow: &[&str], deny: &[&str]| UrlRules::Matching {
            allow: patterns(allow),
            deny: patterns(deny),
        };
        let (good, bad) = ("https://good.test/layer", "https://bad.test/layer");
        let secret = "https://good.test/secret";
        for (rules, accepted) in [
            (UrlRules::None, &[][..]),
            (UrlRules::Any, &[good, bad, secret]),
            (matching(&["^https://good\\.test/"], &[]), &[good, secret]),
            (matching(&[], &["^https://bad"]), &[good, secret]),
            (matching(&["good", "bad"], &["secret"]), &[good, bad]),
        ] {
            for url in [good, bad, secret] {
                assert_eq!(
                    rules.accept(url),
                    accepted.contains(&url),
                    "{rules:?} {url}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_address_of_the_web_is_never_accepted() {
        for url in [
            "",
            "layer",
            "/layer",
            "//good.test/layer",
            "ftp://good.test/layer",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:",
            "https://good.test/layer#part",
        ] {
            assert!(!UrlRules::Any.accept(url), "{url}");
        }
    }
}
