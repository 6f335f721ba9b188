use std::time::Duration;

use database::sql;
use secrecy::SecretString;

use super::*;
use crate::accounts::user;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{context, hash, logins, name, new_user, set_disabled};

const PASSWORD: &str = "correct: horse";
const POLICY: SessionPolicy = SessionPolicy {
    idle: Duration::from_hours(12),
    lifetime: Duration::from_hours(7 * 24),
};

async fn alice(database: &Database) -> (Context, PasswordLogin) {
    let mut context = context(database);
    context.origin.address = Some([192, 0, 2, 1].into());
    context.origin.user_agent = Some("Mozilla/5.0".to_owned());
    let mut new = new_user("alice");
    new.password = Some(hash(PASSWORD).await);
    crate::testing::user(&context, new).await;
    let login = logins()
        .with_password(&context, "alice", PASSWORD.into())
        .await
        .unwrap();
    (context, login)
}

async fn show(context: &Context, token: &SecretString) -> Option<Session> {
    let logins = logins();
    let found = find(context, &logins, POLICY, token).await.unwrap();
    logins.last_uses().settled().await;
    found
}

fn all() -> PageRequest {
    PageRequest::new(None, 200)
}

/// As `docker login` leaves one.
async fn refresh_token(context: &Context, user: UserId) -> Uuid {
    let row = NewRefreshToken {
        id: context.clock.uuid(),
        user_id: user,
        token_sha256: context.clock.random(),
        client_id: "docker",
        service: "registry",
        created_at: context.clock.now(),
        expires_at: context.clock.now() + Duration::from_hours(90 * 24),
        address: Some("192.0.2.9"),
    };
    let mut tx = context.database.begin().await.unwrap();
    store::refresh_tokens::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    row.id
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_session_lasts_while_it_is_used_and_no_longer_than_it_may(database: Database) {
        let (context, login) = alice(&database).await;
        let opened = open(&context, POLICY, &login).await.unwrap();
        let token = opened.secret.secret();
        assert!(token.expose_secret().starts_with("ptcs_"));
        let session = show(&context, token).await.unwrap();
        assert_eq!((session.id, session.user.username), (opened.id, name("alice")));
        assert_eq!(session.expires_at, opened.expires_at);

        context.clock.advance(POLICY.idle.saturating_sub(Duration::from_micros(1)));
        assert!(show(&context, token).await.is_some());
        context.clock.advance(POLICY.idle);
        assert!(show(&context, token).await.is_none(), "idle");

        let opened = open(&context, POLICY, &login).await.unwrap();
        let token = opened.secret.secret();
        for _ in 0..14 {
            assert!(show(&context, token).await.is_some());
            context.clock.advance(POLICY.idle.saturating_sub(Duration::from_micros(1)));
        }
        assert!(show(&context, token).await.is_some(), "used in time, and not yet over");
        context.clock.advance(Duration::from_micros(14));
        assert!(show(&context, token).await.is_none(), "over");
    }

    async fn what_is_no_session_opens_nothing(database: Database) {
        let (context, login) = alice(&database).await;
        let opened = open(&context, POLICY, &login).await.unwrap();
        let text = opened.secret.secret().expose_secret();
        for other in ["", "ptcs_", &text[5..], &text.replace("ptcs_", "ptc_"), &format!("{text}x")] {
            assert!(show(&context, &other.into()).await.is_none(), "{other}");
        }
        let mut tx = database.read().await.unwrap();
        let (stored,) =
            sql!(&mut tx, fetch_one(Vec<u8>,), "SELECT token_sha256 FROM sessions").unwrap();
        assert_eq!(stored, opened.secret.sha256());
    }

    async fn the_csrf_token_belongs_to_the_session(database: Database) {
        let (context, login) = alice(&database).await;
        let one = open(&context, POLICY, &login).await.unwrap();
        let two = open(&context, POLICY, &login).await.unwrap();
        let session = show(&context, one.secret.secret()).await.unwrap();
        assert_eq!(session.csrf(), one.csrf);
        assert!(session.has_csrf(&one.csrf));
        for wrong in ["", &two.csrf, one.secret.secret().expose_secret(), &one.csrf[1..]] {
            assert!(!session.has_csrf(wrong), "{wrong}");
        }
        // Nor does it open the session, or tell what is stored.
        assert!(show(&context, &one.csrf.as_str().into()).await.is_none());
        assert_ne!(one.csrf, hex::encode(one.secret.sha256()));
    }

    async fn the_last_use_slides_by_the_minute(database: Database) {
        let (mut context, login) = alice(&database).await;
        let opened = open(&context, POLICY, &login).await.unwrap();
        let token = opened.secret.secret();
        let last = async || {
            let row = find_opened(&database, opened.id).await.unwrap().unwrap();
            (row.last_used_at, row.address.unwrap())
        };
        assert_eq!(last().await, (None, "192.0.2.1".to_owned()));
        context.origin.address = Some([192, 0, 2, 2].into());
        show(&context, token).await.unwrap();
        let first = context.clock.now();
        assert_eq!(last().await, (Some(first), "192.0.2.2".to_owned()));
        context.clock.advance(Duration::from_secs(59));
        show(&context, token).await.unwrap();
        assert_eq!(last().await.0, Some(first));
        context.clock.advance(Duration::from_secs(1));
        show(&context, token).await.unwrap();
        assert_eq!(last().await.0, Some(context.clock.now()));
    }

    async fn one_list_has_browsers_and_clients(database: Database) {
        let (context, login) = alice(&database).await;
        let browser = open(&context, POLICY, &login).await.unwrap();
        context.clock.advance(Duration::from_secs(1));
        let client = refresh_token(&context, login.user.id).await;
        let bob = crate::testing::user(&context, new_user("bob")).await;
        refresh_token(&context, bob.id).await;

        let page = list(&context, POLICY, login.user.id, &all()).await.unwrap();
        assert_eq!(page.total, 2);
        let shown: Vec<_> = page
            .entries
            .iter()
            .map(|opened| (opened.id, opened.kind, opened.client.as_deref().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                (browser.id, OpenedKind::Browser, "Mozilla/5.0"),
                (client, OpenedKind::Client, "docker"),
            ]
        );
        let json = serde_json::to_value(&page.entries[1]).unwrap();
        assert_eq!(json["kind"], "client");
        assert_eq!(json["address"], "192.0.2.9");
        assert!(json.get("user_id").is_none());

        let first = list(&context, POLICY, login.user.id, &PageRequest::new(None, 1)).await.unwrap();
        assert!(first.more);
        let after = Some(browser.id.to_string());
        let second = list(&context, POLICY, login.user.id, &PageRequest::new(after, 1)).await;
        assert_eq!(second.unwrap().entries[0].id, client);

        context.clock.advance(POLICY.idle);
        let page = list(&context, POLICY, login.user.id, &all()).await.unwrap();
        assert_eq!(page.total, 1, "the browser was idle for too long");
        context.clock.advance(Duration::from_hours(90 * 24));
        let page = list(&context, POLICY, login.user.id, &all()).await.unwrap();
        assert!(page.entries.is_empty(), "{page:?}");
    }

    async fn one_or_all_are_revoked_and_it_is_recorded(database: Database) {
        let (context, login) = alice(&database).await;
        let mut opened = Vec::new();
        for _ in 0..3 {
            opened.push(open(&context, POLICY, &login).await.unwrap());
        }
        let client = refresh_token(&context, login.user.id).await;
        let alive = async || {
            let mut alive = Vec::new();
            for session in &opened {
                alive.push(show(&context, session.secret.secret()).await.is_some());
            }
            alive
        };
        revoke(&context, opened[0].id).await.unwrap();
        assert_eq!(alive().await, [false, true, true]);
        let again = revoke(&context, opened[0].id).await;
        assert!(matches!(again, Err(SessionError::NotFound)), "{again:?}");
        let unknown = revoke(&context, context.clock.uuid()).await;
        assert!(matches!(unknown, Err(SessionError::NotFound)), "{unknown:?}");

        let ended = revoke_all(&context, &login.user, Some(opened[1].id)).await.unwrap();
        assert_eq!(ended, 2);
        assert_eq!(alive().await, [false, true, false]);
        assert!(find_opened(&database, client).await.unwrap().is_none());
        assert_eq!(revoke_all(&context, &login.user, None).await.unwrap(), 1);
        assert_eq!(alive().await, [false, false, false]);
        assert_eq!(revoke_all(&context, &login.user, None).await.unwrap(), 0);

        let mut tx = database.read().await.unwrap();
        let events = sql!(
            &mut tx,
            fetch_all(String, String),
            "SELECT action, actor_name FROM audit_events WHERE action LIKE 'session%' ORDER BY number"
        )
        .unwrap();
        let create = ("session.create".to_owned(), "alice".to_owned());
        let revoke = ("session.revoke".to_owned(), "tester".to_owned());
        let expected =
            [&create, &create, &create, &revoke, &revoke, &revoke].map(Clone::clone);
        assert_eq!(events, expected);
    }

    async fn a_new_password_and_a_disabled_account_end_all(database: Database) {
        let (context, login) = alice(&database).await;
        let session = open(&context, POLICY, &login).await.unwrap();
        let new = hash("battery: staple").await;
        user::set_password(&context, &name("alice"), &new).await.unwrap();
        assert!(show(&context, session.secret.secret()).await.is_none());
        // What was verified before is not good for another.
        let refused = open(&context, POLICY, &login).await;
        assert!(matches!(refused, Err(SessionError::Outdated)), "{refused:?}");

        let login = logins()
            .with_password(&context, "alice", "battery: staple".into())
            .await
            .unwrap();
        let session = open(&context, POLICY, &login).await.unwrap();
        set_disabled(&context, "alice", true).await;
        assert!(show(&context, session.secret.secret()).await.is_none());
        set_disabled(&context, "alice", false).await;
        assert!(show(&context, session.secret.secret()).await.is_none(), "for good");
    }

    async fn what_has_ended_is_removed_after_a_week(database: Database) {
        let (context, login) = alice(&database).await;
        let revoked = open(&context, POLICY, &login).await.unwrap();
        revoke(&context, revoked.id).await.unwrap();
        open(&context, POLICY, &login).await.unwrap();
        refresh_token(&context, login.user.id).await;
        let purge = async || {
            let removed = crate::jobs::purge(&database, &context.clock, POLICY).await.unwrap();
            let mut tx = database.read().await.unwrap();
            let (left,) = sql!(
                &mut tx,
                fetch_one(i64,),
                "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM refresh_tokens)"
            )
            .unwrap();
            (removed, left)
        };
        let week = Duration::from_hours(7 * 24);
        context.clock.advance(week);
        assert_eq!(purge().await.1, 3);
        context.clock.advance(Duration::from_micros(1));
        assert_eq!(purge().await.1, 2, "the one that was revoked");
        context.clock.advance(POLICY.idle);
        assert_eq!(purge().await.1, 1, "the one that nobody used");
        context.clock.advance(Duration::from_hours(90 * 24));
        assert_eq!(purge().await.1, 0);
    }
}
