use registry_token::SigningAlgorithm;

use super::*;
use crate::testing::clock;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn generate() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256, clock().now()).unwrap()
}

fn ids(folder: &KeyFolder) -> Vec<String> {
    let keys = folder.keys().unwrap();
    let mut ids: Vec<String> = keys.iter().map(|file| file.key.key_id()).collect();
    ids.sort();
    ids
}

#[test]
fn keys_are_for_their_owner_and_the_bundle_is_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::new(folder.path().join("data/keys"));
    assert!(keys.keys().unwrap().is_empty(), "no folder, no keys");
    let (one, two) = (generate(), generate());
    assert_eq!(keys.add(&one).unwrap(), keys.path().join("signing.pem"));
    let second = keys.add(&two).unwrap();
    keys.publish("certificates").unwrap();

    assert_eq!(mode(keys.path()), 0o700);
    assert_eq!(mode(&keys.path().join("signing.pem")), 0o600);
    assert_eq!(mode(&second), 0o600);
    assert_eq!(mode(&keys.path().join("bundle.pem")), 0o644);
    let mut expected = [one.key_id(), two.key_id()];
    expected.sort();
    assert_eq!(ids(&keys), expected);
    for file in keys.keys().unwrap() {
        assert_eq!(check_permissions(&file.path).unwrap(), None);
    }
}

#[test]
fn a_key_comes_back_with_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::new(folder.path());
    let key = generate();
    keys.add(&key).unwrap();
    let read = &keys.keys().unwrap()[0].key;
    assert_eq!(read.certificate_pem(), key.certificate_pem());
    assert_eq!(read.to_pem().expose_secret(), key.to_pem().expose_secret());
}

#[test]
fn a_removed_key_is_gone_and_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::new(folder.path());
    let (one, two) = (generate(), generate());
    keys.add(&one).unwrap();
    keys.add(&two).unwrap();
    keys.remove(&one.key_id()).unwrap();
    assert_eq!(ids(&keys), [two.key_id()]);
    keys.remove(&one.key_id()).unwrap();
    // The name of the first is free, but what signs must not change its meaning.
    let three = generate();
    assert_ne!(keys.add(&three).unwrap(), keys.path().join("signing.pem"));
}

#[test]
fn the_bundle_is_written_when_it_changes_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::new(folder.path());
    let path = folder.path().join("bundle.pem");
    let inode = || fs::metadata(&path).unwrap().ino();
    keys.publish("one").unwrap();
    let first = inode();
    keys.publish("one").unwrap();
    assert_eq!(inode(), first);
    keys.publish("two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_ne!(
        inode(),
        first,
        "replaced, not written over: readers see one or the other"
    );
    fs::remove_file(&path).unwrap();
    keys.publish("two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
}

#[test]
fn what_an_interrupted_attempt_left_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let leftover = folder.path().join("signing.new");
    fs::write(&leftover, "half a k").unwrap();
    fs::set_permissions(&leftover, Permissions::from_mode(0o644)).unwrap();
    let keys = KeyFolder::new(folder.path());
    assert!(keys.keys().unwrap().is_empty());
    keys.add(&generate()).unwrap();
    assert!(!leftover.exists());
    assert_eq!(mode(&folder.path().join("signing.pem")), 0o600);
}

#[test]
fn a_key_that_others_can_read_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = KeyFolder::new(folder.path()).add(&generate()).unwrap();
    for (bits, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let warning = check_permissions(&path).unwrap();
        assert_eq!(warning.is_some(), warned, "{bits:o}: {warning:?}");
    }
}

#[test]
fn a_damaged_key_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing-x.pem");
    for text in [
        "",
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        fs::write(&path, text).unwrap();
        let error = KeyFolder::new(folder.path()).keys().unwrap_err();
        assert!(error.to_string().contains("signing-x.pem"), "{error}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let keys = KeyFolder::new(file.join("keys"));
    for error in [
        keys.add(&generate()).unwrap_err(),
        keys.publish("text").unwrap_err(),
    ] {
        assert!(error.to_string().contains("file/keys"), "{error}");
    }
}
