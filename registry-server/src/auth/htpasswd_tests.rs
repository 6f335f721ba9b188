use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

/// Of `htpasswd -nbB -C 4 alice secret`, written down.
const ALICE: &str = "$2y$04$bhcOjjHvHcPAWHqYIGrYwuzVlXJFZ4Ln6f3ZZJAq7Bs7fQWdfRkoS";

fn bcrypt_of(password: &str, cost: u32) -> String {
    let hash = bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap();
    hash.format_for_version(bcrypt::Version::TwoY)
}

fn problems(file: &Htpasswd) -> Vec<(usize, &str, &Problem)> {
    let notes = file.notes().iter();
    notes
        .map(|note| (note.line, note.user.as_str(), &note.problem))
        .collect()
}

#[test]
fn users_comments_and_empty_lines_are_read() {
    let hash = bcrypt_of("secret", 4);
    let text = format!("# staff\n\nalice:{hash}\r\n  bob:{hash}:Bob's comment\n");
    let file = Htpasswd::parse(text.as_bytes()).unwrap();
    assert_eq!(file.count(), 2);
    for user in ["alice", "bob"] {
        let hash = file.hash_of(user).unwrap();
        assert!(hash.is_of(&"secret".into()));
        assert!(!hash.is_of(&"Secret".into()));
    }
    assert!(file.hash_of("carol").is_none());
    assert!(file.notes().is_empty());
}

#[test]
fn all_versions_of_bcrypt_are_read() {
    let hash = bcrypt_of("secret", 4);
    for version in ["$2a$", "$2b$", "$2y$"] {
        let text = format!("alice:{}", hash.replace("$2y$", version));
        let file = Htpasswd::parse(text.as_bytes()).unwrap();
        assert!(file.hash_of("alice").unwrap().is_of(&"secret".into()));
    }
    assert_eq!(check(ALICE), Ok(()));
}

#[test]
fn other_hashes_let_nobody_in_and_are_named() {
    let text = "a:$apr1$Zt8o9$Vj1YxM8\nb:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nc:$6$salt$hash\n\
                d:plain\ne:$2y$10$short\nf:$2x$04$abc\n";
    let file = Htpasswd::parse(text.as_bytes()).unwrap();
    assert_eq!(file.count(), 0);
    assert_eq!(
        problems(&file),
        [
            (1, "a", &Problem::Form("MD5")),
            (2, "b", &Problem::Form("SHA-1")),
            (3, "c", &Problem::Form("SHA-2 (crypt)")),
            (4, "d", &Problem::Form("crypt, or not at all")),
            (5, "e", &Problem::Damaged),
            (6, "f", &Problem::Form("a faulty version of bcrypt ($2x$)")),
        ]
    );
}

#[test]
fn a_cost_that_would_stop_the_server_is_refused() {
    let text = format!("a:{}", ALICE.replace("$04$", "$31$"));
    let file = Htpasswd::parse(text.as_bytes()).unwrap();
    assert_eq!(problems(&file), [(1, "a", &Problem::Cost(31))]);
}

#[test]
fn the_last_line_of_a_name_counts() {
    let (old, new) = (bcrypt_of("old", 4), bcrypt_of("new", 4));
    let text = format!("a:{old}\na:{new}\n");
    let file = Htpasswd::parse(text.as_bytes()).unwrap();
    assert!(file.hash_of("a").unwrap().is_of(&"new".into()));
    assert_eq!(problems(&file), [(2, "a", &Problem::Twice)]);

    let text = format!("a:{old}\na:plain\n");
    let file = Htpasswd::parse(text.as_bytes()).unwrap();
    assert!(file.hash_of("a").is_none(), "the old password still opens");
}

#[test]
fn what_is_no_such_file_is_refused_with_the_line_and_without_its_content() {
    for (text, line) in [
        ("hunter2\n", 1),
        ("# fine\n\nalice\n", 3),
        (":hash\n", 1),
        ("alice:\n", 1),
    ] {
        let error = Htpasswd::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, HtpasswdError::Malformed(number) if number == line));
        assert!(!error.to_string().contains("hunter2"));
    }
    let error = Htpasswd::parse(b"a:b\n\xff:c\n").unwrap_err();
    assert!(matches!(error, HtpasswdError::NotUtf8(2)), "{error}");
    let missing = Htpasswd::content(Path::new("/missing/htpasswd")).unwrap_err();
    assert!(matches!(missing, HtpasswdError::Unreadable(_)));
}

#[test]
fn a_decoy_costs_as_much_as_the_dearest_password() {
    let text = format!("a:{}\nb:{}\n", bcrypt_of("x", 4), bcrypt_of("x", 6));
    let file = Htpasswd::parse(text.as_bytes()).unwrap();
    assert_eq!(&file.decoy(), file.hash_of("b").unwrap());
    let nobody = Htpasswd::default().decoy();
    assert_eq!(
        check(std::str::from_utf8(nobody.as_bytes()).unwrap()),
        Ok(())
    );
    assert!(!nobody.is_of(&"".into()));
}

#[test]
fn a_file_that_is_made_lets_its_user_in_and_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth/htpasswd");
    let password = Htpasswd::provision(&path, &Clock::system()).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let parent = path.parent().unwrap().metadata().unwrap();
    assert_eq!(parent.permissions().mode() & 0o777, 0o700);
    let file = Htpasswd::parse(&Htpasswd::content(&path).unwrap()).unwrap();
    assert!(file.hash_of(FIRST_USER).unwrap().is_of(&password));
    assert!(password.expose_secret().len() >= 40);

    let again = Htpasswd::provision(&path, &Clock::system()).unwrap_err();
    assert!(matches!(again, HtpasswdError::Unwritable(_)), "overwritten");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(file) = Htpasswd::parse(&bytes) {
            prop_assert!(file.count() <= bytes.len());
        }
    }

    #[test]
    fn every_name_without_a_colon_is_found(name in "[^:\\s#\\x00-\\x1f][^:\\s]{0,30}") {
        let text = format!("{name}:{ALICE}\n");
        let file = Htpasswd::parse(text.as_bytes()).unwrap();
        prop_assert!(file.hash_of(&name).is_some());
    }
}
