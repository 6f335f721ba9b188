//! `/etc/containerd/certs.d/HOST[:PORT]/hosts.toml`.
//! <https://github.com/containerd/containerd/blob/main/docs/hosts.md>

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::{Host, folders};
use crate::certificate::{MAX_FILE, read_pem};
use crate::challenge::shown;
use crate::files;
use crate::network::Server;
use crate::report::Verdict;

/// What is read of the file. containerd ignores what it does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hosts {
    server: Option<String>,
    host: BTreeMap<String, Settings>,
    #[serde(flatten)]
    root: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    skip_verify: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }
}

pub(super) fn look(certs: &Path, host: &Host<'_>) -> Verdict {
    let name = host.name();
    let underscored = format!("{}_{}_", host.server.host, host.server.port);
    let found = [name.as_str(), underscored.as_str(), "_default"]
        .iter()
        .map(|name| certs.join(name))
        .find(|folder| folder.is_dir());
    let Some(folder) = found else {
        return without_folder(certs, host);
    };
    let path = folder.join("hosts.toml");
    let path_shown = path.display();
    if !path.exists() {
        return without_file(&folder, host);
    }
    let text = match files::read(&path, MAX_FILE) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(problem) => return problem.failure(&path, "let root read it"),
    };
    match toml::from_str::<Hosts>(&text) {
        Ok(hosts) => judge(&folder, &hosts, host),
        Err(error) => Verdict::failure(
            format!("{path_shown} cannot be read: {}", shown(error.message())),
            "correct it; `portcullis client-config containerd` writes one that works",
        ),
    }
}

fn without_folder(certs: &Path, host: &Host<'_>) -> Verdict {
    let name = host.name();
    let there = folders(certs);
    let shown = certs.display();
    if host.is_trusted_by_system() {
        return Verdict::ok("the system trusts the registry, and so does containerd");
    }
    let wrong = host.wrong_names();
    if let Some(wrong) = there
        .iter()
        .find(|one| **one != name && wrong.contains(one))
    {
        return Verdict::failure(
            format!("containerd does not look at {shown}/{wrong} for this registry"),
            format!(
                "name the folder as images are named, with the port: mv {shown}/{wrong} {shown}/{name}"
            ),
        );
    }
    if !certs.exists() {
        return Verdict::skipped("containerd is told nothing about registries on this machine");
    }
    Verdict::warning(
        format!(
            "containerd on this machine does not trust the registry: there is no {shown}/{name}"
        ),
        format!(
            "write {shown}/{name}/hosts.toml with `ca`: see portcullis client-config containerd"
        ),
    )
}

/// Without the file, containerd reads the folder as Docker does.
fn without_file(folder: &Path, host: &Host<'_>) -> Verdict {
    let shown = folder.display();
    let authorities = super::authorities(&super::files(folder).unwrap_or_default());
    let judged = host.judged_by(authorities);
    if judged.is_failure() {
        return Verdict::failure(
            format!(
                "{shown} has no hosts.toml, and no *.crt that verifies the registry: {}",
                judged.message
            ),
            format!("write {shown}/hosts.toml: see portcullis client-config containerd"),
        );
    }
    Verdict::ok(format!("containerd trusts the registry, by {shown}"))
}

fn judge(folder: &Path, hosts: &Hosts, host: &Host<'_>) -> Verdict {
    let file = folder.join("hosts.toml");
    let file = file.display();
    let urls = hosts.server.iter().chain(hosts.host.keys());
    for text in urls {
        let with_scheme = if text.contains("://") {
            text.clone()
        } else {
            format!("https://{text}")
        };
        let Some(server) = Url::parse(&with_scheme)
            .ok()
            .and_then(|url| Server::of(&url))
        else {
            return Verdict::failure(
                format!("{file}: \"{}\" is no URL", shown(text)),
                format!("write https://{} there", host.name()),
            );
        };
        if server.host == host.server.host && (server.port, server.tls) != (host.server.port, true)
        {
            return Verdict::failure(
                format!("{file}: {} is not where the registry is", shown(text)),
                format!("write https://{} there", host.name()),
            );
        }
    }
    let here = |url: &str| {
        url.ends_with(&host.name()) || url.trim_end_matches('/').ends_with(&host.name())
    };
    let section = hosts
        .host
        .iter()
        .find(|(url, _)| here(url))
        .map(|(_, settings)| settings);
    let settings = section.unwrap_or(&hosts.root);
    if let Some(capabilities) = &settings.capabilities
        && !["pull", "resolve"]
            .iter()
            .all(|one| capabilities.iter().any(|other| other == one))
    {
        return Verdict::failure(
            format!("{file}: the capabilities lack pull or resolve, so that nothing can be pulled"),
            "write capabilities = [\"pull\", \"resolve\", \"push\"]",
        );
    }
    if settings.skip_verify == Some(true) {
        return Verdict::warning(
            format!("{file}: `skip_verify` lets anybody play the registry"),
            "remove `skip_verify`, and name the authority with `ca`",
        );
    }
    authorities(folder, settings, host)
}

fn authorities(folder: &Path, settings: &Settings, host: &Host<'_>) -> Verdict {
    let file = folder.join("hosts.toml");
    let file = file.display();
    let mut found = Vec::new();
    for name in settings.ca.iter().flat_map(OneOrMany::iter) {
        // Relative to the folder, if it is not absolute.
        match read_pem(&folder.join(name)) {
            Ok(read) => found.extend(read.certificates),
            Err(problem) => {
                return Verdict::failure(
                    format!("{file}: the file of `ca`, {}, {problem}", shown(name)),
                    problem.fix_or(
                        "name the file of the authority's certificate, with its whole path",
                    ),
                );
            }
        }
    }
    let judged = host.judged_by(found);
    if judged.is_failure() {
        return Verdict::failure(
            format!(
                "what {file} names as `ca` does not verify the registry: {}",
                judged.message
            ),
            "name the certificate of the authority that signed the registry's; or mend the chain \
             that the registry sends",
        );
    }
    Verdict::ok(format!("containerd trusts the registry, by {file}"))
}
