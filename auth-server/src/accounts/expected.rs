//! [`Expected`]: for which state of an object a change is meant.

/// What must be there for a change to be made. It is looked at in the transaction of the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    #[default]
    Anything,
    /// Whatever it is, it is there.
    Something,
    /// This version and no other.
    Version(i64),
    /// It is not there yet.
    Nothing,
}

impl Expected {
    /// Whether that is so; `None`: there is nothing.
    #[must_use]
    pub fn is_met(self, version: Option<i64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Something => version.is_some(),
            Self::Version(expected) => version == Some(expected),
            Self::Nothing => version.is_none(),
        }
    }
}

/// What has become of something that was to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put<T> {
    pub object: T,
    /// Whether there was none before.
    pub is_new: bool,
}
