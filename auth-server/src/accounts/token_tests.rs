use std::time::Duration;

use chrono::TimeDelta;
use database::{sql, test_on_both};
use registry_token::Action;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::*;
use crate::accounts::bearer::{DEPLOY, JOB};
use crate::audit::{Actor, Origin};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, context, name, new_user, repository};

const POLICY: TokenPolicy = TokenPolicy {
    max_lifetime: Duration::from_hours(24 * 365),
};

fn maintainer() -> Actions {
    "pull,push,delete"
        .split(',')
        .map(|word| word.parse::<Action>().unwrap())
        .collect()
}

fn personal(scopes: &str) -> NewPersonalToken {
    NewPersonalToken {
        name: "laptop".to_owned(),
        scopes: scopes.parse().unwrap(),
        expires_at: None,
    }
}

fn at_path(name: &str, actions: &[Action], pattern: Option<&str>) -> NewPathToken {
    NewPathToken {
        name: name.to_owned(),
        actions: actions.iter().copied().collect(),
        pattern: pattern.map(|pattern| pattern.parse().unwrap()),
        expires_at: None,
    }
}

/// alice, who acts, and the group `team/app`.
async fn alice(database: &Database) -> (Context, User) {
    let context = context(database);
    let user = crate::testing::user(&context, new_user("alice")).await;
    let mut tx = database.begin().await.unwrap();
    let (id, now) = (context.clock.uuid(), context.clock.now());
    sql!(
        &mut tx,
        execute,
        "INSERT INTO groups (id, path, create_on_push, created_at) VALUES ($1, 'team/app', $2, $3)",
        id,
        false,
        now
    )
    .unwrap();
    sql!(
        &mut tx,
        execute,
        "INSERT INTO paths (path, group_id) VALUES ('team/app', $1)",
        id
    )
    .unwrap();
    tx.commit().await.unwrap();
    let context = Context {
        origin: Origin::local(Actor::user(&user)),
        ..context
    };
    (context, user)
}

async fn events(database: &Database) -> Vec<(String, String)> {
    let mut tx = database.read().await.unwrap();
    sql!(
        &mut tx,
        fetch_all(String, String),
        "SELECT action, subject_name FROM audit_events WHERE subject_kind = 'token' ORDER BY number"
    )
    .unwrap()
}

fn all() -> PageRequest {
    PageRequest::new(None, 200)
}

test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn nobody_has_more_tokens_than_they_can_look_after(database: Database) {
        let (context, user) = alice(&database).await;
        let make = || create_personal(&context, POLICY, &user, personal("api"));
        for _ in 1..MAX_PERSONAL {
            make().await.unwrap();
        }
        let last = make().await.unwrap().token;
        let error = make().await.unwrap_err();
        assert!(matches!(error, TokenError::TooMany(MAX_PERSONAL)), "{error:?}");
        // What is over does not count.
        revoke(&context, last.id).await.unwrap();
        make().await.unwrap();
        make().await.unwrap_err();
        context.clock.advance(POLICY.max_lifetime);
        make().await.unwrap();
    }

    async fn no_project_has_more_tokens_than_anybody_can_look_after(database: Database) {
        let (context, user) = alice(&database).await;
        let path = repository("team/app");
        let pull = [Action::Pull];
        let now = context.clock.now();
        let mut tx = database.begin().await.unwrap();
        let number = store::paths::lock(&mut tx, path.as_str()).await.unwrap();
        for (kind, count) in [(DEPLOY, MAX_DEPLOY), (JOB, MAX_JOB)] {
            for at in 0..count {
                let id = context.clock.uuid();
                let mut token_sha256 = [0; 32];
                token_sha256[..16].copy_from_slice(id.as_bytes());
                let row = NewToken {
                    id,
                    kind,
                    user_id: None,
                    path: number,
                    name: "x",
                    username: Some(&format!("{kind}+{at}")),
                    token_sha256,
                    scopes: None,
                    actions: Some("pull".to_owned()),
                    pattern: None,
                    created_by: Some(user.id),
                    created_at: now,
                    expires_at: now + TimeDelta::hours(1),
                };
                store::tokens::insert(&mut tx, &row).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        let deploy = || {
            let new = at_path("one-more", &pull, None);
            create_deploy(&context, POLICY, &path, maintainer(), new)
        };
        let job = || create_job(&context, &path, maintainer(), at_path("one more", &pull, None));
        let error = deploy().await.unwrap_err();
        assert!(matches!(error, TokenError::TooMany(MAX_DEPLOY)), "{error:?}");
        let error = job().await.unwrap_err();
        assert!(matches!(error, TokenError::TooMany(MAX_JOB)), "{error:?}");
        context.clock.advance(Duration::from_hours(1));
        deploy().await.unwrap();
        job().await.unwrap();
    }

    async fn a_personal_token_is_made_shown_once_listed_and_revoked(database: Database) {
        let (context, alice) = alice(&database).await;
        let new = personal("write_registry read_api");
        let CreatedToken { token, secret } =
            create_personal(&context, POLICY, &alice, new).await.unwrap();
        let secret = secret.secret().expose_secret().to_owned();
        assert!(secret.starts_with("ptc_"));
        assert_eq!(token.expires_at, Some(context.clock.now() + POLICY.max_lifetime));
        assert_eq!(token.created_by, Some(name("alice")));
        assert!(!token.has_ended(context.clock.now()));
        assert_eq!(find(&database, token.id).await.unwrap().unwrap(), token);
        let page = list_personal(&database, alice.id, &all()).await.unwrap();
        assert_eq!((page.entries, page.total), (vec![token.clone()], 1));

        let shown = serde_json::to_value(&token).unwrap();
        assert_eq!(shown["kind"], "personal");
        assert_eq!(shown["user"], "alice");
        assert_eq!(shown["scopes"], json!(["write_registry", "read_api"]));
        assert!(!shown.to_string().contains(&secret));

        context.clock.advance(Duration::from_secs(1));
        let revoked = revoke(&context, token.id).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(context.clock.now()));
        assert!(revoked.has_ended(context.clock.now()));
        context.clock.advance(Duration::from_secs(1));
        assert_eq!(revoke(&context, token.id).await.unwrap(), revoked, "the first time counts");
        let subject = "alice/laptop".to_owned();
        assert_eq!(
            events(&database).await,
            [("token.create".to_owned(), subject.clone()), ("token.revoke".to_owned(), subject)]
        );
        let mut tx = database.read().await.unwrap();
        let (stored,): (String,) = sql!(
            &mut tx,
            fetch_one(String,),
            "SELECT state_after FROM audit_events WHERE action = 'token.create'"
        )
        .unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&stored).unwrap(), shown);
    }

    async fn a_deploy_token_has_a_username_that_tells_where_it_belongs(database: Database) {
        let (context, _) = alice(&database).await;
        let path = repository("team/app");
        let new = at_path("ci", &[Action::Pull, Action::Push], Some("team/app/*"));
        let created = create_deploy(&context, POLICY, &path, maintainer(), new.clone())
            .await
            .unwrap();
        let shown = serde_json::to_value(&created.token).unwrap();
        assert_eq!(shown["kind"], "deploy");
        assert_eq!(shown["username"], "deploy+team/app+ci");
        assert_eq!(shown["path"], "team/app");
        assert_eq!(shown["actions"], json!(["pull", "push"]));
        assert_eq!(shown["pattern"], "team/app/*");
        assert_eq!(find(&database, created.token.id).await.unwrap().unwrap(), created.token);

        // A name is free again when its token is revoked.
        let again = create_deploy(&context, POLICY, &path, maintainer(), new.clone()).await;
        assert!(matches!(again, Err(TokenError::NameTaken)), "{again:?}");
        revoke(&context, created.token.id).await.unwrap();
        create_deploy(&context, POLICY, &path, maintainer(), new).await.unwrap();

        let of = async |path: &str, kind| {
            list_of_path(&database, &repository(path), kind, &all()).await.unwrap().entries.len()
        };
        assert_eq!(of("team/app", PathTokenKind::Deploy).await, 2);
        assert_eq!(of("team/app", PathTokenKind::Job).await, 0);
        assert_eq!(of("team/app/x", PathTokenKind::Deploy).await, 0);
    }

    async fn a_job_token_is_over_in_an_hour_and_in_a_day_at_most(database: Database) {
        let (context, _) = alice(&database).await;
        let path = repository("team/app");
        let now = context.clock.now();
        let make = async |expires_at| {
            let new = NewPathToken { expires_at, ..at_path("run 7", &[Action::Pull], None) };
            create_job(&context, &path, Actions::PULL_PUSH, new).await
        };
        let token = make(None).await.unwrap().token;
        assert_eq!(token.expires_at, Some(now + TimeDelta::hours(1)));
        let Bearer::Job(at) = &token.bearer else { panic!("{token:?}") };
        assert!(at.username.starts_with("job+") && at.username.len() == 4 + 32, "{at:?}");
        let day = now + TimeDelta::hours(24);
        assert_eq!(make(Some(day)).await.unwrap().token.expires_at, Some(day));
        let late = make(Some(day + TimeDelta::seconds(1))).await;
        assert!(matches!(late, Err(TokenError::TooLate(latest)) if latest == day), "{late:?}");
        let past = make(Some(now)).await;
        assert!(matches!(past, Err(TokenError::Past)), "{past:?}");
    }

    async fn what_makes_no_sense_is_refused_and_leaves_nothing(database: Database) {
        let (context, alice) = alice(&database).await;
        let long = "x".repeat(MAX_NAME_LENGTH + 1);
        for name in ["", "  ", "a\nb", &long] {
            let new = NewPersonalToken { name: name.to_owned(), ..personal("api") };
            let refused = create_personal(&context, POLICY, &alice, new).await;
            assert!(matches!(refused, Err(TokenError::Name)), "{name:?}: {refused:?}");
        }
        let refused = create_personal(&context, POLICY, &alice, personal("")).await;
        assert!(matches!(refused, Err(TokenError::NoScopes)), "{refused:?}");
        let latest = context.clock.now() + POLICY.max_lifetime;
        for (expires_at, words) in [
            (context.clock.now(), "in the future"),
            (latest + TimeDelta::microseconds(1), "must expire by 2028-01-15T08:00:00Z"),
        ] {
            let new = NewPersonalToken { expires_at: Some(expires_at), ..personal("api") };
            let refused = create_personal(&context, POLICY, &alice, new).await.unwrap_err();
            assert!(refused.to_string().contains(words), "{refused}");
        }

        let path = repository("team/app");
        for name in ["", "CI", "a/b", "a+b", "a b", "a:b", &long] {
            let new = at_path(name, &[Action::Pull], None);
            let refused = create_deploy(&context, POLICY, &path, maintainer(), new).await;
            assert!(matches!(refused, Err(TokenError::DeployName)), "{name:?}: {refused:?}");
        }
        for (actions, pattern, words) in [
            (&[][..], None, "needs an action"),
            (&[Action::All], None, "administrators"),
            (&[Action::Push], None, "pull too"),
            (&[Action::Pull, Action::Delete], None, "not do yourself: delete"),
            (&[Action::Pull], Some("team/apps"), "`team/app/**`"),
            (&[Action::Pull], Some("other/*"), "matches nothing"),
            (&[Action::Pull], Some("team/application/**"), "matches nothing"),
        ] {
            let new = at_path("ci", actions, pattern);
            let may = Actions::PULL_PUSH;
            let refused = create_deploy(&context, POLICY, &path, may, new.clone()).await;
            assert!(refused.unwrap_err().to_string().contains(words), "{new:?}");
            let refused = create_job(&context, &path, may, new.clone()).await;
            assert!(refused.unwrap_err().to_string().contains(words), "{new:?}");
        }
        for pattern in ["team/app", "team/app/**", "team/*", "**", "**/app", "team/app*/x", "t*/app"] {
            let new = at_path(&pattern.len().to_string(), &[Action::Pull], Some(pattern));
            create_job(&context, &path, Actions::PULL, new).await.unwrap();
        }

        // A user's name is no place for a deploy token, nor is what does not exist.
        for nowhere in ["alice", "no/such"] {
            let new = at_path("ci", &[Action::Pull], None);
            let refused =
                create_deploy(&context, POLICY, &repository(nowhere), maintainer(), new).await;
            assert!(matches!(refused, Err(TokenError::PathNotFound)), "{refused:?}");
        }
        let refused = revoke(&context, context.clock.uuid()).await;
        assert!(matches!(refused, Err(TokenError::NotFound)), "{refused:?}");
        assert_eq!(list_personal(&database, alice.id, &all()).await.unwrap().total, 0);
        let deploy = PathTokenKind::Deploy;
        assert_eq!(list_of_path(&database, &path, deploy, &all()).await.unwrap().total, 0);
    }

    async fn lists_come_by_page_in_the_order_of_making(database: Database) {
        let (context, alice) = alice(&database).await;
        let mut made = Vec::new();
        for _ in 0..5 {
            context.clock.advance(Duration::from_secs(1));
            let created = create_personal(&context, POLICY, &alice, personal("api")).await.unwrap();
            made.push(created.token.id);
        }
        let mut seen: Vec<Uuid> = Vec::new();
        loop {
            let request = PageRequest::new(seen.last().map(Uuid::to_string), 2);
            let page = list_personal(&database, alice.id, &request).await.unwrap();
            assert_eq!(page.total, 5);
            seen.extend(page.entries.iter().map(|token| token.id));
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, made);
    }

    async fn what_ended_long_ago_is_removed(database: Database) {
        let (context, alice) = alice(&database).await;
        let kept = create_personal(&context, POLICY, &alice, personal("api")).await.unwrap();
        let revoked = create_personal(&context, POLICY, &alice, personal("api")).await.unwrap();
        revoke(&context, revoked.token.id).await.unwrap();
        let new = at_path("run", &[Action::Pull], None);
        let job = create_job(&context, &repository("team/app"), Actions::PULL, new).await.unwrap();
        context.clock.advance(Duration::from_hours(2));
        let purge = async |before| {
            let mut tx = database.begin().await.unwrap();
            let removed = store::tokens::delete_ended(&mut tx, before).await.unwrap();
            tx.commit().await.unwrap();
            removed
        };
        assert_eq!(purge(kept.token.created_at).await, 0);
        assert_eq!(purge(context.clock.now()).await, 2);
        assert!(find(&database, kept.token.id).await.unwrap().is_some());
        assert!(find(&database, job.token.id).await.unwrap().is_none());
    }
}

#[test]
fn a_token_expires_at_its_very_moment() {
    let now = clock().now();
    let token = Token {
        id: Uuid::nil(),
        name: String::new(),
        bearer: Bearer::Personal(PersonalBearer {
            user: name("alice"),
            user_id: UserId(Uuid::nil()),
            scopes: TokenScopes::default(),
        }),
        created_by: None,
        created_at: now,
        expires_at: Some(now),
        last_used_at: None,
        last_used_address: None,
        revoked_at: None,
    };
    assert!(token.has_ended(now));
    assert!(!token.has_ended(now - TimeDelta::microseconds(1)));
}
