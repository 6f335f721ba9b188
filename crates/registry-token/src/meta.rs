//! What the issuer tells the registry about the project behind a repository.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `access[].meta`, in GitLab's field names.
///
/// The registry enforces these without asking anyone. A field of a known name and a wrong type
/// makes the whole token malformed: a rule that cannot be read must not be skipped. Fields this
/// version does not know are carried along.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// The project's path, which may differ from the repository's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_path: Option<String>,
    /// The project's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,
    /// The number of the top-level group that quotas are counted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_namespace_id: Option<i64>,
    /// Tags that the bearer must not touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_deny_access_patterns: Option<TagPatterns>,
    /// Tags that nobody may change once they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_immutable_patterns: Option<Vec<String>>,
    /// Everything else that stood there.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Regular expressions of protected tags, by what is forbidden.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TagPatterns {
    /// Tags that cannot be pushed.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub push: Vec<String>,
    /// Tags that cannot be deleted.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub delete: Vec<String>,
}

/// Go encodes an empty list as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_what_it_does_not_know() {
        let json = json!({
            "project_path": "team/app",
            "project_id": 7,
            "root_namespace_id": 3,
            "tag_deny_access_patterns": {"push": ["^v.*"], "delete": [".*"]},
            "tag_immutable_patterns": ["^v1"],
            "future": {"deep": [1, 2]},
        });
        let meta: Meta = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(meta.project_path.as_deref(), Some("team/app"));
        assert_eq!(meta.other["future"], json!({"deep": [1, 2]}));
        assert_eq!(serde_json::to_value(&meta).unwrap(), json);
    }

    #[test]
    fn null_means_absent() {
        let json = json!({"project_id": null, "tag_deny_access_patterns": {"push": null}});
        let meta: Meta = serde_json::from_value(json).unwrap();
        assert_eq!(meta.project_id, None);
        assert_eq!(meta.tag_deny_access_patterns, Some(TagPatterns::default()));
    }

    #[test]
    fn an_unreadable_rule_is_not_skipped() {
        for json in [
            json!({"tag_deny_access_patterns": {"push": "^v.*"}}),
            json!({"tag_immutable_patterns": "^v1"}),
            json!({"project_id": "7"}),
        ] {
            assert!(
                serde_json::from_value::<Meta>(json.clone()).is_err(),
                "{json}"
            );
        }
    }
}
