use std::str::FromStr as _;

use super::*;
use crate::accounts::project::{self, NewProject};
use crate::accounts::{ProjectError, Visibility};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, context, hash, name, new_user};

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_user_comes_back_as_created(database: Database) {
        let clock = clock();
        let mut new = new_user("alice");
        new.email = Some(Email::from_str("alice@example.com").unwrap());
        let created = create(&database, &clock, new).await.unwrap();
        assert_eq!(created.created_at, clock.now());
        assert_eq!(find(&database, &name("alice")).await.unwrap(), Some(created));
        assert_eq!(find(&database, &name("bob")).await.unwrap(), None);
    }

    async fn a_username_and_an_address_are_given_once(database: Database) {
        let clock = clock();
        let with_email = |username, email| NewUser {
            email: Some(Email::from_str(email).unwrap()),
            ..new_user(username)
        };
        create(&database, &clock, with_email("alice", "alice@example.com")).await.unwrap();
        let error = create(&database, &clock, new_user("alice")).await.unwrap_err();
        assert!(matches!(error, UserError::UsernameTaken(_)), "{error:?}");
        let error = create(&database, &clock, with_email("bob", "Alice@Example.com"))
            .await
            .unwrap_err();
        assert!(matches!(error, UserError::EmailTaken), "{error:?}");
    }

    async fn of_many_that_want_one_name_at_once_one_gets_it(database: Database) {
        let clock = clock();
        let attempts = futures_util::future::join_all(
            (0..8).map(|_| create(&database, &clock, new_user("alice"))),
        )
        .await;
        assert_eq!(attempts.iter().filter(|attempt| attempt.is_ok()).count(), 1);
        for error in attempts.into_iter().filter_map(Result::err) {
            assert!(matches!(error, UserError::UsernameTaken(_)), "{error:?}");
        }
    }

    async fn nobody_gets_a_name_under_which_others_have_projects(database: Database) {
        let context = context(&database);
        let clock = &context.clock;
        for path in ["team/app", "lib", "x-y/z"] {
            let new = NewProject {
                path: path.parse().unwrap(),
                owner: None,
                visibility: Visibility::Private,
            };
            project::create(&context, new).await.unwrap();
        }
        for username in ["team", "lib", "x-y"] {
            let error = create(&database, clock, new_user(username)).await.unwrap_err();
            assert!(matches!(error, UserError::NamespaceInUse { .. }), "{error:?}");
        }
        for username in ["tea", "team2", "team-a", "x", "li"] {
            create(&database, clock, new_user(username)).await.unwrap();
        }
    }

    async fn pages_follow_each_other_without_gap_or_overlap(database: Database) {
        let clock = clock();
        let mut names = ["carol", "alice", "a-b", "a.b", "a_b", "ab", "b"];
        for username in names {
            create(&database, &clock, new_user(username)).await.unwrap();
        }
        names.sort_unstable();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = list(&database, &PageRequest::new(after, 2)).await.unwrap();
            assert_eq!(page.total, 7);
            assert_eq!(page.entries.len(), if page.more { 2 } else { 1 });
            seen.extend(page.entries.iter().map(|user| user.username.to_string()));
            if !page.more {
                break;
            }
            after = seen.last().cloned();
        }
        assert_eq!(seen, names);
    }

    async fn disabling_keeps_the_first_time_and_enabling_ends_it(database: Database) {
        let clock = clock();
        create(&database, &clock, new_user("alice")).await.unwrap();
        let first = disable(&database, &clock, &name("alice")).await.unwrap();
        assert_eq!(first.disabled_at, Some(clock.now()));
        clock.advance(std::time::Duration::from_mins(1));
        let second = disable(&database, &clock, &name("alice")).await.unwrap();
        assert_eq!(second.disabled_at, first.disabled_at);
        assert!(!enable(&database, &name("alice")).await.unwrap().is_disabled());
        assert_eq!(
            find(&database, &name("alice")).await.unwrap().unwrap().disabled_at,
            None
        );
    }

    async fn who_does_not_exist_cannot_be_changed(database: Database) {
        let clock = clock();
        let nobody = name("nobody");
        for error in [
            disable(&database, &clock, &nobody).await.unwrap_err(),
            enable(&database, &nobody).await.unwrap_err(),
            set_password(&database, &clock, &nobody, &hash("any password").await)
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(error, UserError::NotFound(_)), "{error:?}");
        }
    }

    async fn one_administrator_always_remains(database: Database) {
        let clock = clock();
        let admin = |username| NewUser { is_admin: true, ..new_user(username) };
        create(&database, &clock, admin("admin")).await.unwrap();
        create(&database, &clock, admin("second")).await.unwrap();
        create(&database, &clock, new_user("alice")).await.unwrap();
        // Both at once: whoever comes second finds the other gone.
        let (one, two) = tokio::join!(
            async { disable(&database, &clock, &name("admin")).await },
            async { disable(&database, &clock, &name("second")).await },
        );
        let errors: Vec<UserError> = [one, two].into_iter().filter_map(Result::err).collect();
        assert!(matches!(errors[..], [UserError::LastAdministrator(_)]), "{errors:?}");
        disable(&database, &clock, &name("alice")).await.unwrap();
    }

    async fn a_project_has_one_path_and_a_known_owner(database: Database) {
        let context = context(&database);
        let clock = &context.clock;
        create(&database, clock, new_user("alice")).await.unwrap();
        let new = |path: &str, owner: Option<&str>| NewProject {
            path: path.parse().unwrap(),
            owner: owner.map(name),
            visibility: Visibility::Public,
        };
        project::create(&context, new("team/app", Some("alice"))).await.unwrap();
        let error = project::create(&context, new("team/app", None)).await.unwrap_err();
        assert!(matches!(error, ProjectError::PathTaken(_)), "{error:?}");
        let error = project::create(&context, new("b", Some("bob"))).await.unwrap_err();
        assert!(matches!(error, ProjectError::OwnerNotFound(_)), "{error:?}");
    }
}

#[test]
fn addresses_are_checked_for_plausibility() {
    for address in ["a@b", "alice@example.com", "\"odd@name\"@example.com"] {
        assert!(Email::from_str(address).is_ok(), "{address}");
    }
    let long = format!("{}@example.com", "a".repeat(250));
    for address in [
        "",
        "alice",
        "@example.com",
        "alice@",
        "a b@c",
        "a\n@b",
        &long,
    ] {
        assert_eq!(
            Email::from_str(address).unwrap_err(),
            InvalidEmail,
            "{address:?}"
        );
    }
}
