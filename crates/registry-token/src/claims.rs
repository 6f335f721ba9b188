//! The claims of a registry token.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Access, Denials};

/// What a token says, under its wire names.
///
/// Times are whole seconds. Claims that this version does not know are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// `iss`: who issued the token. Empty if the token does not say.
    #[serde(rename = "iss", default)]
    pub issuer: String,
    /// `sub`: the account, absent for anonymous access.
    #[serde(rename = "sub", default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `aud`: the service the token is for.
    #[serde(rename = "aud", default)]
    pub audience: Audience,
    /// `exp`: when it stops being valid.
    #[serde(rename = "exp", with = "numeric_date")]
    pub expires_at: DateTime<Utc>,
    /// `nbf`: when it starts to be valid.
    #[serde(
        rename = "nbf",
        default,
        with = "optional_numeric_date",
        skip_serializing_if = "Option::is_none"
    )]
    pub not_before: Option<DateTime<Utc>>,
    /// `iat`: when it was made.
    #[serde(
        rename = "iat",
        default,
        with = "optional_numeric_date",
        skip_serializing_if = "Option::is_none"
    )]
    pub issued_at: Option<DateTime<Utc>>,
    /// `jti`: the token's own identifier.
    #[serde(rename = "jti", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `access`: what the token allows.
    #[serde(default)]
    pub access: Access,
    /// `auth_type`: how the account signed in, in GitLab's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<String>,
    /// `denials`: why what was asked for is not in `access`. Words for people, no rights.
    #[serde(default, skip_serializing_if = "Denials::is_empty")]
    pub denials: Denials,
}

/// The services a token is for: RFC 7519 allows one or a list.
///
/// One is written as a plain string, because distribution 2.8 refuses a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Option<OneOrMany>", into = "OneOrMany")]
pub struct Audience(Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Whether the token is for this service.
    pub fn contains(&self, service: &str) -> bool {
        self.0.iter().any(|audience| audience == service)
    }

    /// The services, none if the token does not say.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl From<&str> for Audience {
    fn from(service: &str) -> Self {
        Self(vec![service.into()])
    }
}

impl From<String> for Audience {
    fn from(service: String) -> Self {
        Self(vec![service])
    }
}

impl From<Vec<String>> for Audience {
    fn from(services: Vec<String>) -> Self {
        Self(services)
    }
}

impl From<Option<OneOrMany>> for Audience {
    fn from(wire: Option<OneOrMany>) -> Self {
        match wire {
            None => Self::default(),
            Some(OneOrMany::One(service)) => Self(vec![service]),
            Some(OneOrMany::Many(services)) => Self(services),
        }
    }
}

impl From<Audience> for OneOrMany {
    fn from(audience: Audience) -> Self {
        match <[String; 1]>::try_from(audience.0) {
            Ok([service]) => Self::One(service),
            Err(services) => Self::Many(services),
        }
    }
}

/// RFC 7519 `NumericDate`: seconds since 1970, with fractions allowed on reading.
mod numeric_date {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Whole(i64),
        Fractional(f64),
    }

    pub fn serialize<S: Serializer>(
        time: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.timestamp())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        let seconds = match Seconds::deserialize(deserializer) {
            Ok(Seconds::Whole(seconds)) => seconds,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the cast saturates, chrono refuses the ends"
            )]
            Ok(Seconds::Fractional(seconds)) => seconds.floor() as i64,
            Err(_) => return Err(D::Error::custom("a time is not a number of seconds")),
        };
        DateTime::from_timestamp(seconds, 0)
            .ok_or_else(|| D::Error::custom("a time is out of range"))
    }
}

mod optional_numeric_date {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Time(#[serde(with = "super::numeric_date")] DateTime<Utc>);

    #[expect(
        clippy::ref_option,
        reason = "serde's `with` passes a reference to the field"
    )]
    pub fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::numeric_date::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Action, RepositoryName};

    #[test]
    fn reads_a_token_as_gitlab_makes_it() {
        let claims: Claims = serde_json::from_value(json!({
            "access": [{
                "type": "repository", "name": "team/app", "actions": ["pull"],
                "meta": {"project_path": "team/app", "project_id": 7, "root_namespace_id": 3}
            }],
            "jti": "0b5ae2c8-3a0c-4b1f-9b2b-8e5f7a9f6c11",
            "aud": "container_registry",
            "sub": "alice",
            "iss": "omnibus-gitlab-issuer",
            "iat": 1_700_000_000, "nbf": 1_699_999_995, "exp": 1_700_000_300,
            "auth_type": "personal_access_token",
            "user": "eyJ…",
        }))
        .unwrap();
        assert_eq!(claims.subject.as_deref(), Some("alice"));
        assert!(claims.audience.contains("container_registry"));
        assert_eq!(claims.expires_at.timestamp(), 1_700_000_300);
        let name: RepositoryName = "team/app".parse().unwrap();
        assert!(claims.access.allows(&name, Action::Pull));
        assert_eq!(
            claims.access.meta_of(&name).unwrap().root_namespace_id,
            Some(3)
        );
    }

    #[test]
    fn only_the_expiry_is_required_to_read_it() {
        let claims: Claims = serde_json::from_value(json!({"exp": 5})).unwrap();
        assert_eq!(claims.subject, None);
        assert!(claims.issuer.is_empty() && claims.access.is_empty());
        assert_eq!(claims.audience.iter().count(), 0);
        assert!(serde_json::from_value::<Claims>(json!({"iss": "x"})).is_err());
    }

    #[test]
    fn sentences_that_cannot_be_read_do_no_harm() {
        for denials in [
            json!(null),
            json!({"a": 1}),
            json!([1]),
            json!([{"name": "A/", "message": 1}]),
        ] {
            let json = json!({"exp": 5, "denials": denials});
            assert!(
                serde_json::from_value::<Claims>(json)
                    .unwrap()
                    .denials
                    .is_empty()
            );
        }
        let json = json!({"exp": 5, "denials": [{"name": "a", "message": "no"}]});
        let claims: Claims = serde_json::from_value(json).unwrap();
        let name: RepositoryName = "a".parse().unwrap();
        assert_eq!(claims.denials.of(&name), Some("no"));
        assert!(
            !claims.access.allows(&name, Action::Pull),
            "words are no rights"
        );
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let json =
            json!({"exp": 5, "nbf": null, "iat": null, "sub": null, "aud": null, "access": null});
        assert!(serde_json::from_value::<Claims>(json).is_ok());
    }

    #[test]
    fn the_audience_is_a_string_or_a_list() {
        let claims: Claims = serde_json::from_value(json!({"exp": 5, "aud": ["a", "b"]})).unwrap();
        assert!(claims.audience.contains("b") && !claims.audience.contains("c"));
        assert_eq!(
            serde_json::to_value(Audience::from("a")).unwrap(),
            json!("a")
        );
        assert_eq!(
            serde_json::to_value(&claims.audience).unwrap(),
            json!(["a", "b"])
        );
    }

    #[test]
    fn fractions_of_a_second_are_cut() {
        let claims: Claims = serde_json::from_value(json!({"exp": 5.9, "nbf": -1.5})).unwrap();
        assert_eq!(claims.expires_at.timestamp(), 5);
        assert_eq!(claims.not_before.unwrap().timestamp(), -2);
    }

    #[test]
    fn impossible_times_are_refused() {
        for json in [
            json!({"exp": "5"}),
            json!({"exp": null}),
            json!({"exp": true}),
            json!({"exp": 1e300}),
            json!({"exp": -1e300}),
            json!({"exp": i64::MAX}),
            json!({"exp": u64::MAX}),
            json!({"exp": 5, "nbf": "soon"}),
        ] {
            assert!(
                serde_json::from_value::<Claims>(json.clone()).is_err(),
                "{json}"
            );
        }
    }

    proptest! {
        #[test]
        fn survives_json(
            issuer in "\\PC{0,12}",
            subject in proptest::option::of("\\PC{0,12}"),
            audience in proptest::collection::vec("[a-z]{1,5}", 0..3),
            seconds in -1_000_000_000_000_i64..1_000_000_000_000,
            not_before in proptest::option::of(-1_000_000_000_i64..1_000_000_000),
        ) {
            let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let claims = Claims {
                issuer,
                subject,
                audience: audience.into(),
                expires_at: time(seconds),
                not_before: not_before.map(time),
                issued_at: None,
                id: None,
                access: Access::none(),
                auth_type: None,
                denials: Denials::default(),
            };
            let json = serde_json::to_string(&claims).unwrap();
            prop_assert_eq!(serde_json::from_str::<Claims>(&json).unwrap(), claims);
        }
    }
}
