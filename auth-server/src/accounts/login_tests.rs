use std::time::Duration;

use chrono::TimeDelta;
use database::{Database, sql};

use super::*;
use crate::accounts::token::{
    self, CreatedToken, NewPathToken, NewPersonalToken, PathTokenKind, TokenPolicy,
};
use crate::accounts::user;
use crate::audit::Origin;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{
    CHEAP, THROTTLE, context, hash, logins, name, new_user, repository, set_disabled,
};

const PASSWORD: &str = "correct: horse";
const POLICY: TokenPolicy = TokenPolicy {
    max_lifetime: Duration::from_hours(24 * 365),
};

async fn alice(context: &Context) -> User {
    let mut new = new_user("alice");
    new.password = Some(hash(PASSWORD).await);
    crate::testing::user(context, new).await
}

async fn login(
    context: &Context,
    username: &str,
    password: &str,
) -> Result<PasswordLogin, LoginError> {
    logins()
        .with_password(context, username, password.into())
        .await
}

/// Actor, subject and reason of the logins in the audit log, successful or not.
async fn logged(database: &Database, outcome: &str) -> Vec<(String, Option<String>, String)> {
    let mut tx = database.read().await.unwrap();
    sql!(
        &mut tx,
        fetch_all(String, Option<String>, String),
        "SELECT actor_name, subject_name, COALESCE(reason, '') FROM audit_events
         WHERE action = 'login' AND outcome = $1 ORDER BY number",
        outcome
    )
    .unwrap()
}

async fn personal(context: &Context, user: &User) -> CreatedToken {
    let new = NewPersonalToken {
        name: "laptop".to_owned(),
        scopes: "read_registry api".parse().unwrap(),
        expires_at: None,
    };
    token::create_personal(context, POLICY, user, new)
        .await
        .unwrap()
}

/// A deploy or job token of the group `team`, which is made if it is not there.
async fn of_team(context: &Context, kind: PathTokenKind) -> CreatedToken {
    let mut tx = context.database.begin().await.unwrap();
    let made = sql!(
        &mut tx,
        execute,
        "INSERT INTO groups (id, path, create_on_push, created_at) VALUES ($1, 'team', $2, $3)
         ON CONFLICT DO NOTHING",
        Uuid::nil(),
        false,
        context.clock.now()
    );
    if made.unwrap() > 0 {
        let statement = "INSERT INTO paths (path, group_id) VALUES ('team', $1)";
        sql!(&mut tx, execute, statement, Uuid::nil()).unwrap();
    }
    tx.commit().await.unwrap();
    let new = NewPathToken {
        name: "ci".to_owned(),
        actions: registry_token::Actions::PULL_PUSH,
        pattern: Some("team/app/**".parse().unwrap()),
        expires_at: None,
    };
    let (path, may) = (repository("team"), registry_token::Actions::PULL_PUSH);
    match kind {
        PathTokenKind::Deploy => token::create_deploy(context, POLICY, &path, may, new).await,
        PathTokenKind::Job => token::create_job(context, &path, may, new).await,
    }
    .unwrap()
}

fn username_of(token: &token::Token) -> String {
    match &token.bearer {
        token::Bearer::Deploy(at) | token::Bearer::Job(at) => at.username.clone(),
        token::Bearer::Personal(_) => panic!("{token:?}"),
    }
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn the_right_password_lets_in(database: Database) {
        let context = context(&database);
        alice(&context).await;
        let login = login(&context, "alice", PASSWORD).await.unwrap();
        assert_eq!(login.user.username, name("alice"));
    }

    async fn all_else_is_the_same_wrong(database: Database) {
        let context = context(&database);
        alice(&context).await;
        // Without a password.
        crate::testing::user(&context, new_user("bob")).await;
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
            let error = login(&context, username, password).await.unwrap_err();
            assert!(matches!(error, LoginError::WrongCredentials), "{username}: {error:?}");
        }
        let wrong = "wrong username or password".to_owned();
        let logged = logged(&database, "failure").await;
        let alice = Some("alice".to_owned());
        assert_eq!(logged[0], ("alice".to_owned(), alice, wrong.clone()));
        assert_eq!(logged[4], ("nobody".to_owned(), None, wrong));
        assert_eq!(logged.len(), 8);
    }

    async fn who_is_disabled_learns_it_with_the_right_password_alone(database: Database) {
        let context = context(&database);
        alice(&context).await;
        set_disabled(&context, "alice", true).await;
        let error = login(&context, "alice", PASSWORD).await.unwrap_err();
        assert!(matches!(error, LoginError::Disabled), "{error:?}");
        let error = login(&context, "alice", "wrong: horse").await.unwrap_err();
        assert!(matches!(error, LoginError::WrongCredentials), "{error:?}");
        let reasons: Vec<_> = logged(&database, "failure").await;
        assert_eq!(reasons[0].2, "this account is disabled");
    }

    async fn a_new_password_replaces_the_old(database: Database) {
        let context = context(&database);
        alice(&context).await;
        let new = hash("battery: staple").await;
        user::set_password(&context, &name("alice"), &new).await.unwrap();
        login(&context, "alice", "battery: staple").await.unwrap();
        let error = login(&context, "alice", PASSWORD).await.unwrap_err();
        assert!(matches!(error, LoginError::WrongCredentials), "{error:?}");
    }

    async fn the_last_login_is_kept_and_recorded_to_the_minute(database: Database) {
        let context = context(&database);
        alice(&context).await;
        let last = async || {
            user::find(&database, &name("alice")).await.unwrap().unwrap().last_login_at
        };
        assert_eq!(last().await, None);
        let first = context.clock.now();
        login(&context, "alice", PASSWORD).await.unwrap();
        assert_eq!(last().await, Some(first));
        context.clock.advance(Duration::from_secs(59));
        login(&context, "alice", PASSWORD).await.unwrap();
        assert_eq!(last().await, Some(first));
        context.clock.advance(Duration::from_secs(1));
        login(&context, "alice", PASSWORD).await.unwrap();
        assert_eq!(last().await, Some(context.clock.now()));
        assert_eq!(logged(&database, "success").await.len(), 2);
    }

    async fn a_hash_of_another_cost_is_replaced_by_a_login(database: Database) {
        let context = context(&database);
        alice(&context).await;
        let costlier = crate::accounts::password::HashCost { iterations: 2, ..CHEAP };
        let passwords = Passwords::new(costlier, 1, 1, &context.clock).unwrap();
        let logins = Logins::new(passwords, THROTTLE, &context.clock);
        let stored = async || {
            let mut tx = database.read().await.unwrap();
            let row = store::logins::user(&mut tx, &name("alice"), None).await.unwrap();
            row.unwrap().password_hash.unwrap()
        };
        let before = stored().await;
        let wrong = logins.with_password(&context, "alice", "wrong".into()).await;
        assert!(matches!(wrong, Err(LoginError::WrongCredentials)), "{wrong:?}");
        assert!(stored().await == before);
        let login = logins.with_password(&context, "alice", PASSWORD.into()).await.unwrap();
        let after = stored().await;
        assert!(after != before && login.password_hash == after);
        let login = logins.with_password(&context, "alice", PASSWORD.into()).await.unwrap();
        assert!(login.password_hash == after, "once is enough");
    }

    async fn without_a_database_nobody_gets_in_and_nothing_panics(database: Database) {
        let context = context(&database);
        database.close().await;
        let error = login(&context, "alice", PASSWORD).await.unwrap_err();
        assert!(
            matches!(error, LoginError::Database(database::Error::Unavailable(_))),
            "{error:?}"
        );
    }

    async fn a_personal_token_goes_with_any_username(database: Database) {
        let context = context(&database);
        let alice = alice(&context).await;
        let created = personal(&context, &alice).await;
        for username in ["alice", "bob", "", "oauth2accesstoken", "no such: name"] {
            let secret = created.secret.secret().clone();
            let login = logins().with_credentials(&context, username, secret).await.unwrap();
            let Login::Token(login) = login else { panic!("{login:?}") };
            assert_eq!((login.token, login.kind), (created.token.id, TokenKind::Personal));
            let Subject::PersonalToken { user, scopes } = login.subject else {
                panic!("{:?}", login.subject);
            };
            assert_eq!(user.username, name("alice"));
            assert_eq!(scopes.to_string(), "read_registry api");
        }
    }

    async fn a_deploy_or_job_token_goes_with_its_own_username_alone(database: Database) {
        let context = context(&database);
        let alice = alice(&context).await;
        let personal = personal(&context, &alice).await;
        for (kind, expected) in [
            (PathTokenKind::Deploy, TokenKind::Deploy),
            (PathTokenKind::Job, TokenKind::Job),
        ] {
            let created = of_team(&context, kind).await;
            let username = username_of(&created.token);
            let secret = created.secret.secret();
            let login = logins().with_token(&context, &username, secret).await.unwrap();
            assert_eq!(login.kind, expected);
            let Subject::Token(token) = login.subject else { panic!("{:?}", login.subject) };
            assert_eq!(token.id, created.token.id);
            assert_eq!(token.username, username);
            assert_eq!(token.path, repository("team"));
            assert_eq!(token.actions, registry_token::Actions::PULL_PUSH);
            assert_eq!(token.pattern.unwrap().as_str(), "team/app/**");

            for other in ["alice", "", "deploy+other", "job+other", "deploy+", "DEPLOY+team+ci"] {
                let refused = logins().with_token(&context, other, secret).await;
                assert!(matches!(refused, Err(LoginError::WrongCredentials)), "{refused:?}");
            }
            // Nor does a personal token go with such a username.
            let refused = logins().with_token(&context, &username, personal.secret.secret()).await;
            assert!(matches!(refused, Err(LoginError::WrongCredentials)), "{refused:?}");
            let refused = logins().with_bearer(&context, secret).await;
            assert!(matches!(refused, Err(LoginError::WrongCredentials)), "{refused:?}");
        }
    }

    async fn a_token_that_is_unknown_over_or_revoked_is_refused(database: Database) {
        let context = context(&database);
        let alice = alice(&context).await;
        let created = personal(&context, &alice).await;
        let secret = created.secret.secret().expose_secret();
        let swapped = if secret.ends_with('A') { "B" } else { "A" };
        let tampered = format!("{}{swapped}", &secret[..secret.len() - 1]);
        for unknown in ["ptc_", &tampered, &format!("{secret} "), &secret.to_uppercase()] {
            let refused = logins().with_token(&context, "alice", &unknown.into()).await;
            assert!(matches!(refused, Err(LoginError::WrongCredentials)), "{refused:?}");
        }
        let deploy = of_team(&context, PathTokenKind::Deploy).await;
        let username = username_of(&deploy.token);
        let both = async || {
            let personal = logins().with_token(&context, "alice", created.secret.secret()).await;
            let deploy = logins().with_token(&context, &username, deploy.secret.secret()).await;
            [personal.map(drop), deploy.map(drop)]
        };
        context.clock.advance(POLICY.max_lifetime.saturating_sub(Duration::from_micros(1)));
        assert!(both().await.iter().all(Result::is_ok));
        context.clock.advance(Duration::from_micros(1));
        for refused in both().await {
            assert!(matches!(refused, Err(LoginError::TokenExpired)), "{refused:?}");
        }
        token::revoke(&context, created.token.id).await.unwrap();
        token::revoke(&context, deploy.token.id).await.unwrap();
        for refused in both().await {
            assert!(matches!(refused, Err(LoginError::TokenRevoked)), "{refused:?}");
        }
        let failures = logged(&database, "failure").await;
        assert_eq!(failures.len(), 8);
        assert_eq!(failures[7].0, username);
    }

    async fn a_disabled_user_is_refused_with_personal_and_job_tokens(database: Database) {
        let operator = context(&database);
        let alice = alice(&operator).await;
        let context = Context {
            origin: Origin::local(Actor::user(&alice)),
            ..operator
        };
        let personal = personal(&context, &alice).await;
        let job = of_team(&context, PathTokenKind::Job).await;
        let deploy = of_team(&context, PathTokenKind::Deploy).await;
        let try_one = async |created: &CreatedToken, username: &str| {
            logins().with_token(&context, username, created.secret.secret()).await
        };
        set_disabled(&context, "alice", true).await;
        let refused = try_one(&personal, "alice").await;
        assert!(matches!(refused, Err(LoginError::Disabled)), "{refused:?}");
        let refused = try_one(&job, &username_of(&job.token)).await;
        assert!(matches!(refused, Err(LoginError::Disabled)), "{refused:?}");
        // It belongs to the group, whoever has made it.
        try_one(&deploy, &username_of(&deploy.token)).await.unwrap();
    }

    async fn the_use_of_a_token_is_kept_to_the_minute_and_recorded_when_new(database: Database) {
        let mut context = context(&database);
        let alice = alice(&context).await;
        let created = personal(&context, &alice).await;
        let logins = logins();
        let shown = async |context: &Context| {
            logins.with_token(context, "alice", created.secret.secret()).await.unwrap();
            logins.last_uses().settled().await;
            let token = token::find(&database, created.token.id).await.unwrap().unwrap();
            (token.last_used_at.unwrap(), token.last_used_address)
        };
        let first = context.clock.now();
        context.origin.address = Some([192, 0, 2, 1].into());
        let here = Some("192.0.2.1".to_owned());
        assert_eq!(shown(&context).await, (first, here.clone()));
        context.clock.advance(Duration::from_secs(59));
        assert_eq!(shown(&context).await, (first, here.clone()));
        context.clock.advance(Duration::from_secs(1));
        assert_eq!(shown(&context).await, (first + TimeDelta::minutes(1), here));
        assert_eq!(logged(&database, "success").await.len(), 1, "the first one");
        context.clock.advance(Duration::from_mins(1));
        context.origin.address = Some([192, 0, 2, 2].into());
        let there = Some("192.0.2.2".to_owned());
        assert_eq!(shown(&context).await, (first + TimeDelta::minutes(2), there));
        let logged = logged(&database, "success").await;
        assert_eq!(logged.len(), 2, "and the one from elsewhere");
        assert_eq!(logged[1].0, "alice");
    }

    async fn many_uses_at_once_are_written_once(database: Database) {
        let context = context(&database);
        let alice = alice(&context).await;
        let created = personal(&context, &alice).await;
        let logins = logins();
        let all = (0..50).map(|_| logins.with_bearer(&context, created.secret.secret()));
        for login in futures_util::future::join_all(all).await {
            login.unwrap();
        }
        logins.last_uses().settled().await;
        let written = logged(&database, "success").await.len();
        assert!((1..=4).contains(&written), "{written}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_written_lets_tokens_in_and_guesses_out() {
    let test = database::testing::TestDatabase::sqlite(&SQLITE).await;
    let context = context(&test.database);
    let alice = alice(&context).await;
    let created = personal(&context, &alice).await;
    // Nobody else can write while this is open.
    let blocker = test.database.begin().await.unwrap();
    let logins = logins();
    let shown = logins.with_bearer(&context, created.secret.secret()).await;
    assert!(shown.is_ok(), "{shown:?}");
    let guess = logins.with_password(&context, "alice", "wrong".into());
    let guess = tokio::time::timeout(Duration::from_millis(200), guess).await;
    assert!(
        guess.is_err(),
        "an answer, though the guess is not counted: {guess:?}"
    );
    drop(blocker);
}
