//! `portcullis doctor` names every fault that was made on purpose, and finds none where there is
//! none.
//!
//! - [`proxy`]: faults of a proxy in front, of nginx and of Apache. [`uploads`]: those that a layer meets on
//!   its way, with a [`relay`] to make them. [`certificates`]: of TLS.
//! - [`servers`]: faults of the servers behind. [`realm`]: of the token realm. [`clocks`]: of the time. [`configuration`]: what is wrong inside.
//!   [`files`]: those that cannot be read.
//! - [`document`]: the document about it. [`machine`]: what clients on a machine are told. [`containers`]:
//!   the doctor in those of the compose file. [`others`]: registries and issuers that are not ours.

mod certificates;
mod clocks;
mod configuration;
pub mod containers;
mod document;
mod files;
mod machine;
mod others;
mod proxy;
mod realm;
mod relay;
mod servers;
mod uploads;

use std::path::{Path, PathBuf};

use acceptance::proxy::{Front, Kind, Proxy, Variant, own_address};
use acceptance::{ADMIN_PASSWORD, Databases, Finished, Image, Invocation, Pki, Portcullis, Setup};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

/// What the doctor said.
struct Diagnosis {
    finished: Finished,
    report: Value,
}

impl Diagnosis {
    fn of(command: Invocation) -> Self {
        let finished = command.arg("--json").run();
        let report = finished.json();
        let code = match report["status"].as_str().unwrap() {
            "ok" => 0,
            "failure" => 1,
            "warning" => 3,
            other => panic!("{other}"),
        };
        assert_eq!(finished.status.code(), Some(code), "{finished}");
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(
            !said.contains(ADMIN_PASSWORD),
            "a password was shown: {said}"
        );
        assert!(!said.contains("eyJ"), "a token was shown: {said}");
        Self { finished, report }
    }

    fn find(&self, check: &str) -> Option<&Value> {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().find(|finding| finding["check"] == check)
    }

    /// The check ended so, in a sentence (with what to change) of these words.
    #[track_caller]
    fn expect(&self, check: &str, status: &str, words: &str) -> &Self {
        let Some(finding) = self.find(check) else {
            panic!("no {check}: {}", self.finished);
        };
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("status"), status, "{check}: {}", self.finished);
        let said = format!("{} → {}", text("message"), text("fix"));
        assert!(said.contains(words), "{check} should say {words:?}: {said}");
        self
    }

    /// The same, and it is what is to be mended first.
    #[track_caller]
    fn expect_first(&self, check: &str, status: &str, words: &str) -> &Self {
        self.expect(check, status, words);
        assert_eq!(self.report["first"], check, "{}", self.finished);
        self
    }

    /// Every check was made, and every one went well.
    #[track_caller]
    fn expect_all_well(&self) {
        let checks = self.report["checks"].as_array().unwrap();
        let others: Vec<_> = checks.iter().filter(|one| one["status"] != "ok").collect();
        assert!(others.is_empty(), "{others:#?}");
        assert!(checks.len() > 20, "{}", self.finished);
    }
}

/// The doctor, on a machine where nobody is told anything about registries.
fn doctor() -> Invocation {
    doctor_on(Path::new("/nowhere"))
}

/// The doctor, on a machine where Docker and containerd are told what is in this folder.
fn doctor_on(machine: &Path) -> Invocation {
    Invocation::portcullis()
        .args(["doctor", "--docker-certs"])
        .arg(machine.join("docker"))
        .arg("--containerd-certs")
        .arg(machine.join("containerd"))
}

/// The doctor, looking at this registry as `admin`.
fn doctor_of(registry: &Url) -> Invocation {
    as_admin(doctor(), registry)
}

fn as_admin(command: Invocation, registry: &Url) -> Invocation {
    command
        .args([
            "--registry",
            registry.as_str(),
            "--user",
            "admin",
            "--password-stdin",
        ])
        .input(format!("{ADMIN_PASSWORD}\n"))
}

/// Both servers behind a proxy, under an address that is not the loopback.
struct Behind {
    pki: Pki,
    proxy: Proxy,
    portcullis: Portcullis,
    realm: Url,
}

impl Behind {
    /// With what is changed about the servers, and the proxy.
    async fn start(
        kind: Kind,
        servers: impl FnOnce(Setup, &Front) -> Setup,
        proxy: impl FnOnce(Front, &Pki) -> Front,
    ) -> Self {
        let pki = Pki::new();
        let front = proxy(Front::new(kind, Variant::TwoHosts).at(own_address()), &pki);
        let setup = servers(front.servers(Databases::Sqlite), &front);
        let portcullis = setup.start().await;
        let realm = front.realm();
        let proxy = front.start(&pki, &portcullis).await;
        Self {
            pki,
            proxy,
            portcullis,
            realm,
        }
    }

    /// With this variable of the registry.
    async fn with(kind: Kind, name: &str, value: &str) -> Self {
        Self::start(kind, |setup, _| setup.env(name, value), |front, _| front).await
    }

    /// With this text of a file of the proxy's replaced, which one depends on the program.
    async fn edited(kind: Kind, nginx: Edit, apache: Edit) -> Self {
        Self::start(
            kind,
            |setup, _| setup,
            |front, _| edit(front, kind, nginx, apache),
        )
        .await
    }

    fn doctor(&self) -> Invocation {
        self.doctor_on(Path::new("/nowhere"))
    }

    fn doctor_on(&self, machine: &Path) -> Invocation {
        as_admin(doctor_on(machine), self.proxy.registry())
            .arg("--ca-file")
            .arg(self.pki.root())
    }

    /// The same on the machine of the servers.
    fn with_configuration(&self, command: Invocation) -> Invocation {
        let folder = self.portcullis.folder();
        command
            .arg("--registry-config")
            .arg(folder.join("registry.yml"))
            .arg("--auth-config")
            .arg(folder.join("auth.yml"))
            .env("REGISTRY_AUTH_TOKEN_REALM", self.realm.as_str())
    }

    fn diagnose(&self) -> Diagnosis {
        Diagnosis::of(self.doctor())
    }

    /// An image in this repository.
    async fn push(&self, repository: &str) {
        let client = self.proxy.client(&self.pki).login("admin", ADMIN_PASSWORD);
        client
            .repository(repository)
            .push(&Image::random(), "1")
            .await;
    }
}

/// File, text, and what to write in its place.
type Edit = (&'static str, &'static str, &'static str);

fn edit(front: Front, kind: Kind, nginx: Edit, apache: Edit) -> Front {
    let (file, from, to) = match kind {
        Kind::Nginx => nginx,
        Kind::Apache => apache,
    };
    front.replace(file, from, to)
}

/// A machine that trusts the authority as Docker and containerd want it.
fn trusting_machine(pki: &Pki, host: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in ["docker", "containerd"] {
        let place = folder.path().join(program).join(host);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("ca.crt"), pki.root_pem()).unwrap();
    }
    let hosts = format!("server = \"https://{host}\"\nca = \"ca.crt\"\n");
    let file = folder
        .path()
        .join("containerd")
        .join(host)
        .join("hosts.toml");
    std::fs::write(file, hosts).unwrap();
    folder
}

#[tokio::test]
async fn a_healthy_deployment_is_well_in_every_line() {
    for kind in Kind::ALL {
        let behind = Behind::start(kind, |setup, _| setup, |front, _| front).await;
        behind.push("admin/app").await;
        let machine = trusting_machine(&behind.pki, &behind.proxy.host());
        let folder = behind.portcullis.folder();

        let command = behind
            .doctor_on(machine.path())
            .args(["--repository", "admin/app"]);
        Diagnosis::of(behind.with_configuration(command)).expect_all_well();

        let left = files_below(&folder.join("blobs/docker/registry/v2/repositories"));
        assert!(left.is_empty(), "the push of the doctor left {left:?}");
    }
}

#[tokio::test]
async fn every_variant_of_the_proxies_is_well() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let pki = Pki::new();
            let front = Front::new(kind, variant).at(own_address());
            let portcullis = front.servers(Databases::Sqlite).start().await;
            let proxy = front.start(&pki, &portcullis).await;
            let command = doctor_of(proxy.registry()).arg("--ca-file").arg(pki.root());
            Diagnosis::of(command)
                .expect("upload.location", "ok", "")
                .expect("upload.streaming", "ok", "")
                .expect("upload.cancelled", "ok", "nothing is left");
        }
    }
}

/// Upload sessions are all the files that a registry of ours keeps below its repositories.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn one_command_looks_at_a_laptop() {
    let portcullis = Portcullis::up().await;
    let look = doctor_of(portcullis.origin())
        .arg("--data-dir")
        .arg(portcullis.folder());
    let said = look.run().expect_success();
    said.expect_says([
        "All is well",
        "token.accepted",
        "upload.cancelled",
        "storage.space",
    ]);
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for arguments in [
        &[][..],
        &["--user", "alice"],
        &["--registry", "ftp://registry.test"],
        &["--registry", "https://alice:secret@registry.test"],
        &[
            "--registry",
            "https://registry.test",
            "--ca-file",
            "/nowhere.pem",
        ],
        &["--registry-config", "--data-dir", "/tmp"],
    ] {
        let command = Invocation::portcullis().arg("doctor").args(arguments);
        command.run().expect_code(2);
    }
}
