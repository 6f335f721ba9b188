use std::time::Duration;

use super::*;
use crate::accounts::user;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, context_at, hash, name, new_user, passwords, set_disabled};

const PASSWORD: &str = "correct: horse";

async fn alice(database: &Database, clock: &Clock) {
    let mut new = new_user("alice");
    new.password = Some(hash(PASSWORD).await);
    user::create(&context_at(database, clock), new)
        .await
        .unwrap();
}

async fn login(
    database: &Database,
    clock: &Clock,
    username: &str,
    password: &str,
) -> Result<Login, LoginError> {
    with_password(database, clock, &passwords(), username, password.into()).await
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn the_right_password_lets_in(database: Database) {
        let clock = clock();
        alice(&database, &clock).await;
        let login = login(&database, &clock, "alice", PASSWORD).await.unwrap();
        assert_eq!(login.user.username, name("alice"));
    }

    async fn all_else_is_the_same_wrong(database: Database) {
        let clock = clock();
        alice(&database, &clock).await;
        // Without a password.
        user::create(&context_at(&database, &clock), new_user("bob")).await.unwrap();
        for (username, password) in [
            ("alice", "wrong: horse"),
            ("alice", ""),
            ("bob", ""),
            ("bob", PASSWORD),
            ("nobody", PASSWORD),
            ("Alice", PASSWORD),
            ("alice\0", PASSWORD),
            ("", ""),
        ] {
            let error = login(&database, &clock, username, password).await.unwrap_err();
            assert!(matches!(error, LoginError::WrongCredentials), "{username}: {error:?}");
        }
    }

    async fn who_is_disabled_learns_it_with_the_right_password_alone(database: Database) {
        let clock = clock();
        alice(&database, &clock).await;
        set_disabled(&context_at(&database, &clock), "alice", true).await;
        let error = login(&database, &clock, "alice", PASSWORD).await.unwrap_err();
        assert!(matches!(error, LoginError::Disabled), "{error:?}");
        let error = login(&database, &clock, "alice", "wrong: horse").await.unwrap_err();
        assert!(matches!(error, LoginError::WrongCredentials), "{error:?}");
    }

    async fn a_new_password_replaces_the_old(database: Database) {
        let clock = clock();
        alice(&database, &clock).await;
        let new = hash("battery: staple").await;
        user::set_password(&context_at(&database, &clock), &name("alice"), &new).await.unwrap();
        login(&database, &clock, "alice", "battery: staple").await.unwrap();
        let error = login(&database, &clock, "alice", PASSWORD).await.unwrap_err();
        assert!(matches!(error, LoginError::WrongCredentials), "{error:?}");
    }

    async fn the_last_login_is_kept_to_the_minute(database: Database) {
        let clock = clock();
        alice(&database, &clock).await;
        let last = async || {
            user::find(&database, &name("alice")).await.unwrap().unwrap().last_login_at
        };
        assert_eq!(last().await, None);
        let first = clock.now();
        login(&database, &clock, "alice", PASSWORD).await.unwrap();
        assert_eq!(last().await, Some(first));
        clock.advance(Duration::from_secs(59));
        login(&database, &clock, "alice", PASSWORD).await.unwrap();
        assert_eq!(last().await, Some(first));
        clock.advance(Duration::from_secs(1));
        login(&database, &clock, "alice", PASSWORD).await.unwrap();
        assert_eq!(last().await, Some(clock.now()));
    }

    async fn without_a_database_nobody_gets_in_and_nothing_panics(database: Database) {
        database.close().await;
        let error = login(&database, &clock(), "alice", PASSWORD).await.unwrap_err();
        assert!(
            matches!(error, LoginError::Database(database::Error::Unavailable(_))),
            "{error:?}"
        );
    }
}
