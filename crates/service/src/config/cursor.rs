//! One place of the configuration, file and variables together, and the places below it.
//!
//! File and environment are merged here, level by level, because only the type that is being read
//! knows which keys a section has and so where a variable's name ends.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::rc::Rc;

use super::environment::{Override, variable_part};
use super::error::{Problem, Warning, nearest, suggestion};
use super::failure::Failure;
use super::files_read::FilesRead;
use super::node::{Entry, Node, Origin, Scalar, Value};
use super::secret_file;
use super::values::Values;

/// What one pass over the configuration collects beside the value.
pub(super) struct Pass<'s> {
    /// `REGISTRY`, for naming the variable that would set a missing value.
    pub prefix: &'s str,
    /// Dotted paths with a `_file` twin; `*` stands for any list index.
    pub secrets: &'s [String],
    /// Values that an earlier pass found wrong: left out, so that the next problem comes up.
    pub skipped: &'s HashSet<String>,
    pub files_read: &'s FilesRead,
    pub problems: RefCell<Vec<Problem>>,
    pub warnings: RefCell<Vec<Warning>>,
    pub values: RefCell<Values>,
}

/// One place of the configuration: what the file says there and what variables say about it.
pub(super) struct Cursor<'s> {
    pub node: Option<Rc<Node>>,
    pub overrides: Vec<Override>,
    pub path: String,
    pub pass: &'s Pass<'s>,
}

impl<'s> Cursor<'s> {
    /// A variable for this very value replaces what the file says; deeper ones stay.
    fn resolve(mut self) -> Self {
        if let Some(position) = self
            .overrides
            .iter()
            .position(|candidate| candidate.rest().is_empty())
        {
            let exact = self.overrides.swap_remove(position);
            // An empty variable is as good as none.
            if !exact.node.is_null() {
                self.node = Some(exact.node);
            }
        }
        self
    }

    fn child(
        &self,
        key: impl fmt::Display,
        node: Option<Rc<Node>>,
        overrides: Vec<Override>,
    ) -> Self {
        Self {
            node,
            overrides,
            path: join(&self.path, key),
            pass: self.pass,
        }
        .resolve()
    }

    pub fn origin(&self) -> Origin {
        match (&self.node, self.overrides.first()) {
            (Some(node), _) => node.origin.clone(),
            (None, Some(variable)) => variable.origin(),
            (None, None) => Origin::Nowhere,
        }
    }

    pub fn is_nothing(&self) -> bool {
        self.overrides.is_empty() && self.node.as_ref().is_none_or(|node| node.is_null())
    }

    pub fn problem(&self, origin: Origin, key: String, message: String) {
        let problem = Problem {
            origin,
            key,
            message,
        };
        let mut problems = self.pass.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    pub fn place(&self) -> impl Fn(Failure) -> Failure + use<> {
        let (path, origin) = (self.path.clone(), self.origin());
        let prefix = self.pass.prefix.to_owned();
        move |failure| failure.at(&path, || origin.clone(), &prefix)
    }

    pub fn value(&self) -> &Value {
        self.node.as_ref().map_or(&Value::Null, |node| &node.value)
    }

    /// What was found, for a sentence that says what was expected. Never shows a secret.
    pub fn found(&self) -> String {
        match self.value() {
            Value::Null => "nothing".to_owned(),
            Value::Scalar(_) if self.is_secret() => "a single value".to_owned(),
            Value::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a section".to_owned(),
        }
    }

    fn is_secret(&self) -> bool {
        secret_file::is_declared(&self.path, self.pass.secrets)
    }

    /// Variables that go on below a single value have nothing to set.
    fn check_nothing_below(&self) -> Result<(), Failure> {
        let Some(deeper) = self.overrides.first() else {
            return Ok(());
        };
        let failure = Failure::new(format!(
            "`{}` is a single value; nothing is below it",
            self.path
        ));
        Err(failure.at(&self.path, || deeper.origin(), self.pass.prefix))
    }

    pub fn scalar(&self, expected: &str) -> Result<&Scalar, Failure> {
        self.check_nothing_below()?;
        match self.value() {
            Value::Scalar(scalar) => {
                self.record(&scalar.text);
                Ok(scalar)
            }
            _ => Err(self.expected(expected)),
        }
    }

    pub fn text(&self) -> Result<&str, Failure> {
        self.check_nothing_below()?;
        let text = self.node.as_ref().and_then(|node| node.text());
        let text = text.ok_or_else(|| self.expected("text"))?;
        self.record(text);
        Ok(text)
    }

    /// Notes what stands here, for whoever compares it later.
    pub fn record(&self, text: &str) {
        self.pass.values.borrow_mut().record(&self.path, text);
    }

    pub fn expected(&self, expected: &str) -> Failure {
        Failure::new(format!("expected {expected}, found {}", self.found()))
    }

    /// Files and variables of one section, by the keys it may have.
    pub fn section(&self, fields: &'static [&'static str]) -> Result<Vec<Child<'s>>, Failure> {
        let mut children: Vec<Child<'s>> = Vec::new();
        let bare = self.bare_key(fields);
        let entries: &[Entry] = match self.value() {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Scalar(_) if bare.is_some() => bare.as_slice(),
            _ => {
                return Err(self.expected("a section (`key: value` lines)"));
            }
        };
        let known = secret_file::with_twins(&self.path, fields, self.pass.secrets);
        let mut below = self.sort_overrides(&known);
        for entry in entries {
            if known.contains(&entry.key) {
                let overrides = below.remove(entry.key.as_str()).unwrap_or_default();
                children.push(self.entry_child(entry, overrides));
            } else {
                let hint = suggestion(&entry.key, known.iter().map(String::as_str));
                self.problem(
                    entry.origin.clone(),
                    join(&self.path, &entry.key),
                    format!("unknown key `{}`{hint}", entry.key),
                );
            }
        }
        for (key, overrides) in below {
            children.push(Child {
                cursor: self.child(&key, None, overrides),
                key,
            });
        }
        children.retain(|child| !child.cursor.is_nothing());
        secret_file::read_twins(self, &mut children, fields);
        children.retain(|child| !self.pass.skipped.contains(&child.cursor.path));
        Ok(children)
    }

    /// The one key that a section names as a word, with nothing below it. distribution takes that
    /// where there is a choice, and its documents use it: `REGISTRY_AUTH=htpasswd`, beside
    /// `REGISTRY_AUTH_HTPASSWD_PATH`.
    fn bare_key(&self, fields: &[&str]) -> Option<Entry> {
        let node = self.node.as_ref()?;
        let Value::Scalar(scalar) = &node.value else {
            return None;
        };
        let key = fields.iter().find(|field| **field == scalar.text)?;
        Some(Entry {
            key: (*key).to_owned(),
            origin: node.origin.clone(),
            node: Rc::new(Node {
                origin: node.origin.clone(),
                value: Value::Map(Vec::new()),
                verbatim: None,
                weight: 1,
            }),
        })
    }

    fn entry_child(&self, entry: &Entry, overrides: Vec<Override>) -> Child<'s> {
        Child {
            key: entry.key.clone(),
            cursor: self.child(&entry.key, Some(Rc::clone(&entry.node)), overrides),
        }
    }

    /// Hands each variable to the longest key that its name goes on with.
    fn sort_overrides(&self, known: &[String]) -> BTreeMap<String, Vec<Override>> {
        let mut below: BTreeMap<String, Vec<Override>> = BTreeMap::new();
        for variable in &self.overrides {
            let fitting = known
                .iter()
                .filter_map(|key| Some((key, variable.below(key)?)))
                .max_by_key(|(key, _)| key.len());
            if let Some((key, deeper)) = fitting {
                below.entry(key.clone()).or_default().push(deeper);
            } else {
                self.unknown_variable(variable, known);
            }
        }
        below
    }

    fn unknown_variable(&self, variable: &Override, known: &[String]) {
        if variable.is_service_link() {
            return;
        }
        let rest = variable.rest();
        let start = variable.name.strip_suffix(rest).unwrap_or_default();
        // Keys are as many words long as they are; compare each with as many words of the name.
        let candidates: Vec<String> = known
            .iter()
            .map(|key| {
                let part = variable_part(key);
                let words = part.split('_').count();
                let after = rest.split('_').skip(words).flat_map(|word| ["_", word]);
                std::iter::once(part.as_str()).chain(after).collect()
            })
            .collect();
        let hint = nearest(rest, candidates.iter().map(String::as_str)).map_or_else(
            || {
                let names: Vec<String> = known.iter().map(|key| variable_part(key)).collect();
                format!("; after {start} may come {}", names.join(", "))
            },
            |candidate| format!("; did you mean `{start}{candidate}`?"),
        );
        self.problem(
            variable.origin(),
            String::new(),
            format!("sets nothing that exists{hint}"),
        );
    }

    /// Children of a section whose keys are free (header names, labels).
    pub fn free_entries(&self) -> Result<Vec<Child<'s>>, Failure> {
        let entries: &[Entry] = match self.value() {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                return Err(self.expected("a section (`key: value` lines)"));
            }
        };
        let mut below: BTreeMap<String, Vec<Override>> = BTreeMap::new();
        for variable in &self.overrides {
            let fitting = entries
                .iter()
                .filter_map(|entry| Some((entry.key.clone(), variable.below(&entry.key)?)))
                .max_by_key(|(key, _)| key.len());
            let word = variable.first_word().to_ascii_lowercase();
            if let Some((key, deeper)) =
                fitting.or_else(|| Some((word.clone(), variable.below(&word)?)))
            {
                below.entry(key).or_default().push(deeper);
            }
        }
        let mut children = Vec::new();
        for entry in entries {
            let overrides = below.remove(&entry.key).unwrap_or_default();
            children.push(self.entry_child(entry, overrides));
        }
        for (key, overrides) in below {
            children.push(Child {
                cursor: self.child(&key, None, overrides),
                key,
            });
        }
        Ok(children)
    }

    pub fn items(&self) -> Result<Vec<Self>, Failure> {
        let items: &[Rc<Node>] = match self.value() {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                return Err(Failure::new(format!(
                    "expected a list, found {}; write it as `[a, b]` or with `- ` lines",
                    self.found()
                )));
            }
        };
        let mut below: BTreeMap<usize, Vec<Override>> = BTreeMap::new();
        for variable in &self.overrides {
            let word = variable.first_word();
            let place =
                |failure: Failure| failure.at(&self.path, || variable.origin(), self.pass.prefix);
            let index: usize = word.parse().map_err(|_| {
                place(Failure::new(format!(
                    "`{}` is a list: the variable goes on with a number from 0, not with `{word}`",
                    self.path
                )))
            })?;
            let deeper = variable
                .below(word)
                .ok_or_else(|| place(Failure::new("the number of a list item is not readable")))?;
            below.entry(index).or_default().push(deeper);
        }
        let mut children: Vec<Self> = items
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let overrides = below.remove(&index).unwrap_or_default();
                self.child(index, Some(Rc::clone(node)), overrides)
            })
            .collect();
        for (index, overrides) in below {
            if index != children.len() {
                let origin = overrides.first().map_or(Origin::Nowhere, Override::origin);
                let failure = Failure::new(format!(
                    "the list has {} items, so the next one is number {}, not {index}",
                    children.len(),
                    children.len()
                ));
                return Err(failure.at(&self.path, || origin, self.pass.prefix));
            }
            children.push(self.child(index, None, overrides));
        }
        children.retain(|child| !self.pass.skipped.contains(&child.path));
        Ok(children)
    }
}

/// A key of a section and what is there.
pub(super) struct Child<'s> {
    pub key: String,
    pub cursor: Cursor<'s>,
}

pub(super) fn join(path: &str, key: impl fmt::Display) -> String {
    if path.is_empty() {
        key.to_string()
    } else {
        format!("{path}.{key}")
    }
}

/// A value pasted into the wrong key may be long.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= SHOWN {
        return line.to_owned();
    }
    let start: String = line.chars().take(SHOWN).collect();
    format!("{start}…")
}
