//! Configuration: a YAML file, environment variables over it, secrets from files.
//!
//! The format is distribution's, without its traps: an unknown key is an error that names its line
//! and the nearest known key, a variable works over an absent section, and a variable that sets
//! nothing is an error. What the keys are is the servers' business: they hand in a type that serde
//! can deserialize.
//!
//! Rules:
//! - A key without a value (`key:`, `~`, an empty variable) counts as not written.
//! - Types decide what a value means: `0.1` is a number or a text, as the field asks.
//! - `REGISTRY_HTTP_TLS_KEY` sets `http.tls.key`; `REGISTRY_LIST_0_NAME` the key `name` of the first
//!   list item; the number after the last item adds one. A section set as a whole
//!   (`REGISTRY_HTTP={…}`) replaces the file's, then variables below it apply.
//! - Each secret `a.b` that the caller declares may be given as `a.b_file` or `…_A_B_FILE`.

mod cursor;
mod deserialize;
mod environment;
mod error;
mod failure;
mod files_read;
mod node;
mod secret_file;
#[cfg(test)]
mod tests;
mod types;
mod values;
mod yaml;

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use self::error::{ConfigError, Problem, Warning};
pub use self::files_read::FilesRead;
pub use self::node::Origin;
pub use self::types::{Duration, InvalidDuration, Obsolete};
pub use self::values::Values;

use self::cursor::{Cursor, Pass};
use self::environment::Override;
use self::node::Node;

/// How many wrong values are looked for before giving up; a file for another program has hundreds.
const MAX_PROBLEMS: usize = 20;

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    prefix: String,
    file: Option<PathBuf>,
    variables: Vec<(OsString, OsString)>,
    secrets: Vec<String>,
    ignored: Vec<String>,
    files_read: FilesRead,
}

impl Source {
    /// Variables that begin with `prefix` and an underscore (`REGISTRY`), from this process'
    /// environment, and no file.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            file: None,
            variables: std::env::vars_os().collect(),
            secrets: Vec::new(),
            ignored: Vec::new(),
            files_read: FilesRead::default(),
        }
    }

    /// The YAML file. It must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes these variables instead of the process' own.
    #[must_use]
    pub fn variables<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        self.variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        self
    }

    /// Dotted paths of secrets (`http.secret`; `*` for any list index): each may come from a file,
    /// and none is shown in an error.
    #[must_use]
    pub fn secrets<'p>(mut self, paths: impl IntoIterator<Item = &'p str>) -> Self {
        self.secrets = paths.into_iter().map(str::to_owned).collect();
        self
    }

    /// Notes there which files are read, beginning with the next.
    #[must_use]
    pub fn noting_files(mut self, files: &FilesRead) -> Self {
        self.files_read = files.clone();
        self
    }

    /// Full names of variables that have the prefix but are meant for somebody else.
    #[must_use]
    pub fn ignore<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.ignored = names.into_iter().map(str::to_owned).collect();
        self
    }
}

/// Reads, merges and checks a configuration. Warnings are for the log, once there is one.
pub fn load<T: DeserializeOwned>(source: &Source) -> Result<(T, Vec<Warning>), ConfigError> {
    load_comparable(source).map(|(value, warnings, _)| (value, warnings))
}

/// The same, with what is needed to see later what has changed.
pub fn load_comparable<T: DeserializeOwned>(
    source: &Source,
) -> Result<(T, Vec<Warning>, Values), ConfigError> {
    let mut problems = Vec::new();
    let root = source.file.as_deref();
    let root = root
        .map(|path| read(path, &source.files_read))
        .transpose()?;
    let overrides = overrides(source, &mut problems);
    let mut skipped = HashSet::new();
    loop {
        let pass = Pass {
            prefix: &source.prefix,
            secrets: &source.secrets,
            skipped: &skipped,
            files_read: &source.files_read,
            problems: RefCell::new(problems),
            warnings: RefCell::new(Vec::new()),
            values: RefCell::default(),
        };
        let result = T::deserialize(Cursor {
            node: root.clone(),
            overrides: overrides.clone(),
            path: String::new(),
            pass: &pass,
        });
        let warnings = pass.warnings.into_inner();
        let values = pass.values.into_inner();
        problems = pass.problems.into_inner();
        let failure = match result {
            Ok(value) if problems.is_empty() => return Ok((value, warnings, values)),
            Ok(_) => break,
            Err(failure) => failure,
        };
        let missing = failure.is_missing_key();
        let problem = failure.into_problem();
        // serde stops at the first problem. Leave the wrong value out, or the section that lacks
        // a key, and look for the next one.
        let left_out = if missing {
            section_of(&problem.key).to_owned()
        } else {
            problem.key.clone()
        };
        // A key may be missing only because its wrong value was left out.
        if !skipped.contains(&problem.key) && !problems.contains(&problem) {
            problems.push(problem);
        }
        if problems.len() >= MAX_PROBLEMS || left_out.is_empty() || !skipped.insert(left_out) {
            break;
        }
    }
    problems.sort_by_key(|problem| match &problem.origin {
        Origin::File { line, column, .. } => (0, *line, *column),
        Origin::Variable(_) => (1, 0, 0),
        Origin::Nowhere => (2, 0, 0),
    });
    Err(ConfigError::Invalid(problems))
}

/// The path without its last key; empty for a key of the root.
fn section_of(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(section, _)| section)
}

fn read(path: &Path, files: &FilesRead) -> Result<Rc<Node>, ConfigError> {
    files.begin(path);
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(yaml::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > yaml::MAX_BYTES {
        return Err(unreadable(format!("longer than {} bytes", yaml::MAX_BYTES)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(before)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        unreadable(format!("not UTF-8 text (line {line})"))
    })?;
    let path: Arc<Path> = Arc::from(path);
    let origin = |line, column| Origin::File {
        path: Arc::clone(&path),
        line,
        column,
    };
    yaml::parse(&text, &origin).map_err(|malformed| {
        ConfigError::Invalid(vec![Problem {
            origin: malformed.origin,
            key: String::new(),
            message: malformed.message,
        }])
    })
}

/// The variables that are meant for this configuration, in the order of their names.
fn overrides(source: &Source, problems: &mut Vec<Problem>) -> Vec<Override> {
    let prefix = format!("{}_", source.prefix);
    let mut overrides = Vec::new();
    for (name, value) in &source.variables {
        let name = name.to_string_lossy();
        if !name.starts_with(&prefix) || source.ignored.iter().any(|ignored| *ignored == name) {
            continue;
        }
        if let Some(value) = value.to_str() {
            overrides.push(Override::new(&name, value, prefix.len()));
        } else {
            problems.push(Problem {
                origin: Origin::Variable(Arc::from(name.as_ref())),
                key: String::new(),
                message: "not UTF-8 text".to_owned(),
            });
        }
    }
    overrides.sort_by(|a, b| a.name.cmp(&b.name));
    overrides
}
