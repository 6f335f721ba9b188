//! Environment variables as overrides: `REGISTRY_HTTP_TLS_KEY` is `http.tls.key`.
//!
//! The name cannot be taken apart on its own, since keys may hold an underscore themselves. So an
//! override walks down with the deserializer, which knows the keys of each section, and each level
//! takes the longest key that fits.

use std::rc::Rc;
use std::sync::Arc;

use super::node::{Node, Origin, Scalar, Value};
use super::yaml;

/// One variable, its value read as YAML.
#[derive(Clone, Debug)]
pub(super) struct Override {
    pub name: Arc<str>,
    pub node: Rc<Node>,
    /// How many bytes of `name` earlier levels have used up.
    consumed: usize,
}

impl Override {
    /// `name` starts with the prefix and an underscore, `prefix_length` bytes together.
    pub fn new(name: &str, value: &str, prefix_length: usize) -> Self {
        let name: Arc<str> = Arc::from(name);
        Self {
            node: Rc::new(value_node(&name, value)),
            name,
            consumed: prefix_length,
        }
    }

    /// What is left of the name for deeper levels; empty when the variable sets this very value.
    pub fn rest(&self) -> &str {
        self.name.get(self.consumed..).unwrap_or_default()
    }

    /// The override as the level below sees it, if its name goes on with `key`.
    pub fn below(&self, key: &str) -> Option<Self> {
        let variable_part = variable_part(key);
        let after = self.rest().strip_prefix(variable_part.as_str())?;
        let taken = if after.is_empty() {
            variable_part.len()
        } else if after.starts_with('_') {
            variable_part.len() + 1
        } else {
            return None;
        };
        Some(Self {
            consumed: self.consumed + taken,
            ..self.clone()
        })
    }

    /// The next word of the name, for levels whose keys are not known beforehand.
    pub fn first_word(&self) -> &str {
        self.rest().split('_').next().unwrap_or_default()
    }

    pub fn origin(&self) -> Origin {
        Origin::Variable(Arc::clone(&self.name))
    }

    /// Whether the variable comes from Kubernetes or `docker --link` rather than from a person.
    ///
    /// A Kubernetes Service called `registry` puts `REGISTRY_SERVICE_HOST`, `REGISTRY_PORT` and
    /// `REGISTRY_PORT_5000_TCP_ADDR` into every pod of its namespace; one called `registry-auth`
    /// puts `REGISTRY_AUTH_PORT`. They must not keep a registry from starting.
    /// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
    pub fn is_service_link(&self) -> bool {
        let is_url = || self.node.text().is_some_and(|text| text.contains("://"));
        let words: Vec<&str> = self.name.split('_').collect();
        self.name.ends_with("_SERVICE_HOST")
            || self.name.ends_with("_SERVICE_PORT")
            || self.name.contains("_SERVICE_PORT_")
            || (self.name.ends_with("_PORT") && is_url())
            || words.windows(3).any(|window| match window {
                ["PORT", number, "TCP" | "UDP" | "SCTP"] => number.parse::<u16>().is_ok(),
                _ => false,
            })
    }
}

/// How a key is written in a variable's name.
pub(super) fn variable_part(key: &str) -> String {
    key.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// A value that is not YAML (`@daily`, `[draft`) is still good text.
fn value_node(name: &Arc<str>, value: &str) -> Node {
    let origin = || Origin::Variable(Arc::clone(name));
    let parsed = (value.len() <= yaml::MAX_BYTES)
        .then(|| yaml::parse(value, &|_, _| origin()).ok())
        .flatten()
        .and_then(Rc::into_inner);
    let mut node = match parsed {
        Some(node) if !node.is_null() => node,
        Some(nothing) if is_nothing(value) => return nothing,
        // A comment to YAML (`#1 secret`) is text to whoever set the variable.
        Some(_) | None => Node::new(
            origin(),
            Value::Scalar(Scalar {
                text: value.to_owned(),
                plain: true,
            }),
        ),
    };
    // In quotes YAML says exactly what the text is; otherwise the variable itself does.
    let quoted = matches!(&node.value, Value::Scalar(scalar) if !scalar.plain)
        && value.trim_start().starts_with(['"', '\'']);
    node.verbatim = (!quoted).then(|| value.to_owned());
    node
}

/// An empty variable is one that is not set: compose files pass `${UNSET:-}`.
fn is_nothing(value: &str) -> bool {
    matches!(value.trim(), "" | "~" | "null" | "Null" | "NULL")
}
