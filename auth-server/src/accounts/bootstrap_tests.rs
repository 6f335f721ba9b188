use secrecy::ExposeSecret as _;

use super::*;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, context, context_at, logins, new_user, passwords};

const POLICY: PasswordPolicy = PasswordPolicy { minimum_length: 12 };

async fn ensure(
    database: &Database,
    configured: Option<&str>,
) -> Result<Option<SecretString>, BootstrapError> {
    let configured = configured.map(SecretString::from);
    ensure_administrator(
        database,
        &clock(),
        &passwords(),
        POLICY,
        configured.as_ref(),
    )
    .await
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn the_first_start_makes_an_administrator_and_the_second_nothing(database: Database) {
        let generated = ensure(&database, None).await.unwrap().unwrap();
        let login = logins().with_password(&context(&database), "admin", generated.clone(),
        )
        .await
        .unwrap();
        assert!(login.user.is_admin);
        assert_eq!(generated.expose_secret().len(), 32);

        assert!(ensure(&database, None).await.unwrap().is_none());
        assert!(ensure(&database, Some("another password")).await.unwrap().is_none());
        logins().with_password(&context(&database), "admin", generated).await.unwrap();
    }

    async fn a_configured_password_is_used_and_not_shown(database: Database) {
        assert!(ensure(&database, Some("chosen password")).await.unwrap().is_none());
        logins().with_password(&context(&database), "admin", "chosen password".into(),
        )
        .await
        .unwrap();
    }

    async fn a_weak_configured_password_is_refused(database: Database) {
        let error = ensure(&database, Some("short")).await.unwrap_err();
        assert!(error.to_string().contains("at least 12 characters"), "{error}");
    }

    async fn a_database_with_users_gets_no_administrator(database: Database) {
        user::create(&context_at(&database, &clock()), new_user("alice")).await.unwrap();
        assert!(ensure(&database, None).await.unwrap().is_none());
        assert!(user::find(&database, &"admin".parse().unwrap()).await.unwrap().is_none());
    }

    async fn of_two_that_start_at_once_one_shows_a_password(database: Database) {
        let (one, two) = tokio::join!(
            async { ensure(&database, None).await },
            async { ensure(&database, None).await },
        );
        let shown: Vec<SecretString> =
            [one, two].into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(shown.len(), 1);
        logins().with_password(&context(&database), "admin", shown[0].clone(),
        )
        .await
        .unwrap();
    }
}
