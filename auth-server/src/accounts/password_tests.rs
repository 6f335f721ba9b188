use std::str::FromStr as _;

use super::*;

const CHEAP: HashCost = HashCost {
    memory: 8,
    iterations: 1,
    parallelism: 1,
};
const POLICY: PasswordPolicy = PasswordPolicy { minimum_length: 12 };

fn check(password: &str) -> Result<NewPassword, WeakPassword> {
    NewPassword::check(
        password.into(),
        &Username::from_str("a-long-username").unwrap(),
        POLICY,
    )
}

#[test]
fn weak_passwords_are_refused() {
    assert_eq!(
        check("elevenchars").unwrap_err(),
        WeakPassword::TooShort(12)
    );
    assert_eq!(
        check(&"x".repeat(MAX_LENGTH + 1)).unwrap_err(),
        WeakPassword::TooLong
    );
    assert_eq!(
        check("twelve\nand more").unwrap_err(),
        WeakPassword::ControlCharacter
    );
    assert_eq!(
        check("A-Long-Username").unwrap_err(),
        WeakPassword::Username
    );
    assert!(check("twelve chars").is_ok());
    // Twelve characters, not bytes.
    assert!(check("äöüßéèçñåøœæ").is_ok());
    assert_eq!(check("äöüäöü").unwrap_err(), WeakPassword::TooShort(12));
}

#[tokio::test]
async fn a_hash_verifies_its_password_alone() {
    let clock = Clock::system();
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    let password = "correct: horse battery";
    let hash = passwords
        .hash(check(password).unwrap(), &clock)
        .await
        .unwrap();
    assert!(
        hash.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
        "{}",
        hash.0
    );
    assert!(!format!("{hash:?}").contains("argon2id"));
    let verify = async |text: &str| {
        passwords
            .verify(Some(&hash), text.into(), &clock)
            .await
            .unwrap()
    };
    assert_eq!(verify(password).await, Verdict::Right);
    let huge = "x".repeat(MAX_LENGTH + 1);
    for wrong in ["", "correct", "correct: horse batterz", &huge] {
        assert_eq!(verify(wrong).await, Verdict::Wrong);
    }
}

#[test]
fn common_passwords_are_refused() {
    for common in [
        "password1234",
        "passwordpassword",
        "123456789012",
        "qwertyuiop12",
        "aaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "iloveyou1234",
        "administrator1",
        "a-long-username1",
        "Password123!",
    ] {
        assert_eq!(check(common).unwrap_err(), WeakPassword::Common, "{common}");
    }
    for good in [
        "correct: horse",
        "battery: staple",
        "the admin's password",
        "a good password",
        "4fb6a0c19e27d8354fb6a0c19e27d835",
    ] {
        assert!(check(good).is_ok(), "{good}");
    }
    for prefix in TokenPrefix::ALL {
        let token = format!("{}correct: horse", prefix.as_str());
        assert_eq!(check(&token).unwrap_err(), WeakPassword::Token);
    }
}

#[tokio::test]
async fn hashes_that_were_made_otherwise_verify_and_are_made_anew() {
    let clock = Clock::system();
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    let other = HashCost {
        iterations: 2,
        ..CHEAP
    };
    let password = "correct: horse battery";
    let older = Passwords::new(other, 1, 1, &clock).unwrap();
    let older = older.hash(check(password).unwrap(), &clock).await.unwrap();
    // By `htpasswd -nbB -C 5` and by two other tools.
    let parts = bcrypt::hash_with_result(password, 4).unwrap();
    let by_bcrypt = [
        bcrypt::Version::TwoA,
        bcrypt::Version::TwoB,
        bcrypt::Version::TwoY,
    ]
    .map(|version| PasswordHash(parts.format_for_version(version)));
    for stored in [older].iter().chain(&by_bcrypt) {
        let wrong = passwords.verify(Some(stored), "wrong".into(), &clock).await;
        assert_eq!(wrong.unwrap(), Verdict::Wrong);
        let verdict = passwords
            .verify(Some(stored), password.into(), &clock)
            .await;
        let Verdict::Outdated(new) = verdict.unwrap() else {
            panic!("{} is not current", stored.0);
        };
        assert!(
            new.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{}",
            new.0
        );
        let verdict = passwords.verify(Some(&new), password.into(), &clock).await;
        assert_eq!(verdict.unwrap(), Verdict::Right);
    }
}

#[tokio::test]
async fn bcrypt_counts_72_bytes_and_what_replaces_it_counts_all() {
    let clock = Clock::system();
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    let password = "x".repeat(80);
    let stored = PasswordHash::bcrypt(&bcrypt::hash_with_result(&password, 4).unwrap());
    let short = &password[..72];
    for same in [password.as_str(), short] {
        let verdict = passwords.verify(Some(&stored), same.into(), &clock).await;
        assert!(matches!(verdict, Ok(Verdict::Outdated(_))), "{verdict:?}");
    }
    let verdict = passwords
        .verify(Some(&stored), password[..71].into(), &clock)
        .await;
    assert_eq!(verdict.unwrap(), Verdict::Wrong);
    let verdict = passwords
        .verify(Some(&stored), password.into(), &clock)
        .await;
    let Ok(Verdict::Outdated(new)) = verdict else {
        panic!("{verdict:?}");
    };
    let verdict = passwords
        .verify(Some(&new), "x".repeat(72).into(), &clock)
        .await;
    assert_eq!(verdict.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn a_refusal_takes_as_long_as_the_costliest_one() {
    let clock = Clock::system();
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    assert_eq!(
        passwords.rest_of_refusal(Duration::from_millis(1)),
        Duration::ZERO
    );
    assert_eq!(
        passwords.rest_of_refusal(Duration::from_millis(80)),
        Duration::ZERO
    );
    let rest = passwords.rest_of_refusal(Duration::from_millis(5));
    assert_eq!(rest, Duration::from_millis(75));
    let rest = passwords.rest_of_refusal(Duration::from_secs(100));
    assert_eq!(rest, Duration::ZERO);
    // But nobody waits for ever.
    let rest = passwords.rest_of_refusal(Duration::from_millis(400));
    assert_eq!(rest, Duration::from_millis(600));

    // bcrypt of this cost takes some milliseconds, the decoy next to nothing.
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    let slow = PasswordHash::bcrypt(&bcrypt::hash_with_result("password", 7).unwrap());
    passwords
        .verify(Some(&slow), "wrong".into(), &clock)
        .await
        .unwrap();
    let used = Duration::from_micros(passwords.0.refusal.load(Ordering::Relaxed));
    assert!(used > Duration::from_millis(1), "{used:?}");
    let start = tokio::time::Instant::now();
    passwords
        .verify(None, "wrong".into(), &clock)
        .await
        .unwrap();
    assert!(start.elapsed() >= used, "{:?} of {used:?}", start.elapsed());
}

#[tokio::test]
async fn nobody_knows_the_password_of_nobody() {
    let clock = Clock::system();
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    for guess in ["", "guess"] {
        let verdict = passwords.verify(None, guess.into(), &clock).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong);
    }
    // The decoy costs what a real hash does: the same parameters stand in it.
    assert!(
        passwords
            .0
            .decoy
            .0
            .starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
        "{}",
        passwords.0.decoy.0
    );
}

#[tokio::test]
async fn a_stored_text_that_is_no_hash_is_an_error_and_not_a_match() {
    let clock = Clock::system();
    let passwords = Passwords::new(CHEAP, 1, 1, &clock).unwrap();
    for stored in ["", "guess", "$argon2id$", "$2y$", "$2y$05$short"] {
        let stored = PasswordHash(stored.to_owned());
        let result = passwords
            .verify(Some(&stored), "guess".into(), &clock)
            .await;
        let refused = matches!(
            result,
            Err(PasswordError::Hash(_) | PasswordError::Bcrypt(_))
        );
        assert!(refused, "{result:?}");
    }
}

#[tokio::test]
async fn who_finds_the_queue_full_is_turned_away() {
    let passwords = Passwords::new(CHEAP, 1, 1, &Clock::system()).unwrap();
    // One runs (as far as anybody can tell), one may wait.
    let running = passwords.0.running.clone().acquire_owned().await.unwrap();
    let admitted = passwords.0.admitted.clone().acquire_owned().await.unwrap();
    let waiting = tokio::spawn({
        let passwords = passwords.clone();
        async move {
            passwords
                .verify(None, "guess".into(), &Clock::system())
                .await
        }
    });
    while passwords.0.admitted.available_permits() > 0 {
        tokio::task::yield_now().await;
    }

    let refused = passwords
        .verify(None, "guess".into(), &Clock::system())
        .await;
    assert!(
        matches!(refused, Err(PasswordError::Busy { .. })),
        "{refused:?}"
    );

    drop((running, admitted));
    assert_eq!(waiting.await.unwrap().unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_place() {
    let passwords = Passwords::new(CHEAP, 1, 1, &Clock::system()).unwrap();
    let running = passwords.0.running.clone().acquire_owned().await.unwrap();
    let waiting = tokio::spawn({
        let passwords = passwords.clone();
        async move {
            passwords
                .verify(None, "guess".into(), &Clock::system())
                .await
        }
    });
    while passwords.0.admitted.available_permits() > 1 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    let _ = waiting.await;
    assert_eq!(passwords.0.admitted.available_permits(), 2);
    drop(running);
}

#[test]
fn impossible_costs_are_refused() {
    let cost = HashCost { memory: 1, ..CHEAP };
    assert!(cost.check().is_err());
    assert!(CHEAP.check().is_ok());
}
