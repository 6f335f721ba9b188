//! Fields of a change (RFC 7396): what is missing stays as it is, `null` clears.
//!
//! For `#[serde(default, deserialize_with = "…")]`: without `default` a field would have to be there.

use serde::{Deserialize, Deserializer};

/// A field that cannot be cleared: `null` is refused.
pub fn value<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// A field that can be cleared: `null` is `Some(None)`.
#[expect(
    clippy::option_option,
    reason = "missing, null and a value are three things"
)]
pub fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[expect(clippy::option_option, reason = "this is what is tested")]
    struct Change {
        #[serde(default, deserialize_with = "super::value")]
        admin: Option<bool>,
        #[serde(default, deserialize_with = "super::nullable")]
        email: Option<Option<String>>,
    }

    #[test]
    fn missing_null_and_a_value_are_three_things() {
        let read = |text| serde_json::from_str::<Change>(text);
        let change = read("{}").unwrap();
        assert_eq!((change.admin, change.email), (None, None));
        let change = read("{\"email\": null, \"admin\": false}").unwrap();
        assert_eq!((change.admin, change.email), (Some(false), Some(None)));
        assert!(read("{\"admin\": null}").is_err());
    }
}
