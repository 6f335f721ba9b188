use std::str::FromStr as _;

use registry_token::TrustedKeys;

use super::*;
use crate::testing::clock;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn folder_source(path: &Path) -> KeySource {
    KeySource::Folder {
        path: path.to_owned(),
        algorithm: SigningAlgorithm::Es256,
    }
}

fn load_now(source: &KeySource) -> Result<LoadedKey, KeyError> {
    load(source, clock().now())
}

#[test]
fn the_first_start_makes_a_private_key_and_a_public_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("data/keys");
    let loaded = load_now(&folder_source(&keys)).unwrap();
    assert!(loaded.generated);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("signing.pem")), 0o600);
    assert_eq!(mode(&keys.join("bundle.pem")), 0o644);

    let bundle = fs::read_to_string(keys.join("bundle.pem")).unwrap();
    assert!(!bundle.contains("PRIVATE"), "the bundle is for others");
    let trusted = TrustedKeys::from_bundle_pem(bundle.as_bytes()).unwrap();
    assert_eq!(trusted.len(), 1);
}

#[test]
fn the_second_start_finds_the_key_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder_source(folder.path());
    let first = load_now(&source).unwrap();
    let files = || {
        let mut files: Vec<(PathBuf, std::time::SystemTime)> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path(), entry.metadata().unwrap().modified().unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let before = files();
    let second = load_now(&source).unwrap();
    assert!(!second.generated);
    assert_eq!(second.key.key_id(), first.key.key_id());
    assert_eq!(second.key.certificate_pem(), first.key.certificate_pem());
    assert_eq!(files(), before);
}

#[test]
fn of_many_that_start_at_once_all_have_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder_source(&folder.path().join("keys"));
    let started = std::sync::Barrier::new(8);
    let mut loaded: Vec<(String, bool)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    started.wait();
                    let loaded = load_now(&source).unwrap();
                    (loaded.key.key_id(), loaded.generated)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(loaded.iter().filter(|(_, generated)| *generated).count(), 1);
    loaded.dedup_by(|one, two| one.0 == two.0);
    assert_eq!(loaded.len(), 1);
}

#[test]
fn what_an_interrupted_start_left_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let leftover = folder.path().join("signing.new");
    fs::write(&leftover, "half a k").unwrap();
    fs::set_permissions(&leftover, Permissions::from_mode(0o644)).unwrap();
    assert!(load_now(&folder_source(folder.path())).unwrap().generated);
    assert!(!leftover.exists());
    assert_eq!(mode(&folder.path().join("signing.pem")), 0o600);
}

#[test]
fn a_lost_or_changed_bundle_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder_source(folder.path());
    let key = load_now(&source).unwrap().key;
    let bundle = folder.path().join("bundle.pem");
    for damage in [None, Some("")] {
        match damage {
            None => fs::remove_file(&bundle).unwrap(),
            Some(text) => fs::write(&bundle, text).unwrap(),
        }
        load_now(&source).unwrap();
        assert_eq!(fs::read_to_string(&bundle).unwrap(), key.certificate_pem());
    }
}

#[test]
fn a_key_that_others_can_read_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder_source(folder.path());
    load_now(&source).unwrap();
    let path = folder.path().join("signing.pem");
    for (bits, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let warnings = load_now(&source).unwrap().warnings;
        assert_eq!(!warnings.is_empty(), warned, "{bits:o}: {warnings:?}");
    }
}

#[test]
fn a_certificate_outside_its_dates_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder_source(folder.path());
    let now = clock().now();
    load(&source, now).unwrap();
    for (days, words) in [(-1, "check the clock"), (3_651, "has ended")] {
        let warnings = load(&source, now + chrono::TimeDelta::days(days))
            .unwrap()
            .warnings;
        assert!(warnings[0].contains(words), "{warnings:?}");
    }
}

#[test]
fn a_damaged_key_is_an_error_and_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    for text in [
        "",
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        fs::write(&path, text).unwrap();
        let error = load_now(&folder_source(folder.path())).unwrap_err();
        assert!(error.to_string().contains("signing.pem"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = load_now(&folder_source(&file.join("keys"))).unwrap_err();
    assert!(error.to_string().contains("file/keys"), "{error}");
}

fn mounted(folder: &Path, key: &str, certificate: &str) -> KeySource {
    let (key_path, certificate_path) = (folder.join("key.pem"), folder.join("cert.pem"));
    fs::write(&key_path, key).unwrap();
    fs::set_permissions(&key_path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&certificate_path, certificate).unwrap();
    KeySource::Mounted {
        key: key_path,
        certificate: certificate_path,
        folder: Some(folder.join("keys")),
    }
}

#[test]
fn a_mounted_pair_of_either_kind_works_and_its_certificate_is_published() {
    for algorithm in ["ES256", "RS256"] {
        let algorithm: SigningAlgorithm = serde_json::from_value(algorithm.into()).unwrap();
        let made = SigningKey::generate(algorithm, clock().now()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificate = made.certificate_pem();
        let source = mounted(folder.path(), made.to_pem().expose_secret(), &certificate);
        let loaded = load_now(&source).unwrap();
        assert!(!loaded.generated);
        assert_eq!(loaded.key.algorithm(), algorithm);
        assert_eq!(loaded.key.key_id(), made.key_id());
        let bundle = fs::read_to_string(folder.path().join("keys/bundle.pem")).unwrap();
        assert_eq!(bundle, certificate);
        assert!(!folder.path().join("keys/signing.pem").exists());
    }
}

#[test]
fn a_mounted_pair_that_does_not_fit_is_refused_by_the_file_at_fault() {
    let now = clock().now();
    let one = SigningKey::generate(SigningAlgorithm::Es256, now).unwrap();
    let other = SigningKey::generate(SigningAlgorithm::Es256, now).unwrap();
    let (key, certificate) = (one.to_pem().expose_secret(), one.certificate_pem());
    let folder = tempfile::tempdir().unwrap();
    for (key, certificate, at_fault) in [
        (key, other.certificate_pem().as_str(), "cert.pem"),
        (key, "", "cert.pem"),
        ("", certificate.as_str(), "key.pem"),
        (certificate.as_str(), certificate.as_str(), "key.pem"),
    ] {
        let error = load_now(&mounted(folder.path(), key, certificate)).unwrap_err();
        assert!(error.to_string().contains(at_fault), "{error}");
    }
    let missing = KeySource::Mounted {
        key: PathBuf::from_str("/nowhere/key.pem").unwrap(),
        certificate: PathBuf::from_str("/nowhere/cert.pem").unwrap(),
        folder: None,
    };
    let error = load_now(&missing).unwrap_err();
    assert!(error.to_string().contains("/nowhere/key.pem"), "{error}");
}
