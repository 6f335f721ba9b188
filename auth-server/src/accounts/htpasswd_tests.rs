use proptest::prelude::*;

use super::*;
use crate::accounts::Visibility;
use crate::accounts::login::{LoginError, Logins};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{THROTTLE, World, context, name, passwords};

fn bcrypt(password: &str) -> String {
    let parts = bcrypt::hash_with_result(password, 4).unwrap();
    parts.format_for_version(bcrypt::Version::TwoY)
}

fn reasons(text: &[u8]) -> Vec<(usize, String)> {
    Htpasswd::parse(text)
        .problems
        .into_iter()
        .map(|problem| (problem.line, problem.reason))
        .collect()
}

#[test]
fn bcrypt_alone_is_taken_over_and_the_rest_is_told_by_line() {
    let good = bcrypt("password");
    let expensive = good.replace("$04$", "$16$");
    let file = format!(
        "# users\r\n\
         alice:{good}\r\n\
         \n\
         bob:{good}:and a comment\n\
         carol:$apr1$x2Kq8cQY$K0Y4G9dGp5EoUuOq9G3rD/\n\
         dave:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n\
         erin:$6$salt$hash\n\
         frank:rqXexS6ZhobKA\n\
         grace:{short}\n\
         heidi:{expensive}\n\
         Ivan:{good}\n\
         judy\n\
         mallory/x:{good}\n\
         alice:{good}\n\
         niaj:$2x$05$abc\n\
         $2y$05$\n",
        short = &good[..40],
    );
    let parsed = Htpasswd::parse(file.as_bytes());
    let names: Vec<_> = parsed
        .entries
        .iter()
        .map(|entry| (entry.line, entry.username.as_str()))
        .collect();
    assert_eq!(names, [(2, "alice"), (4, "bob")]);
    let reasons = reasons(file.as_bytes());
    let expected = [
        (5, "MD5"),
        (6, "SHA-1"),
        (7, "SHA-2"),
        (8, "crypt"),
        (9, "damaged"),
        (10, "the cost 16"),
        (11, "`ivan` would do"),
        (12, "not name:hash"),
        (13, "lower-case"),
        (14, "line 2 already"),
        (15, "$2x$"),
        (16, "not name:hash"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for ((line, reason), (expected, words)) in reasons.iter().zip(expected) {
        assert_eq!(*line, expected, "{reason}");
        assert!(reason.contains(words), "{line}: {reason}");
    }
    // A line without a colon may be a password.
    assert!(
        parsed
            .problems
            .iter()
            .all(|problem| problem.name.as_deref() != Some("judy"))
    );
    assert_eq!(self::reasons(b"\xff:x")[0].0, 1);
}

async fn logs_in(context: &Context, username: &str, password: &str) -> bool {
    let logins = Logins::new(passwords(), THROTTLE, &context.clock);
    match logins
        .with_password(context, username, password.into())
        .await
    {
        Ok(_) => true,
        Err(LoginError::WrongCredentials) => false,
        Err(error) => panic!("{error}"),
    }
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn users_are_made_once_and_log_in_with_their_old_password(database: Database) {
        let world = World(context(&database));
        let context = &world.0;
        world.project("team", Visibility::Private).await;
        let text = |password: &str| {
            format!(
                "alice:{}\nbob:{}\nteam:{}\ncarol:x\n",
                bcrypt(password),
                bcrypt("bob's password"),
                bcrypt("any")
            )
        };
        let run = async |password: &str, dry_run, replace_passwords| {
            let file = Htpasswd::parse(text(password).as_bytes());
            let options = ImportOptions { dry_run, replace_passwords };
            import(context, file, options).await.unwrap()
        };
        let both = vec![name("alice"), name("bob")];

        let dry = run("alice's password", true, false).await;
        assert_eq!(dry.created, both);
        assert!(user::find(&database, &name("alice")).await.unwrap().is_none());
        let report = run("alice's password", false, false).await;
        assert_eq!(report, dry, "the dry run tells what the other does");
        let lines: Vec<_> = report.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 4]);
        assert!(report.problems[0].reason.contains("is taken"), "{:?}", report.problems);
        assert!(logs_in(context, "alice", "alice's password").await);
        assert!(logs_in(context, "bob", "bob's password").await);
        assert!(!logs_in(context, "bob", "alice's password").await);
        // Their hashes are ours now.
        let mut tx = database.read().await.unwrap();
        let (left,) = database::sql!(
            &mut tx,
            fetch_one(i64,),
            "SELECT count(*) FROM users WHERE password_hash LIKE '$2%'"
        )
        .unwrap();
        drop(tx);
        assert_eq!(left, 0);

        let again = run("another password", false, false).await;
        assert_eq!((again.created, again.untouched), (vec![], both.clone()));
        assert!(logs_in(context, "alice", "alice's password").await);
        let dry = run("another password", true, true).await;
        assert_eq!(dry.replaced, both);
        assert!(logs_in(context, "alice", "alice's password").await);
        let replaced = run("another password", false, true).await;
        assert_eq!(replaced, dry);
        assert!(!logs_in(context, "alice", "alice's password").await);
        assert!(logs_in(context, "alice", "another password").await);

        let events = world.audited().await;
        let of_alice: Vec<_> =
            events.iter().filter(|event| event.ends_with(" alice")).map(String::as_str).collect();
        assert_eq!(of_alice[0], "user.create alice");
        assert!(of_alice.contains(&"user.set_password alice"), "{of_alice:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let parsed = Htpasswd::parse(&bytes);
        let lines = bytes.split(|byte| *byte == b'\n').count();
        prop_assert!(parsed.entries.len() + parsed.problems.len() <= lines);
    }

    #[test]
    fn hashes_that_look_right_are_read_or_refused(rest in "[$./A-Za-z0-9]{0,60}") {
        let _ = Htpasswd::parse(format!("alice:$2y${rest}").as_bytes());
    }
}
