//! [`PullSecret`]: what Kubernetes shows to the registry when a node pulls.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::login::Login;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub struct PullSecret {
    #[command(flatten)]
    login: Login,
    /// What the Secret is called
    #[arg(long, value_name = "NAME", default_value = "registry-credentials")]
    name: ObjectName,
    /// The namespace of the pods that pull; `kubectl` decides, if nothing is said
    #[arg(long, value_name = "NAME")]
    namespace: Option<Label>,
    /// YAML with comments for people, or JSON for programs; kubectl takes both
    #[arg(long, short, value_enum, default_value_t = Form::Yaml)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

/// A DNS label (RFC 1123): what namespaces are called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label(String);

/// Labels joined by dots: what Secrets are called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ObjectName(String);

fn is_label(text: &str) -> bool {
    const MAX: usize = 63;
    (1..=MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl FromStr for Label {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        is_label(text)
            .then(|| Self(text.to_owned()))
            .ok_or("a namespace has up to 63 lower-case letters, digits, and `-` between them")
    }
}

impl FromStr for ObjectName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const MAX: usize = 253;
        (text.len() <= MAX && text.split('.').all(is_label))
            .then(|| Self(text.to_owned()))
            .ok_or("a Secret's name has lower-case letters, digits, and `-` or `.` between them")
    }
}

impl PullSecret {
    /// To standard output.
    pub fn print(&self) -> Result<(), Failure> {
        let credentials = STANDARD.encode(self.login.auths()?.to_string());
        match self.output {
            Form::Json => output::json(&self.manifest(&credentials))?,
            Form::Yaml => output::bytes(self.yaml(&credentials).as_bytes())?,
        }
        if self.login.ca_file.is_some() {
            output::note(
                "A Secret holds no certificate authority: every node has to trust it (see \
                 portcullis client-config containerd --help).",
            )?;
        }
        Ok(())
    }

    fn manifest(&self, credentials: &str) -> Value {
        let mut metadata = json!({"name": self.name.0});
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = namespace.0.clone().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": credentials},
        })
    }

    /// Names are in quotes: `on` and `1e3` are names, too.
    fn yaml(&self, credentials: &str) -> String {
        let name = &self.name.0;
        let (option, namespace) = match &self.namespace {
            Some(Label(namespace)) => (
                format!(" --namespace {namespace}"),
                format!("  namespace: \"{namespace}\"\n"),
            ),
            None => (String::new(), String::new()),
        };
        format!(
            "# kubectl apply --filename THIS-FILE\n\
             # Then in each pod:\n\
             #   spec:\n\
             #     imagePullSecrets: [{{name: {name}}}]\n\
             # Or for all pods of a service account:\n\
             #   kubectl patch serviceaccount default{option} --patch \
             '{{\"imagePullSecrets\":[{{\"name\":\"{name}\"}}]}}'\n\
             apiVersion: v1\n\
             kind: Secret\n\
             metadata:\n  \
             name: \"{name}\"\n\
             {namespace}\
             type: kubernetes.io/dockerconfigjson\n\
             data:\n  \
             .dockerconfigjson: {credentials}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        for text in ["a", "registry-credentials", "0", "a.b-c.d", "on"] {
            assert!(text.parse::<ObjectName>().is_ok(), "{text}");
        }
        let long = "a".repeat(64);
        for text in [
            "", "A", "a_b", "-a", "a-", "a..b", ".a", "a b", "a\n", &long,
        ] {
            assert!(text.parse::<ObjectName>().is_err(), "{text:?}");
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
        assert!("a.b".parse::<Label>().is_err());
    }
}
