//! A configuration value and where it came from.

use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Where a value was written, so that an error can point at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A place in the configuration file; both numbers count from 1.
    File {
        path: Arc<Path>,
        line: usize,
        column: usize,
    },
    /// An environment variable, by its full name.
    Variable(Arc<str>),
    /// Nowhere: something that is missing, and no file was read.
    Nowhere,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Nowhere => write!(f, "configuration"),
        }
    }
}

/// One node of the merged tree. Children are shared, because an alias repeats its anchor.
#[derive(Debug)]
pub(super) struct Node {
    pub origin: Origin,
    pub value: Value,
    /// The characters of an environment variable, for types that ask for text: YAML would cut a
    /// password at ` #`, read `~` as nothing and `a: b` as a section.
    pub verbatim: Option<String>,
    /// How many nodes this one stands for, aliases counted each time they are used.
    pub weight: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`: the same as not writing the key at all.
    Null,
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub origin: Origin,
    pub node: Rc<Node>,
}

/// A scalar keeps its spelling: what it means depends on the type that asks, so `version: 0.1` can
/// be text and `secret: 0123` keeps its zero.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub text: String,
    /// Not quoted, so it may also be a number or a truth value.
    pub plain: bool,
}

impl Scalar {
    /// YAML 1.1 spellings too: distribution's parser takes them.
    pub fn as_bool(&self) -> Option<bool> {
        match self.plain.then_some(self.text.as_str())? {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i128> {
        if !self.plain {
            return None;
        }
        let (negative, digits) = match self.text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.text.strip_prefix('+').unwrap_or(&self.text)),
        };
        let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x") {
            (16, hex)
        } else if let Some(octal) = digits.strip_prefix("0o") {
            (8, octal)
        } else {
            (10, digits)
        };
        // `from_str_radix` would take a second sign.
        if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
            return None;
        }
        let magnitude = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
        Some(if negative { -magnitude } else { magnitude })
    }

    pub fn as_float(&self) -> Option<f64> {
        let looks_like_a_number = self.plain
            && self
                .text
                .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        looks_like_a_number
            .then(|| self.text.parse().ok())
            .flatten()
    }
}

impl Node {
    pub fn new(origin: Origin, value: Value) -> Self {
        let children = match &value {
            Value::Null | Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(|node| node.weight).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.weight).sum(),
        };
        Self {
            origin,
            value,
            verbatim: None,
            weight: children.saturating_add(1),
        }
    }

    /// What it says, if it can be read as text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            _ if self.verbatim.is_some() => self.verbatim.as_deref(),
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}
