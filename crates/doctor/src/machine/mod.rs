//! What clients on this machine are told about a registry: Docker's `certs.d` and containerd's
//! `hosts.toml`.

mod containerd;
mod docker;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use url::Url;

use crate::certificate::{Certificate, PemFile, read_pem};
use crate::files::Unusable;
use crate::network::Server;
use crate::report::{Report, Verdict};
use crate::tls;
use crate::trust::Trust;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `/etc/docker/certs.d`
    pub docker: PathBuf,
    /// `/etc/containerd/certs.d`
    pub containerd: PathBuf,
    /// The registry as clients name it.
    pub registry: Url,
    /// The certificates that it shows.
    pub chain: Vec<Certificate>,
    pub now: DateTime<Utc>,
}

/// What both programs are told about the registry.
pub fn examine(machine: &Machine, report: &mut Report) {
    let Some(host) = Host::of(&machine.registry, &machine.chain, machine.now) else {
        return;
    };
    for (check, folder, look) in [
        (
            "docker.certs",
            &machine.docker,
            docker::look as fn(&Path, &Host<'_>) -> Verdict,
        ),
        ("containerd.hosts", &machine.containerd, containerd::look),
    ] {
        let verdict = if !host.server.tls {
            Verdict::skipped("the registry is not behind TLS")
        } else if machine.chain.is_empty() {
            Verdict::skipped("because the registry's certificate could not be seen")
        } else {
            look(folder, &host)
        };
        report.add(check, verdict);
    }
}

/// A registry, as clients look for its folder.
struct Host<'a> {
    server: Server,
    chain: &'a [Certificate],
    now: DateTime<Utc>,
}

impl<'a> Host<'a> {
    fn of(registry: &Url, chain: &'a [Certificate], now: DateTime<Utc>) -> Option<Self> {
        Some(Self {
            server: Server::of(registry)?,
            chain,
            now,
        })
    }

    /// What stands before the first slash of an image's name, and what the folder is called.
    fn name(&self) -> String {
        let Server { host, port, .. } = &self.server;
        if *port == 443 {
            host.clone()
        } else {
            format!("{host}:{port}")
        }
    }

    /// Names that somebody may have meant, and that are not looked at.
    fn wrong_names(&self) -> [String; 4] {
        let Server { host, port, .. } = &self.server;
        [
            host.clone(),
            format!("{host}:{port}"),
            format!("https://{host}"),
            format!("{host}_{port}"),
        ]
    }

    /// Whether the system alone is enough for this registry.
    fn is_trusted_by_system(&self) -> bool {
        let trust = Trust::system_and(Vec::new());
        !tls::chain(self.chain, &trust, self.now).is_failure()
    }

    /// What these authorities make of the registry's certificates, beside those of the system.
    fn judged_by(&self, authorities: Vec<Certificate>) -> Verdict {
        tls::chain(self.chain, &Trust::system_and(authorities), self.now)
    }
}

/// A file of a folder.
struct Entry {
    name: String,
    path: PathBuf,
    read: Result<PemFile, Unusable>,
    mode: u32,
}

impl Entry {
    /// Whether both programs take it for an authority: by its suffix alone.
    fn is_authority(&self) -> bool {
        self.path.extension().is_some_and(|suffix| suffix == "crt")
    }
}

/// The authorities among these files.
fn authorities(files: &[Entry]) -> Vec<Certificate> {
    let files = files.iter().filter(|file| file.is_authority());
    files
        .filter_map(|file| file.read.as_ref().ok())
        .flat_map(|file| file.certificates.clone())
        .collect()
}

/// The files of a folder, by name; `None` if there is none.
fn files(folder: &Path) -> Option<Vec<Entry>> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut files: Vec<Entry> = entries
        .flatten()
        .filter_map(|entry| {
            let metadata = std::fs::metadata(entry.path()).ok()?;
            metadata.is_file().then(|| Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                read: read_pem(&entry.path()),
                path: entry.path(),
                mode: metadata.permissions().mode() & 0o777,
            })
        })
        .collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Some(files)
}

/// The names of the folders in a folder.
fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests;
