//! What is wrong with a configuration, in words that name the place and the remedy.

use std::fmt;
use std::path::PathBuf;

use super::node::Origin;

/// Why a configuration was not accepted. Its `Display` is what the operator should read: one
/// problem per line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },

    /// The file is no YAML, or a value does not fit.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One thing wrong, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// Dotted path, `http.tls.key`; list items by number, `proxies.0`. Empty for the whole text.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Something that was accepted but will not do what its author expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub origin: Origin,
    pub key: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.origin, &self.key, &self.message)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.origin, &self.key, &self.message)
    }
}

fn write_line(
    f: &mut fmt::Formatter<'_>,
    origin: &Origin,
    key: &str,
    message: &str,
) -> fmt::Result {
    write!(f, "{origin}: ")?;
    if !key.is_empty() {
        write!(f, "{key}: ")?;
    }
    f.write_str(message)
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// How alike two words must be for one to be a slip of the other; 1 is equal. Found by trying:
/// `adress` and `addr` are above it, `readonly` and `read_timeout` below.
const ALIKE: f64 = 0.8;

/// The candidate that was probably meant, if any is close.
pub(super) fn nearest<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let written = written.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&written, &candidate.to_ascii_lowercase());
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "did you mean …" or, where nothing is close, what there is to choose from.
pub(super) fn suggestion<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str> + Clone,
) -> String {
    if let Some(candidate) = nearest(written, candidates.clone()) {
        return format!("; did you mean `{candidate}`?");
    }
    let mut names: Vec<&str> = candidates.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [] => String::new(),
        [only] => format!("; the only known one is `{only}`"),
        many => format!("; known are `{}`", many.join("`, `")),
    }
}
