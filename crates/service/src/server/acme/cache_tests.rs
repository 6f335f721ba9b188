use std::os::unix::fs::PermissionsExt;

use super::*;

const DIRECTORY: &str = "https://ca.test/dir";

fn issued(chain: &str) -> Content {
    Content {
        directory: DIRECTORY.to_owned(),
        account: None,
        certificate: Some(Issued {
            chain: chain.to_owned(),
            key: SecretString::from("the key"),
        }),
    }
}

#[test]
fn what_is_written_is_there_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    std::fs::write(&path, "{\"directory\":\"\"}").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let cache = Cache::open(&path).unwrap();
    assert!(cache.read(DIRECTORY).unwrap().certificate.is_none());

    cache.write(&issued("the chain")).unwrap();

    let read = cache.read(DIRECTORY).unwrap().certificate.unwrap();
    assert_eq!(read.chain, "the chain");
    assert_eq!(read.key.expose_secret(), "the key");
    assert!(!format!("{read:?}").contains("the key"));
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn what_another_authority_issued_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    cache.write(&issued("staging")).unwrap();
    let content = cache.read("https://other.test/dir").unwrap();
    assert_eq!(content.directory, "https://other.test/dir");
    assert!(content.certificate.is_none());
}

#[test]
fn distributions_directory_becomes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme_account+key"), "theirs").unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    cache.write(&issued("ours")).unwrap();
    assert_eq!(cache.path(), folder.path().join("portcullis.json"));
    assert_eq!(folder.path().read_dir().unwrap().count(), 2);
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for text in ["", "-----BEGIN PRIVATE KEY-----", "{}", "{\"directory\":1}"] {
        std::fs::write(&path, text).unwrap();
        let error = Cache::open(&path).unwrap().read(DIRECTORY).err().unwrap();
        let error = error.to_string();
        assert!(error.contains("key.pem is no cache"), "{text}: {error}");
        assert!(!error.contains("PRIVATE"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn where_nothing_can_be_kept_nothing_is_ordered() {
    let error = Cache::open(Path::new("/nonexistent/cache")).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("cannot write /nonexistent/cache"),
        "{error}"
    );
    assert!(error.contains("outlives the process"), "{error}");
}

#[test]
fn a_disk_that_cannot_be_written_any_more_is_told_from_one_that_never_could() {
    let cache = Cache {
        path: PathBuf::from("/cache"),
    };
    for (kind, may_start) in [
        (io::ErrorKind::ReadOnlyFilesystem, true),
        (io::ErrorKind::StorageFull, true),
        (io::ErrorKind::PermissionDenied, false),
        (io::ErrorKind::NotFound, false),
    ] {
        let error = cache.unwritable(kind.into());
        assert_eq!(error.is_about_the_disk(), may_start, "{error}");
    }
}

#[test]
fn a_name_alone_is_in_the_current_folder() {
    let cache = Cache {
        path: PathBuf::from("cache"),
    };
    assert_eq!(cache.folder(), Path::new("."));
}
