//! The claim `access`: what a token allows.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Action, Actions, Meta, RepositoryName, Resource, Scope};

/// How many entries a token may carry: more than fit into a token of 64 KiB in practice.
pub const MAX_ACCESS_ENTRIES: usize = 1024;

/// What a token allows, entry by entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access(Vec<AccessEntry>);

/// One resource, the actions allowed on it, and what the issuer tells about it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessEntry {
    /// What the entry is about; resources of foreign types are kept.
    pub resource: Resource,
    /// What may be done.
    pub actions: Actions,
    /// Project and tag rules.
    pub meta: Option<Meta>,
}

impl AccessEntry {
    /// An entry without [`Meta`].
    pub fn new(resource: impl Into<Resource>, actions: impl Into<Actions>) -> Self {
        Self {
            resource: resource.into(),
            actions: actions.into(),
            meta: None,
        }
    }

    /// Attaches what the registry needs to know about the project.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Self {
        self.meta = Some(meta);
        self
    }
}

impl From<Scope> for AccessEntry {
    fn from(scope: Scope) -> Self {
        Self::new(scope.resource, scope.actions)
    }
}

impl Access {
    /// Allows nothing.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether this action is allowed on this repository.
    ///
    /// One entry has to contain it; a token usually holds one to three entries, so they are
    /// searched in order.
    pub fn allows(&self, repository: &RepositoryName, action: Action) -> bool {
        self.of(repository)
            .any(|entry| entry.actions.contains(action))
    }

    /// Whether the list of all repositories may be read, which takes `registry:catalog:*`.
    pub fn allows_catalog(&self) -> bool {
        let allowed = |entry: &AccessEntry| {
            entry.resource == Resource::RegistryCatalog && entry.actions.contains(Action::All)
        };
        self.0.iter().any(allowed)
    }

    /// What the issuer told about this repository.
    pub fn meta_of(&self, repository: &RepositoryName) -> Option<&Meta> {
        self.of(repository).find_map(|entry| entry.meta.as_ref())
    }

    fn of(&self, repository: &RepositoryName) -> impl Iterator<Item = &AccessEntry> {
        let is_about = move |entry: &&AccessEntry| match &entry.resource {
            Resource::Repository(name) => name == repository,
            Resource::RegistryCatalog | Resource::Other { .. } => false,
        };
        self.0.iter().filter(is_about)
    }

    /// All actions that any entry allows on the resource.
    pub fn actions_on(&self, resource: &Resource) -> Actions {
        self.0
            .iter()
            .filter(|entry| entry.resource == *resource)
            .fold(Actions::NONE, |actions, entry| actions.union(entry.actions))
    }

    /// What both allow. Entries left with nothing are dropped; [`Meta`] is taken from `self`,
    /// and from `other` where `self` has none.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let common = |entry: &AccessEntry| {
            let actions = entry
                .actions
                .intersection(other.actions_on(&entry.resource));
            let same = |other: &&AccessEntry| other.resource == entry.resource;
            let others_meta = || {
                other
                    .0
                    .iter()
                    .filter(same)
                    .find_map(|other| other.meta.as_ref())
            };
            let meta = entry.meta.as_ref().or_else(others_meta).cloned();
            let resource = entry.resource.clone();
            (!actions.is_empty()).then_some(AccessEntry {
                resource,
                actions,
                meta,
            })
        };
        self.0.iter().filter_map(common).collect()
    }

    /// The entries in the token's order.
    pub fn iter(&self) -> std::slice::Iter<'_, AccessEntry> {
        self.0.iter()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<AccessEntry> for Access {
    fn from_iter<I: IntoIterator<Item = AccessEntry>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl From<Vec<AccessEntry>> for Access {
    fn from(entries: Vec<AccessEntry>) -> Self {
        Self(entries)
    }
}

impl IntoIterator for Access {
    type Item = AccessEntry;
    type IntoIter = std::vec::IntoIter<AccessEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Access {
    type Item = &'a AccessEntry;
    type IntoIter = std::slice::Iter<'a, AccessEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// An entry as it stands in the token.
#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    class: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    actions: Actions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Cow<'a, Meta>>,
}

impl Serialize for AccessEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = WireEntry {
            kind: self.resource.kind().into(),
            class: self.resource.class().map(Into::into),
            name: self.resource.name().into(),
            actions: self.actions,
            meta: self.meta.as_ref().map(Cow::Borrowed),
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AccessEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireEntry::deserialize(deserializer)?;
        Ok(Self {
            resource: Resource::new(&wire.kind, wire.class.as_deref(), &wire.name),
            actions: wire.actions,
            meta: wire.meta.map(Cow::into_owned),
        })
    }
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

/// A list of at most [`MAX_ACCESS_ENTRIES`]; `null` is an empty one, as Go writes it.
impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Access;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of access entries")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Access, E> {
                Ok(Access::none())
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Access, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() == MAX_ACCESS_ENTRIES {
                        let limit = format!("more than {MAX_ACCESS_ENTRIES} access entries");
                        return Err(de::Error::custom(limit));
                    }
                    entries.push(entry);
                }
                Ok(Access(entries))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn access(json: serde_json::Value) -> Access {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn allows_what_an_entry_says_and_no_more() {
        let access = access(json!([
            {"type": "repository", "name": "a/b", "actions": ["pull", "push"]},
            {"type": "repository", "name": "all", "actions": ["*"]},
        ]));
        assert!(access.allows(&name("a/b"), Action::Pull));
        assert!(access.allows(&name("a/b"), Action::Push));
        assert!(!access.allows(&name("a/b"), Action::Delete));
        assert!(access.allows(&name("all"), Action::Delete));
        assert!(!access.allows(&name("a"), Action::Pull));
        assert!(!access.allows(&name("a/b/c"), Action::Pull));
        assert!(!access.allows_catalog());
    }

    #[test]
    fn an_entry_of_another_type_opens_no_repository() {
        let access = access(json!([
            {"type": "package", "name": "a", "actions": ["*"]},
            {"type": "registry", "name": "catalog", "actions": ["pull"]},
            {"type": "repository", "name": "A", "actions": ["*"]},
        ]));
        assert!(!access.allows(&name("a"), Action::Pull));
        assert!(!access.allows_catalog());
        assert_eq!(access.len(), 3, "foreign entries are kept");
    }

    #[test]
    fn the_catalog_takes_the_star() {
        let access = access(json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]));
        assert!(access.allows_catalog());
    }

    #[test]
    fn meta_belongs_to_its_repository() {
        let access = access(json!([
            {"type": "repository", "name": "a", "actions": ["pull"]},
            {"type": "repository", "name": "a", "actions": ["push"], "meta": {"project_id": 4}},
        ]));
        assert_eq!(access.meta_of(&name("a")).unwrap().project_id, Some(4));
        assert_eq!(access.meta_of(&name("b")), None);
    }

    #[test]
    fn null_and_missing_actions_allow_nothing() {
        assert!(access(json!(null)).is_empty());
        let access = access(json!([
            {"type": "repository", "name": "a", "actions": null, "meta": null},
            {"type": "repository", "name": "a"},
        ]));
        assert!(!access.allows(&name("a"), Action::Pull));
    }

    #[test]
    fn refuses_what_is_no_access() {
        for json in [
            json!({}),
            json!("pull"),
            json!([1]),
            json!([{"type": "repository"}]),
            json!([{"name": "a", "actions": ["pull"]}]),
            json!([{"type": "repository", "name": "a", "actions": "pull"}]),
        ] {
            assert!(
                serde_json::from_value::<Access>(json.clone()).is_err(),
                "{json}"
            );
        }
        let entry = json!({"type": "repository", "name": "a", "actions": ["pull"]});
        let most = vec![entry.clone(); MAX_ACCESS_ENTRIES];
        assert_eq!(access(json!(most)).len(), MAX_ACCESS_ENTRIES);
        let too_many = json!(vec![entry; MAX_ACCESS_ENTRIES + 1]);
        assert!(serde_json::from_value::<Access>(too_many).is_err());
    }

    #[test]
    fn intersecting_keeps_the_policy_of_either_side() {
        let meta = Meta {
            project_id: Some(1),
            ..Meta::default()
        };
        let asked = Access::from(vec![
            AccessEntry::new(name("a"), Actions::ALL),
            AccessEntry::new(name("b"), Actions::PULL),
        ]);
        let permitted = Access::from(vec![
            AccessEntry::new(name("a"), Actions::PULL).with_meta(meta.clone()),
        ]);
        let granted = asked.intersect(&permitted);
        assert_eq!(
            granted,
            Access::from(vec![
                AccessEntry::new(name("a"), Actions::PULL).with_meta(meta)
            ])
        );
    }

    fn any_entry() -> impl Strategy<Value = AccessEntry> {
        let kind = prop_oneof![Just("repository"), Just("registry"), Just("package")];
        let words = proptest::sample::subsequence(vec!["pull", "push", "delete", "*"], 0..4);
        let meta = proptest::option::of(any::<i64>());
        (kind, "(a|b|catalog|C)", words, meta).prop_map(|(kind, name, words, project_id)| {
            AccessEntry {
                resource: Resource::new(kind, None, &name),
                actions: words
                    .iter()
                    .filter_map(|word| word.parse::<Action>().ok())
                    .collect(),
                meta: project_id.map(|id| Meta {
                    project_id: Some(id),
                    ..Meta::default()
                }),
            }
        })
    }

    fn any_access() -> impl Strategy<Value = Access> {
        proptest::collection::vec(any_entry(), 0..5).prop_map(Access::from)
    }

    proptest! {
        #[test]
        fn survives_json(access in any_access()) {
            let json = serde_json::to_string(&access).unwrap();
            prop_assert_eq!(serde_json::from_str::<Access>(&json).unwrap(), access);
        }

        #[test]
        fn intersection_obeys_its_laws(a in any_access(), b in any_access()) {
            let (both, swapped, own) = (a.intersect(&b), b.intersect(&a), a.intersect(&a));
            for entry in a.iter().chain(b.iter()) {
                let on = |access: &Access| access.actions_on(&entry.resource);
                prop_assert_eq!(on(&both), on(&a).intersection(on(&b)));
                prop_assert_eq!(on(&both), on(&swapped));
                prop_assert_eq!(on(&own), on(&a));
            }
            prop_assert!(both.iter().all(|entry| !entry.actions.is_empty()));
        }

        #[test]
        fn never_panics(text in "[\\[\\]{}\",:a-z0-9*]{0,60}") {
            let _ = serde_json::from_str::<Access>(&text);
        }
    }
}
