//! A serde deserializer over the tree and its overrides.
//!
//! It is written here, not taken from a crate, for what a generic one cannot do: it learns the
//! valid keys of each section from serde, and so matches environment variables, names the nearest
//! key, reports several problems in one go, and knows the line of each.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::rc::Rc;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::environment::{Override, variable_part};
use super::error::{Problem, Warning, nearest, suggestion};
use super::node::{Entry, Node, Origin, Scalar, Value};
use super::secret_file;
use super::types::{OBSOLETE, UNSUPPORTED};

/// What one pass over the configuration collects beside the value.
pub(super) struct Pass<'s> {
    /// `REGISTRY`, for naming the variable that would set a missing value.
    pub prefix: &'s str,
    /// Dotted paths with a `_file` twin; `*` stands for any list index.
    pub secrets: &'s [String],
    /// Values that an earlier pass found wrong: left out, so that the next problem comes up.
    pub skipped: &'s HashSet<String>,
    pub problems: RefCell<Vec<Problem>>,
    pub warnings: RefCell<Vec<Warning>>,
}

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
    fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            message: message.into(),
            missing: None,
            place: None,
        }))
    }

    fn at(mut self, path: &str, origin: impl FnOnce() -> Origin, prefix: &str) -> Self {
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

    fn origin(&self) -> Origin {
        match (&self.node, self.overrides.first()) {
            (Some(node), _) => node.origin.clone(),
            (None, Some(variable)) => variable.origin(),
            (None, None) => Origin::Nowhere,
        }
    }

    fn is_nothing(&self) -> bool {
        self.overrides.is_empty() && self.node.as_ref().is_none_or(|node| node.is_null())
    }

    fn problem(&self, origin: Origin, key: String, message: String) {
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

    fn place(&self) -> impl Fn(Failure) -> Failure + use<> {
        let (path, origin) = (self.path.clone(), self.origin());
        let prefix = self.pass.prefix.to_owned();
        move |failure| failure.at(&path, || origin.clone(), &prefix)
    }

    fn value(&self) -> &Value {
        self.node.as_ref().map_or(&Value::Null, |node| &node.value)
    }

    /// What was found, for a sentence that says what was expected. Never shows a secret.
    fn found(&self) -> String {
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

    fn scalar(&self, expected: &str) -> Result<&Scalar, Failure> {
        self.check_nothing_below()?;
        match self.value() {
            Value::Scalar(scalar) => Ok(scalar),
            _ => Err(self.expected(expected)),
        }
    }

    fn text(&self) -> Result<&str, Failure> {
        self.check_nothing_below()?;
        let text = self.node.as_ref().and_then(|node| node.text());
        text.ok_or_else(|| self.expected("text"))
    }

    fn expected(&self, expected: &str) -> Failure {
        Failure::new(format!("expected {expected}, found {}", self.found()))
    }

    /// Files and variables of one section, by the keys it may have.
    fn section(&self, fields: &'static [&'static str]) -> Result<Vec<Child<'s>>, Failure> {
        let mut children: Vec<Child<'s>> = Vec::new();
        let entries: &[Entry] = match self.value() {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                return Err(self.expected("a section (`key: value` lines)"));
            }
        };
        let known = secret_file::with_twins(&self.path, fields, self.pass.secrets);
        let mut below = self.sort_overrides(&known);
        for entry in entries {
            if known.iter().any(|field| *field == entry.key) {
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
    fn free_entries(&self) -> Result<Vec<Child<'s>>, Failure> {
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

    fn items(&self) -> Result<Vec<Self>, Failure> {
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

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let place = self.place();
            self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))
                .and_then(|number| {
                    <$type>::try_from(number).map_err(|error| Failure::new(error.to_string()))
                })
                .and_then(|number| visitor.$visit(number))
                .map_err(place)
        }
    )*};
}

impl Cursor<'_> {
    fn integer(&self, min: i128, max: i128) -> Result<i128, Failure> {
        let expected = if min == 0 {
            format!("a whole number from 0 to {max}")
        } else {
            format!("a whole number from {min} to {max}")
        };
        self.scalar(&expected)?
            .as_integer()
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.expected(&expected))
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if !self.overrides.is_empty() {
            return self.deserialize_map(visitor);
        }
        match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar(scalar) => {
                let place = self.place();
                let text = || self.text().unwrap_or(&scalar.text);
                let result = if let Some(truth) = scalar.as_bool() {
                    visitor.visit_bool(truth)
                } else if let Some(number) = scalar.as_integer() {
                    if let Ok(number) = u64::try_from(number) {
                        visitor.visit_u64(number)
                    } else if let Ok(number) = i64::try_from(number) {
                        visitor.visit_i64(number)
                    } else {
                        visitor.visit_str(text())
                    }
                } else if let Some(number) = scalar.as_float() {
                    visitor.visit_f64(number)
                } else {
                    visitor.visit_str(text())
                };
                result.map_err(place)
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.scalar("true or false")
            .and_then(|scalar| {
                scalar
                    .as_bool()
                    .ok_or_else(|| self.expected("true or false"))
            })
            .and_then(|truth| visitor.visit_bool(truth))
            .map_err(place)
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.scalar("a number")
            .and_then(|scalar| scalar.as_float().ok_or_else(|| self.expected("a number")))
            .and_then(|number| visitor.visit_f64(number))
            .map_err(place)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.text()
            .and_then(|text| visitor.visit_str(text))
            .map_err(place)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        if self.is_nothing() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
        .map_err(place)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        if self.is_nothing() {
            visitor.visit_unit()
        } else {
            Err(self.expected("nothing"))
        }
        .map_err(place)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.place();
        match name {
            OBSOLETE => {
                self.pass.warnings.borrow_mut().push(Warning {
                    origin: self.origin(),
                    key: self.path,
                    message: "has no effect any more and can be removed".to_owned(),
                });
                visitor.visit_unit()
            }
            UNSUPPORTED => Err(Failure::new("this setting is not supported")),
            _ => visitor.visit_newtype_struct(self),
        }
        .map_err(place)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.items()
            .and_then(|items| {
                visitor.visit_seq(Items {
                    items: items.into_iter(),
                })
            })
            .map_err(place)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.free_entries()
            .and_then(|children| visitor.visit_map(Children::new(children)))
            .map_err(place)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.place();
        self.section(fields)
            .and_then(|children| visitor.visit_map(Children::new(children)))
            .map_err(place)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.place();
        let result = match self.value() {
            Value::Scalar(scalar) if self.overrides.is_empty() => {
                let text = scalar.text.clone();
                visitor.visit_enum(IntoDeserializer::<Failure>::into_deserializer(text))
            }
            Value::List(_) => Err(Failure::new(format!(
                "expected one of `{}`, found a list",
                variants.join("`, `")
            ))),
            _ => self.section(variants).and_then(|mut children| {
                match (children.pop(), children.is_empty()) {
                    (Some(only), true) => visitor.visit_enum(Variant(only)),
                    _ => Err(Failure::new(format!(
                        "expected exactly one of `{}`",
                        variants.join("`, `")
                    ))),
                }
            }),
        };
        result.map_err(place)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}

struct Children<'s> {
    rest: std::vec::IntoIter<Child<'s>>,
    value: Option<Cursor<'s>>,
}

impl<'s> Children<'s> {
    fn new(children: Vec<Child<'s>>) -> Self {
        Self {
            rest: children.into_iter(),
            value: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for Children<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let Some(Child { key, cursor }) = self.rest.next() else {
            return Ok(None);
        };
        let place = cursor.place();
        self.value = Some(cursor);
        seed.deserialize(IntoDeserializer::<Failure>::into_deserializer(key))
            .map(Some)
            .map_err(place)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some(cursor) = self.value.take() else {
            return Err(Failure::new("a value was asked for before its key"));
        };
        // What fails after the value was read (`try_from`) still belongs to this key.
        let place = cursor.place();
        seed.deserialize(cursor).map_err(place)
    }
}

struct Items<'s> {
    items: std::vec::IntoIter<Cursor<'s>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some(cursor) = self.items.next() else {
            return Ok(None);
        };
        let place = cursor.place();
        seed.deserialize(cursor).map(Some).map_err(place)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Variant<'s>(Child<'s>);

impl<'de, 's> de::EnumAccess<'de> for Variant<'s> {
    type Error = Failure;
    type Variant = Cursor<'s>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Cursor<'s>), Failure> {
        let name = IntoDeserializer::<Failure>::into_deserializer(self.0.key);
        Ok((seed.deserialize(name)?, self.0.cursor))
    }
}

impl<'de> de::VariantAccess<'de> for Cursor<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        serde::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_struct("", fields, visitor)
    }
}
