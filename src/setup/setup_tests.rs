//! What is made is made once, and what somebody has put there stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use service::server::{Tls, TlsSettings};
use tempfile::TempDir;

use super::folder::State;
use super::*;

const DAY: Duration = Duration::from_hours(24);

struct Deployment {
    folder: TempDir,
    clock: Clock,
    setup: Setup,
}

impl Deployment {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup {
            dir: folder.path().join("setup"),
            auth_host: "auth.example.com".parse().unwrap(),
            registry_host: "registry.example.com".parse().unwrap(),
            https_port: 443,
            database: Database::Postgres,
            format: OutputFormat {
                output: Output::Json,
            },
        };
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        Self {
            folder,
            clock,
            setup,
        }
    }

    fn run(&self) -> Report {
        prepare(&self.setup, &self.clock).unwrap()
    }

    fn refused(&self) -> String {
        prepare(&self.setup, &self.clock).unwrap_err().to_string()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.setup.dir.join(name)).unwrap()
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.setup.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.setup.dir.join(name)).unwrap();
    }

    fn contents(&self) -> BTreeMap<String, String> {
        contents(&self.setup.dir)
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = fs::metadata(self.setup.dir.join(name)).unwrap();
        metadata.permissions().mode() & 0o7777
    }

    fn states(&self, report: &Report) -> BTreeMap<String, State> {
        let root = &self.setup.dir;
        let name = |entry: &Entry| entry.file.strip_prefix(root).unwrap().display().to_string();
        let entries = report.files.iter();
        entries.map(|entry| (name(entry), entry.state)).collect()
    }

    /// Whether a client that trusts the authority takes the certificate for these names.
    fn names_of_certificate(&self) -> Vec<String> {
        let text = self.read("tls/fullchain.pem");
        let blocks = authority::pem_blocks(&text).unwrap();
        let certificate = blocks[0].parse_x509().unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let names = &names.value.general_names;
        names.iter().map(ToString::to_string).collect()
    }
}

fn contents(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.insert(path.display().to_string(), text);
        }
    }
    found
}

/// A certificate by an authority that this command has not made: chain and key.
fn own_pair(names: &[&str], params: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = rcgen::DnType::CommonName;
    authority
        .distinguished_name
        .push(name, "Somebody's authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    params(&mut leaf);
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    (leaf.pem() + &authority.pem(), key.serialize_pem())
}

#[test]
fn an_empty_folder_gets_all_that_a_deployment_needs() {
    let deployment = Deployment::new();
    let report = deployment.run();

    let states = deployment.states(&report);
    let made: Vec<&str> = states.keys().map(String::as_str).collect();
    assert_eq!(
        made,
        [
            "auth/admin-password",
            "auth/database-url",
            "auth/keys-encryption-key",
            "ca/ca.key",
            "ca/ca.pem",
            "postgres/auth-password",
            "postgres/password",
            "postgres/registry-password",
            "registry/database-url",
            "tls/ca.pem",
            "tls/fullchain.pem",
            "tls/privkey.pem",
        ]
    );
    assert!(states.values().all(|state| *state == State::Made));
    assert_eq!(deployment.contents().len(), made.len());
    assert!(report.warnings.is_empty());
    let password = deployment.read("postgres/registry-password");
    assert_eq!(
        deployment.read("registry/database-url"),
        format!("postgres://registry:{password}@postgres/registry")
    );
    assert_eq!(deployment.read("tls/ca.pem"), deployment.read("ca/ca.pem"));
    assert_eq!(deployment.names_of_certificate().len(), 2);
}

#[test]
fn secrets_are_for_their_group_and_the_authority_for_nobody() {
    let deployment = Deployment::new();
    deployment.run();
    for (name, mode) in [
        ("ca/ca.key", 0o600),
        ("ca/ca.pem", 0o644),
        ("tls/privkey.pem", 0o640),
        ("tls/fullchain.pem", 0o644),
        ("auth/admin-password", 0o640),
        ("auth/keys-encryption-key", 0o640),
        ("auth/database-url", 0o640),
        ("registry/database-url", 0o640),
        ("postgres/password", 0o640),
    ] {
        assert_eq!(deployment.mode(name), mode, "{name}");
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let deployment = Deployment::new();
    deployment.run();
    let before = deployment.contents();

    let report = deployment.run();

    assert_eq!(deployment.contents(), before);
    let states = deployment.states(&report);
    assert!(
        states.values().all(|state| *state == State::Kept),
        "{states:?}"
    );
}

#[test]
fn openssl_believes_the_chain() {
    let deployment = Deployment::new();
    deployment.run();
    let tls = deployment.setup.dir.join("tls");
    let now = deployment.clock.now().timestamp().to_string();
    for host in ["auth.example.com", "registry.example.com"] {
        let verified = std::process::Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver"])
            .args(["-attime", &now, "-verify_hostname", host, "-CAfile"])
            .args([tls.join("ca.pem"), tls.join("fullchain.pem")])
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
    }
}

#[test]
fn a_certificate_is_renewed_when_it_ends_soon_and_the_authority_stays() {
    let deployment = Deployment::new();
    deployment.run();
    let (before, authority) = (
        deployment.read("tls/fullchain.pem"),
        deployment.read("ca/ca.pem"),
    );

    deployment.clock.advance(549 * DAY);
    deployment.run();
    assert_eq!(deployment.read("tls/fullchain.pem"), before);

    deployment.clock.advance(2 * DAY);
    let report = deployment.run();
    assert_ne!(deployment.read("tls/fullchain.pem"), before);
    assert_eq!(deployment.read("ca/ca.pem"), authority);
    let states = deployment.states(&report);
    assert_eq!(states["tls/fullchain.pem"], State::Renewed);
    assert_eq!(states["tls/privkey.pem"], State::Renewed);
    assert_eq!(states["ca/ca.pem"], State::Kept);
}

#[test]
fn a_certificate_does_not_outlive_its_authority_and_is_not_renewed_for_that() {
    let deployment = Deployment::new();
    deployment.run();
    deployment.clock.advance(3600 * DAY);
    deployment.run();
    let before = deployment.read("tls/fullchain.pem");
    deployment.run();
    assert_eq!(deployment.read("tls/fullchain.pem"), before);
}

#[test]
fn other_host_names_get_another_certificate_by_the_same_authority() {
    let mut deployment = Deployment::new();
    deployment.run();
    let authority = deployment.read("ca/ca.pem");
    deployment.setup.registry_host = "192.0.2.7".parse().unwrap();

    let report = deployment.run();

    assert_eq!(
        deployment.states(&report)["tls/fullchain.pem"],
        State::Renewed
    );
    assert_eq!(deployment.read("ca/ca.pem"), authority);
    let again = deployment.run();
    assert_eq!(deployment.states(&again)["tls/fullchain.pem"], State::Kept);
}

#[test]
fn a_pair_of_ours_that_does_not_fit_is_made_again() {
    let deployment = Deployment::new();
    deployment.run();
    // As an interruption between the two files leaves it.
    deployment.put(
        "tls/privkey.pem",
        &KeyPair::generate().unwrap().serialize_pem(),
    );

    let report = deployment.run();

    assert_eq!(
        deployment.states(&report)["tls/fullchain.pem"],
        State::Renewed
    );
    let settings = TlsSettings::files(
        deployment.setup.dir.join("tls/fullchain.pem"),
        deployment.setup.dir.join("tls/privkey.pem"),
    );
    Tls::load(&settings).unwrap();
}

#[test]
fn a_certificate_of_your_own_stays_and_needs_no_authority() {
    let deployment = Deployment::new();
    let (chain, key) = own_pair(&["*.example.com"], |_| ());
    deployment.put("tls/fullchain.pem", &chain);
    deployment.put("tls/privkey.pem", &key);

    let report = deployment.run();

    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(deployment.read("tls/fullchain.pem"), chain);
    assert_eq!(deployment.read("tls/privkey.pem"), key);
    assert!(!deployment.setup.dir.join("ca").exists());
    assert!(report.next.iter().all(|step| !step.text.contains("ca.crt")));
}

#[test]
fn a_certificate_of_your_own_stays_beside_an_authority_of_ours() {
    let deployment = Deployment::new();
    deployment.run();
    let (chain, key) = own_pair(&["registry.example.com", "auth.example.com"], |_| ());
    deployment.put("tls/fullchain.pem", &chain);
    deployment.put("tls/privkey.pem", &key);

    deployment.clock.advance(700 * DAY);
    deployment.run();

    assert_eq!(deployment.read("tls/fullchain.pem"), chain);
}

#[test]
fn what_is_wrong_with_a_certificate_of_your_own_is_told() {
    let deployment = Deployment::new();
    let now = deployment.clock.now().timestamp();
    let (chain, key) = own_pair(&["registry.example.com"], |params| {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = epoch + Duration::from_secs(u64::try_from(now).unwrap() + 3600);
    });
    let alone = chain
        .split_inclusive("-----END CERTIFICATE-----\n")
        .next()
        .unwrap();
    deployment.put("tls/fullchain.pem", alone);
    deployment.put("tls/privkey.pem", &key);

    let warnings = deployment.run().warnings;
    for part in [
        "is for registry.example.com, and not for auth.example.com",
        "ends on 2027-01-15",
        "holds no intermediate certificate",
        "tls/fullchain.pem",
    ] {
        assert!(
            warnings.iter().any(|warning| warning.contains(part)),
            "{part}: {warnings:?}"
        );
    }
    deployment.clock.advance(DAY);
    let warnings = deployment.run().warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("has ended on 2027-01-15"))
    );
}

#[test]
fn half_a_pair_is_refused_and_nothing_is_touched() {
    for (present, missing) in [
        ("tls/fullchain.pem", "tls/privkey.pem"),
        ("tls/privkey.pem", "tls/fullchain.pem"),
        ("ca/ca.pem", "ca/ca.key"),
        ("ca/ca.key", "ca/ca.pem"),
    ] {
        let deployment = Deployment::new();
        deployment.put(present, "something");
        let refused = deployment.refused();
        assert!(
            refused.contains(&format!("{present} is there and")),
            "{refused}"
        );
        assert!(refused.contains(&format!("{missing} is not")), "{refused}");
        assert_eq!(deployment.contents().len(), 1);
    }
}

#[test]
fn a_pair_of_your_own_that_no_server_could_use_is_refused() {
    let deployment = Deployment::new();
    let (chain, _) = own_pair(&["*.example.com"], |_| ());
    let (_, stranger) = own_pair(&["*.example.com"], |_| ());
    deployment.put("tls/fullchain.pem", &chain);
    deployment.put("tls/privkey.pem", &stranger);
    assert!(deployment.refused().contains("do not belong together"));

    for nonsense in ["", "nonsense", &stranger] {
        deployment.put("tls/fullchain.pem", nonsense);
        let refused = deployment.refused();
        assert!(refused.contains("tls/fullchain.pem: "), "{refused}");
    }
}

#[test]
fn an_authority_of_your_own_signs_and_its_chain_is_complete() {
    let deployment = Deployment::new();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let mut intermediate = CertificateParams::default();
    intermediate.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let name = rcgen::DnType::CommonName;
    intermediate
        .distinguished_name
        .push(name, "the branch office");
    let key = KeyPair::generate().unwrap();
    let intermediate = intermediate.signed_by(&key, &root).unwrap();
    deployment.put("ca/ca.pem", &(intermediate.pem() + &root.pem()));
    deployment.put("ca/ca.key", &key.serialize_pem());

    deployment.run();

    let chain = deployment.read("tls/fullchain.pem");
    let blocks = authority::pem_blocks(&chain).unwrap();
    assert_eq!(
        blocks.len(),
        2,
        "the servers' and the intermediate, and not the root"
    );
    assert_eq!(blocks[1].contents, intermediate.der().to_vec());
    let leaf = blocks[0].parse_x509().unwrap();
    let signer = blocks[1].parse_x509().unwrap();
    leaf.verify_signature(Some(signer.public_key())).unwrap();
    let before = deployment.contents();
    deployment.run();
    assert_eq!(deployment.contents(), before);
}

#[test]
fn an_authority_that_cannot_sign_is_refused() {
    let (chain, key) = own_pair(&["registry.example.com"], |_| ());
    let deployment = Deployment::new();
    deployment.put("ca/ca.pem", &chain);
    deployment.put("ca/ca.key", &key);
    assert!(deployment.refused().contains("is no authority"));

    deployment.put("ca/ca.key", "nonsense");
    assert!(deployment.refused().contains("no private key in PEM"));

    let made = Deployment::new();
    made.run();
    made.put("ca/ca.key", &KeyPair::generate().unwrap().serialize_pem());
    assert!(made.refused().contains("does not belong to the key"));
}

#[test]
fn secrets_that_somebody_has_put_there_are_used() {
    let deployment = Deployment::new();
    deployment.put("auth/admin-password", "of my own\n");
    deployment.put("postgres/auth-password", "s3cret\n");
    deployment.put(
        "registry/database-url",
        "postgres://me:x@db.example.com/images",
    );

    deployment.run();

    assert_eq!(deployment.read("auth/admin-password"), "of my own\n");
    assert_eq!(
        deployment.read("auth/database-url"),
        "postgres://auth:s3cret@postgres/auth"
    );
    assert_eq!(
        deployment.read("registry/database-url"),
        "postgres://me:x@db.example.com/images"
    );
}

#[test]
fn an_empty_secret_is_refused() {
    let deployment = Deployment::new();
    deployment.put("auth/admin-password", "\n");
    assert!(deployment.refused().contains("admin-password: is empty"));
}

#[test]
fn a_lost_password_is_found_in_the_url_that_was_made_with_it() {
    let deployment = Deployment::new();
    deployment.run();
    let before = deployment.contents();
    deployment.remove("postgres/auth-password");
    deployment.run();
    assert_eq!(deployment.contents(), before);
}

#[test]
fn sqlite_needs_no_passwords() {
    let mut deployment = Deployment::new();
    deployment.setup.database = Database::Sqlite;
    deployment.run();
    assert!(!deployment.setup.dir.join("postgres").exists());
    assert_eq!(
        deployment.read("registry/database-url"),
        "sqlite:/var/lib/registry/registry.sqlite"
    );
    let before = deployment.contents();
    deployment.run();
    assert_eq!(deployment.contents(), before);
}

#[test]
fn records_are_not_left_behind_in_another_database() {
    for (first, second, told) in [
        (Database::Postgres, Database::Sqlite, "than SQLite"),
        (Database::Sqlite, Database::Postgres, "than PostgreSQL"),
    ] {
        let mut deployment = Deployment::new();
        deployment.setup.database = first;
        deployment.run();
        let before = deployment.contents();
        deployment.setup.database = second;
        let refused = deployment.refused();
        assert!(refused.contains(told), "{refused}");
        assert_eq!(deployment.contents(), before);
    }
}

#[test]
fn what_cannot_be_written_or_read_is_told_with_its_path() {
    let mut deployment = Deployment::new();
    // Not a matter of permissions, which root does not notice.
    let file = deployment.folder.path().join("file");
    fs::write(&file, "").unwrap();
    deployment.setup.dir = file.join("setup");
    let refused = deployment.refused();
    assert!(
        refused.contains("cannot write") && refused.contains("file/setup"),
        "{refused}"
    );

    let deployment = Deployment::new();
    fs::create_dir_all(deployment.setup.dir.join("tls/privkey.pem")).unwrap();
    let refused = deployment.refused();
    assert!(
        refused.contains("cannot read") && refused.contains("privkey.pem"),
        "{refused}"
    );

    let deployment = Deployment::new();
    deployment.put("auth", "in the way of a folder");
    let refused = deployment.refused();
    assert!(refused.contains("auth"), "{refused}");
}

#[test]
fn the_two_servers_cannot_have_one_name() {
    let mut deployment = Deployment::new();
    deployment.setup.auth_host = deployment.setup.registry_host.clone();
    let Err(Failure::Usage(reason)) = run(&deployment.setup) else {
        panic!("should be refused");
    };
    assert!(
        reason.contains("both called registry.example.com"),
        "{reason}"
    );
    assert!(!deployment.setup.dir.exists());
}

#[test]
fn the_next_steps_name_the_address_that_clients_use() {
    let mut deployment = Deployment::new();
    let text = |report: Report| {
        report
            .next
            .into_iter()
            .map(|step| step.text)
            .collect::<Vec<_>>()
    };
    let steps = text(deployment.run());
    assert!(steps.contains(&"docker login registry.example.com --username admin".to_owned()));
    deployment.setup.https_port = 8443;
    let steps = text(deployment.run());
    assert!(steps.contains(&"docker login registry.example.com:8443 --username admin".to_owned()));
    assert!(
        steps
            .iter()
            .any(|step| step.contains("certs.d/registry.example.com:8443/ca.crt"))
    );
}
