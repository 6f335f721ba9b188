use std::time::Instant;

use super::*;
use crate::auth::htpasswd::FIRST_USER;

const COST: u32 = 4;

fn line(user: &str, password: &str, cost: u32) -> String {
    let hash = bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap();
    format!(
        "{user}:{}\n",
        hash.format_for_version(bcrypt::Version::TwoY)
    )
}

fn credentials(user: &str, password: &str) -> BasicCredentials {
    BasicCredentials {
        username: user.to_owned(),
        password: password.into(),
    }
}

struct Files {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Files {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        std::fs::write(&path, content).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    async fn open(&self) -> Passwords {
        let (passwords, generated) = Passwords::open(&self.path, &Clock::system()).await.unwrap();
        assert!(generated.is_none());
        passwords
    }
}

async fn check(passwords: &Passwords, user: &str, password: &str) -> Result<String, NotKnown> {
    let known = passwords.check(&credentials(user, password)).await;
    known.map(|user| user.name().to_owned())
}

#[tokio::test]
async fn who_is_in_the_file_comes_in() {
    let text = line("alice", "secret", COST) + &line("bob", "other", COST) + "carol:plain\n";
    let passwords = Files::new(&text).open().await;
    assert_eq!(check(&passwords, "alice", "secret").await.unwrap(), "alice");
    assert_eq!(check(&passwords, "bob", "other").await.unwrap(), "bob");
    for (user, password) in [
        ("alice", "other"),
        ("alice", ""),
        ("Alice", "secret"),
        ("nobody", "secret"),
        ("", ""),
        ("carol", "plain"),
    ] {
        let refused = check(&passwords, user, password).await;
        assert_eq!(refused, Err(NotKnown::Wrong), "{user}:{password}");
    }
    let long = "x".repeat(MAX_PASSWORD + 1);
    assert_eq!(
        check(&passwords, "alice", &long).await,
        Err(NotKnown::Wrong)
    );
}

#[tokio::test]
async fn a_right_password_costs_one_comparison_and_a_wrong_one_each_time() {
    let passwords = Files::new(&line("alice", "secret", 9)).open().await;
    let time = async |password: &str| {
        let start = Instant::now();
        let known = check(&passwords, "alice", password).await.is_ok();
        (known, start.elapsed())
    };
    let (_, first) = time("secret").await;
    let (known, second) = time("secret").await;
    assert!(known);
    assert!(second * 5 < first, "{first:?}, then {second:?}");
    let (known, wrong) = time("wrong").await;
    assert!(!known);
    let (_, again) = time("wrong").await;
    assert!(again * 5 > wrong, "{wrong:?}, then {again:?}");
}

/// That this process has used, on all its threads.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap()
}

#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let passwords = Files::new(&line("alice", "secret", 9)).open().await;
    // Of the processor: others use this machine, too.
    let time = async |user: &str| {
        let start = processor_time();
        for _ in 0..3 {
            check(&passwords, user, "wrong").await.unwrap_err();
        }
        processor_time().checked_sub(start).unwrap()
    };
    let (known, unknown) = (time("alice").await, time("nobody").await);
    assert!(
        unknown * 2 > known && known * 2 > unknown,
        "{known:?} {unknown:?}"
    );
}

#[tokio::test]
async fn a_changed_line_takes_effect_though_the_password_is_remembered() {
    let files = Files::new(&line("alice", "secret", COST));
    let passwords = files.open().await;
    check(&passwords, "alice", "secret").await.unwrap();
    assert!(!passwords.reload().unwrap(), "nothing has changed");

    std::fs::write(&files.path, line("alice", "new", COST)).unwrap();
    assert!(passwords.reload().unwrap());
    assert_eq!(
        check(&passwords, "alice", "secret").await,
        Err(NotKnown::Wrong)
    );
    check(&passwords, "alice", "new").await.unwrap();

    std::fs::write(&files.path, "damaged").unwrap();
    assert!(matches!(
        passwords.reload(),
        Err(HtpasswdError::Malformed(1))
    ));
    check(&passwords, "alice", "new").await.unwrap();

    std::fs::write(&files.path, "").unwrap();
    assert!(passwords.reload().unwrap());
    assert_eq!(
        check(&passwords, "alice", "new").await,
        Err(NotKnown::Wrong)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_once_are_turned_away_and_the_rest_answered() {
    let passwords = Files::new(&line("alice", "secret", 8)).open().await;
    let checks = (0..QUEUE * 2).map(|number| {
        let passwords = passwords.clone();
        tokio::spawn(async move { check(&passwords, "alice", &format!("wrong {number}")).await })
    });
    let checks: Vec<_> = checks.collect();
    let mut answers = Vec::new();
    for check in checks {
        answers.push(check.await.unwrap().unwrap_err());
    }
    let busy = answers.iter().filter(|answer| **answer == NotKnown::Busy);
    let busy = busy.count();
    assert!(busy > 0 && busy < answers.len(), "{busy}");
    check(&passwords, "alice", "secret").await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_missing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    let clock = Clock::system();
    let (passwords, generated) = Passwords::open(&path, &clock).await.unwrap();
    let generated = generated.unwrap();
    let known = check(&passwords, FIRST_USER, generated.expose_secret()).await;
    assert_eq!(known.unwrap(), "docker");
    let (_, again) = Passwords::open(&path, &clock).await.unwrap();
    assert!(again.is_none());
}

#[tokio::test]
async fn a_file_that_is_none_is_named_with_its_line() {
    let files = Files::new("# users\nalice\n");
    let error = Passwords::open(&files.path, &Clock::system())
        .await
        .unwrap_err()
        .to_string();
    for part in ["auth.htpasswd.path", "htpasswd", "line 2"] {
        assert!(error.contains(part), "{error}");
    }
}
