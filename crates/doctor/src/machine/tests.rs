use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::report::Status;
use crate::testing::{Authority, noon};

/// A registry at `registry.test:8443` and a machine that is told about it.
struct Fixture {
    root: Authority,
    chain: Vec<Certificate>,
    folder: tempfile::TempDir,
}

fn pem(certificate: &Certificate) -> String {
    let certificate = registry_token::Certificate::from_der(&certificate.der).unwrap();
    certificate.to_pem()
}

impl Fixture {
    fn new() -> Self {
        let root = Authority::root("Root");
        let middle = root.below("Middle");
        let chain = vec![
            middle.server(&["registry.test"]),
            middle.certificate.clone(),
        ];
        let folder = tempfile::tempdir().unwrap();
        Self {
            root,
            chain,
            folder,
        }
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn root(&self) -> String {
        pem(&self.root.certificate)
    }

    fn verdict(&self, check: &str) -> Verdict {
        let machine = Machine {
            docker: self.folder.path().join("docker"),
            containerd: self.folder.path().join("containerd"),
            registry: "https://registry.test:8443".parse().unwrap(),
            chain: self.chain.clone(),
            now: noon(),
        };
        let mut report = Report::default();
        examine(&machine, &mut report);
        let findings = report.findings().iter();
        let mut findings = findings.filter(|finding| finding.check == check);
        findings.next().unwrap().verdict.clone()
    }

    #[track_caller]
    fn expect(&self, check: &str, status: Status, words: &str) {
        let verdict = self.verdict(check);
        assert_eq!(verdict.status, status, "{verdict:?}");
        let said = format!("{} {}", verdict.message, verdict.fix.unwrap_or_default());
        assert!(said.contains(words), "{words:?}: {said}");
    }
}

const DOCKER: &str = "docker.certs";
const CONTAINERD: &str = "containerd.hosts";

#[test]
fn docker_reads_the_folder_of_host_and_port() {
    let machine = Fixture::new();
    machine.expect(DOCKER, Status::Warning, "does not trust the registry");
    for wrong in ["registry.test", "registry.test_8443", "registry.test:5000"] {
        let path = machine.write(&format!("docker/{wrong}/ca.crt"), &machine.root());
        machine.expect(
            DOCKER,
            Status::Failure,
            &format!("/{wrong} for this registry"),
        );
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    machine.write("docker/registry.test:8443/ca.crt", &machine.root());
    machine.expect(DOCKER, Status::Ok, "registry.test:8443");
}

#[test]
fn docker_reads_files_by_their_suffix() {
    let machine = Fixture::new();
    let pem = machine.write("docker/registry.test:8443/ca.pem", &machine.root());
    machine.expect(DOCKER, Status::Failure, "must be called *.crt");
    std::fs::remove_file(pem).unwrap();
    machine.expect(DOCKER, Status::Failure, "there is no authority");
    let cert = machine.write("docker/registry.test:8443/ca.cert", &machine.root());
    machine.expect(
        DOCKER,
        Status::Failure,
        "if it is an authority, call it *.crt",
    );
    std::fs::remove_file(cert).unwrap();
    machine.write("docker/registry.test:8443/ca.crt", "no certificate");
    machine.expect(DOCKER, Status::Failure, "PEM form");
    machine.write("docker/registry.test:8443/ca.crt", &machine.root());
    machine.write("docker/registry.test:8443/README", "a note");
    machine.expect(DOCKER, Status::Ok, "");
}

#[test]
fn docker_wants_both_halves_of_a_client_certificate() {
    let machine = Fixture::new();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    machine.write("docker/registry.test:8443/ca.crt", &machine.root());
    let path = machine.write("docker/registry.test:8443/client.key", &key);
    machine.expect(DOCKER, Status::Failure, "has no client.cert beside it");
    machine.write(
        "docker/registry.test:8443/client.cert",
        &pem(&machine.chain[0]),
    );
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    machine.expect(DOCKER, Status::Warning, "mode 644");
    mode(0o600).unwrap();
    machine.expect(DOCKER, Status::Ok, "");
}

#[test]
fn an_authority_must_be_that_of_the_registry() {
    let machine = Fixture::new();
    let other = pem(&Authority::root("Other").certificate);
    machine.write("docker/registry.test:8443/ca.crt", &other);
    machine.expect(DOCKER, Status::Failure, "does not verify the registry");
    let ca = machine.write("ca.pem", &other);
    let toml = format!(
        "[host.\"https://registry.test:8443\"]\nca = \"{}\"\n",
        ca.display()
    );
    machine.write("containerd/registry.test:8443/hosts.toml", &toml);
    machine.expect(CONTAINERD, Status::Failure, "does not verify the registry");
    std::fs::write(ca, machine.root()).unwrap();
    machine.expect(CONTAINERD, Status::Ok, "hosts.toml");
}

#[test]
fn a_hosts_file_is_read_as_containerd_reads_it() {
    let machine = Fixture::new();
    machine.expect(CONTAINERD, Status::Skipped, "told nothing");
    machine.write("containerd/registry.test/hosts.toml", "");
    machine.expect(CONTAINERD, Status::Failure, "does not look at");
    machine.write("containerd/registry.test:8443/ca.crt", &machine.root());
    machine.expect(CONTAINERD, Status::Ok, "registry.test:8443");
    let hosts = |text: &str| machine.write("containerd/registry.test:8443/hosts.toml", text);
    for (text, status, words) in [
        ("[host", Status::Failure, "cannot be read"),
        (
            "server = \"https://registry.test\"",
            Status::Failure,
            "is not where the registry is",
        ),
        (
            "server = \"http://registry.test:8443\"",
            Status::Failure,
            "is not where",
        ),
        (
            "[host.\"registry.test:5000\"]",
            Status::Failure,
            "is not where",
        ),
        ("[host.\"https://:x\"]", Status::Failure, "is no URL"),
        (
            "ca = \"missing.pem\"",
            Status::Failure,
            "there is no such file",
        ),
        (
            "ca = [\"ca.crt\"]\nserver = \"https://registry.test:8443\"",
            Status::Ok,
            "",
        ),
        ("ca = \"ca.crt\"\nclient = [[\"a\", \"b\"]]", Status::Ok, ""),
        (
            "[host.\"https://registry.test:8443\"]\nskip_verify = true",
            Status::Warning,
            "skip_verify",
        ),
        (
            "[host.\"https://registry.test:8443\"]\nca = \"ca.crt\"\ncapabilities = [\"push\"]",
            Status::Failure,
            "lack pull",
        ),
        (
            "[host.\"https://mirror.test\"]\ncapabilities = [\"pull\", \"resolve\"]",
            Status::Failure,
            "does not verify",
        ),
    ] {
        hosts(text);
        machine.expect(CONTAINERD, status, words);
    }
}

#[test]
fn nothing_is_said_of_a_registry_that_was_not_seen() {
    let mut machine = Fixture::new();
    machine.write("docker/registry.test:8443/ca.crt", &machine.root());
    machine.chain.clear();
    machine.expect(DOCKER, Status::Skipped, "could not be seen");
}
