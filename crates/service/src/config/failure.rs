//! An error of deserialization, and the place it belongs to.

use std::fmt;

use serde::de;

use super::cursor::join;
use super::environment::variable_part;
use super::error::{Problem, suggestion};
use super::node::Origin;

/// An error on its way up; the innermost level that knows the place adds it.
#[derive(Debug)]
pub(super) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    message: String,
    /// A required key, not yet part of the path.
    missing: Option<&'static str>,
    place: Option<(String, Origin)>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            message: message.into(),
            missing: None,
            place: None,
        }))
    }

    /// Adds the place, unless a deeper level has done so. `prefix` is that of the variables.
    pub fn at(mut self, path: &str, origin: impl FnOnce() -> Origin, prefix: &str) -> Self {
        if self.0.place.is_none() {
            let mut key = path.to_owned();
            if let Some(missing) = self.0.missing {
                key = join(path, missing);
                self.0.message = format!(
                    "required, but not set (the variable is {prefix}_{})",
                    variable_part(&key)
                );
            }
            self.0.place = Some((key, origin()));
        }
        self
    }

    pub fn is_missing_key(&self) -> bool {
        self.0.missing.is_some()
    }

    pub fn into_problem(self) -> Problem {
        let (key, origin) = self.0.place.unwrap_or((String::new(), Origin::Nowhere));
        Problem {
            origin,
            key,
            message: self.0.message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggestion(field, expected.iter().copied());
        Self::new(format!("unknown key `{field}`{hint}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggestion(variant, expected.iter().copied());
        Self::new(format!("`{variant}` is not possible here{hint}"))
    }

    fn missing_field(field: &'static str) -> Self {
        let mut failure = Self::new("required, but not set");
        failure.0.missing = Some(field);
        failure
    }
}
