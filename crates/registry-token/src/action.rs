//! What may be done to a resource, and small sets of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One action of the Docker token grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read manifests, blobs and tags.
    Pull,
    /// Write blobs, manifests and tags.
    Push,
    /// Delete manifests, tags and blobs.
    Delete,
    /// Everything, written `*`.
    All,
}

/// The text names no [`Action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the action must be pull, push, delete or *")]
pub struct UnknownAction;

impl Action {
    /// The action as it is written in scopes and tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::All => "*",
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Pull => 0b0001,
            Self::Push => 0b0010,
            Self::Delete => 0b0100,
            // Its own bit and every other: then sets are plain bit arithmetic, and "may do
            // everything" still differs from the three actions known today.
            Self::All => 0b1111,
        }
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pull" => Ok(Self::Pull),
            "push" => Ok(Self::Push),
            "delete" => Ok(Self::Delete),
            "*" => Ok(Self::All),
            _ => Err(UnknownAction),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A set of actions. A set with [`Action::All`] contains every action.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actions(u8);

impl Actions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything, `*`.
    pub const ALL: Self = Self(Action::All.bits());
    /// What a reader needs.
    pub const PULL: Self = Self(Action::Pull.bits());
    /// What a writer needs: a push also reads.
    pub const PULL_PUSH: Self = Self(Action::Pull.bits() | Action::Push.bits());

    /// Whether this action is allowed by the set.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bits() == action.bits()
    }

    /// Whether each action of `other` is allowed by the set.
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The actions of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The actions that both sets contain: `*` and `pull` have `pull` in common.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the set allows nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The fewest actions that make up the set, in a fixed order: `*` stands alone.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let all = self.contains(Action::All);
        [Action::Pull, Action::Push, Action::Delete, Action::All]
            .into_iter()
            .filter(move |action| self.contains(*action) && (!all || *action == Action::All))
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        Self(action.bits())
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions
            .into_iter()
            .fold(Self::NONE, |set, action| set.union(action.into()))
    }
}

impl<const N: usize> From<[Action; N]> for Actions {
    fn from(actions: [Action; N]) -> Self {
        actions.into_iter().collect()
    }
}

/// Comma-separated, as in a scope.
impl fmt::Display for Actions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, action) in self.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            formatter.write_str(action.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// A list of words, as in the claim `access`.
impl Serialize for Actions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Action::as_str))
    }
}

/// Words that this version does not know are left out: they can allow nothing here.
impl<'de> Deserialize<'de> for Actions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Actions;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of actions")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Actions, E> {
                Ok(Actions::NONE)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut words: A) -> Result<Actions, A::Error> {
                let mut actions = Actions::NONE;
                while let Some(word) = words.next_element::<std::borrow::Cow<'de, str>>()? {
                    if let Ok(action) = word.parse::<Action>() {
                        actions = actions.union(action.into());
                    }
                }
                Ok(actions)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn any_actions() -> impl Strategy<Value = Actions> {
        let action = prop_oneof![
            Just(Action::Pull),
            Just(Action::Push),
            Just(Action::Delete),
            Just(Action::All)
        ];
        proptest::collection::vec(action, 0..4).prop_map(|actions| actions.into_iter().collect())
    }

    #[test]
    fn all_contains_every_action_and_stands_alone() {
        for action in [Action::Pull, Action::Push, Action::Delete, Action::All] {
            assert!(Actions::ALL.contains(action));
        }
        assert_eq!(Actions::from([Action::Pull, Action::All]).to_string(), "*");
    }

    #[test]
    fn the_three_actions_are_not_everything() {
        let three = Actions::from([Action::Pull, Action::Push, Action::Delete]);
        assert!(!three.contains(Action::All));
        assert_eq!(three.intersection(Actions::ALL), three);
        assert_eq!(three.to_string(), "pull,push,delete");
    }

    #[test]
    fn foreign_words_allow_nothing() {
        let actions: Actions =
            serde_json::from_str(r#"["pull","metadata:read","Push",""]"#).unwrap();
        assert_eq!(actions, Actions::PULL);
        assert_eq!(
            serde_json::from_str::<Actions>("null").unwrap(),
            Actions::NONE
        );
        assert!(serde_json::from_str::<Actions>(r#""pull""#).is_err());
        assert!(serde_json::from_str::<Actions>("[1]").is_err());
    }

    proptest! {
        #[test]
        fn intersection_obeys_its_laws(a in any_actions(), b in any_actions(), c in any_actions()) {
            let both = a.intersection(b);
            prop_assert_eq!(both, b.intersection(a));
            prop_assert_eq!(a.intersection(a), a);
            prop_assert_eq!(both.intersection(c), a.intersection(b.intersection(c)));
            prop_assert!(a.contains_all(both) && b.contains_all(both));
            for action in [Action::Pull, Action::Push, Action::Delete, Action::All] {
                prop_assert_eq!(both.contains(action), a.contains(action) && b.contains(action));
            }
        }

        #[test]
        fn survives_text_and_json(actions in any_actions()) {
            prop_assert_eq!(actions.iter().collect::<Actions>(), actions);
            let json = serde_json::to_string(&actions).unwrap();
            prop_assert_eq!(serde_json::from_str::<Actions>(&json).unwrap(), actions);
        }
    }
}
