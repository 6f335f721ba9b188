use std::time::Duration;

use database::Database;
use secrecy::ExposeSecret as _;

use super::*;
use crate::accounts::user;
use crate::clock::Clock;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, context_at, hash, logins, name, new_user, set_disabled};

const PASSWORD: &str = "correct: horse";
const LIFETIME: Duration = Duration::from_hours(24);

async fn logged_in(database: &Database, clock: &Clock) -> PasswordLogin {
    let mut new = new_user("alice");
    new.password = Some(hash(PASSWORD).await);
    user::create(&context_at(database, clock), new)
        .await
        .unwrap();
    logins()
        .with_password(&context_at(database, clock), "alice", PASSWORD.into())
        .await
        .unwrap()
}

async fn create(
    database: &Database,
    clock: &Clock,
    login: &PasswordLogin,
    client_id: &str,
) -> Option<TokenSecret> {
    let wanted = NewRefresh {
        client_id,
        service: "registry",
        lifetime: LIFETIME,
    };
    super::create(&context_at(database, clock), login, &wanted)
        .await
        .unwrap()
}

async fn redeem(
    database: &Database,
    clock: &Clock,
    token: &TokenSecret,
    service: &str,
) -> Result<User, RefreshError> {
    super::redeem(&context_at(database, clock), &logins(), token, service).await
}

async fn created(database: &Database, clock: &Clock, login: &PasswordLogin) -> TokenSecret {
    create(database, clock, login, "docker").await.unwrap()
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_token_stands_for_its_user_until_it_expires(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let token = created(&database, &clock, &login).await;
        for _ in 0..2 {
            let user = redeem(&database, &clock, &token, "registry").await.unwrap();
            assert_eq!(user.username, name("alice"));
            clock.advance(LIFETIME / 2);
        }
        let error = redeem(&database, &clock, &token, "registry").await.unwrap_err();
        assert!(matches!(error, RefreshError::Expired), "{error:?}");
    }

    async fn a_token_is_good_for_its_service_alone(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let token = created(&database, &clock, &login).await;
        let error = redeem(&database, &clock, &token, "other").await.unwrap_err();
        assert!(matches!(error, RefreshError::OtherService), "{error:?}");
    }

    async fn a_token_that_was_tampered_with_is_unknown(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let token = created(&database, &clock, &login).await;
        let text = token.secret().expose_secret();
        let swapped = if text.ends_with('A') { "B" } else { "A" };
        let changed = format!("{}{swapped}", &text[..text.len() - 1]);
        for text in ["", "ptcr_", &changed, &text.to_uppercase(), &format!("{text} ")] {
            let presented = TokenSecret::presented(text.into());
            let error = redeem(&database, &clock, &presented, "registry").await.unwrap_err();
            assert!(matches!(error, RefreshError::Unknown), "{text}: {error:?}");
        }
    }

    async fn only_the_hash_of_a_token_is_stored(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let token = created(&database, &clock, &login).await;
        assert!(token.secret().expose_secret().starts_with("ptcr_"));
        assert_eq!(token.secret().expose_secret().len(), 5 + 43);
        assert!(!format!("{token:?}").contains("ptcr_"));
        let mut tx = database.read().await.unwrap();
        let (stored,): (Vec<u8>,) =
            database::sql!(&mut tx, fetch_one (Vec<u8>,), "SELECT token_sha256 FROM refresh_tokens")
                .unwrap();
        assert_eq!(stored, token.sha256());
    }

    async fn a_new_password_ends_all_tokens(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let token = created(&database, &clock, &login).await;
        let new = hash("battery: staple").await;
        user::set_password(&context_at(&database, &clock), &name("alice"), &new).await.unwrap();
        let error = redeem(&database, &clock, &token, "registry").await.unwrap_err();
        assert!(matches!(error, RefreshError::Revoked), "{error:?}");
        // What was verified before the change is not good for a new token either.
        let refused = create(&database, &clock, &login, "docker").await;
        assert!(refused.is_none());
    }

    async fn disabling_ends_all_tokens_for_good(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let token = created(&database, &clock, &login).await;
        set_disabled(&context_at(&database, &clock), "alice", true).await;
        let refused = create(&database, &clock, &login, "docker").await;
        assert!(refused.is_none());
        set_disabled(&context_at(&database, &clock), "alice", false).await;
        let error = redeem(&database, &clock, &token, "registry").await.unwrap_err();
        assert!(matches!(error, RefreshError::Revoked), "{error:?}");
    }

    async fn a_password_changed_while_tokens_are_made_leaves_none_alive(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let new = hash("battery: staple").await;
        let making = async {
            let attempts = (0..8).map(|_| {
                create(&database, &clock, &login, "docker")
            });
            futures_util::future::join_all(attempts).await
        };
        let alice = name("alice");
        let context = context_at(&database, &clock);
        let changing = user::set_password(&context, &alice, &new);
        let (tokens, changed) = tokio::join!(making, changing);
        changed.unwrap();
        for token in tokens.into_iter().flatten() {
            let error = redeem(&database, &clock, &token, "registry").await.unwrap_err();
            assert!(matches!(error, RefreshError::Revoked), "{error:?}");
        }
    }

    async fn the_name_of_a_client_is_cut(database: Database) {
        let clock = clock();
        let login = logged_in(&database, &clock).await;
        let long = "ä".repeat(1_000);
        let created = create(&database, &clock, &login, &long).await;
        assert!(created.is_some());
        let mut tx = database.read().await.unwrap();
        let (client,): (String,) =
            database::sql!(&mut tx, fetch_one (String,), "SELECT client_id FROM refresh_tokens")
                .unwrap();
        assert_eq!(client, "ä".repeat(CLIENT_ID_LENGTH));
    }
}
