use std::str::FromStr as _;

use super::*;
use crate::accounts::{Order, Visibility};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, clock, context_at, hash, name, new_user};

async fn disable(context: &Context, username: &Username) -> Result<User, UserError> {
    let change = UserChange {
        disabled: Some(true),
        ..UserChange::default()
    };
    update(context, username, change, None).await
}

async fn enable(context: &Context, username: &Username) -> Result<User, UserError> {
    let change = UserChange {
        disabled: Some(false),
        ..UserChange::default()
    };
    update(context, username, change, None).await
}

/// What the audit log has: actions, and who they were done to.
async fn recorded(database: &Database) -> Vec<(String, String)> {
    let mut tx = database.read().await.unwrap();
    database::sql!(
        &mut tx,
        fetch_all(String, String),
        "SELECT action, subject_name FROM audit_events ORDER BY number"
    )
    .unwrap()
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_user_comes_back_as_created(database: Database) {
        let clock = clock();
        let mut new = new_user("alice");
        new.email = Some(Email::from_str("alice@example.com").unwrap());
        let created = create(&context_at(&database, &clock), new).await.unwrap();
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
        create(&context_at(&database, &clock), with_email("alice", "alice@example.com")).await.unwrap();
        let error = create(&context_at(&database, &clock), new_user("alice")).await.unwrap_err();
        assert!(matches!(error, UserError::UsernameTaken(_)), "{error:?}");
        let error = create(&context_at(&database, &clock), with_email("bob", "Alice@Example.com"))
            .await
            .unwrap_err();
        assert!(matches!(error, UserError::EmailTaken), "{error:?}");
    }

    async fn of_many_that_want_one_name_at_once_one_gets_it(database: Database) {
        let clock = clock();
        let context = context_at(&database, &clock);
        let attempts = futures_util::future::join_all(
            (0..8).map(|_| create(&context, new_user("alice"))),
        )
        .await;
        assert_eq!(attempts.iter().filter(|attempt| attempt.is_ok()).count(), 1);
        for error in attempts.into_iter().filter_map(Result::err) {
            assert!(matches!(error, UserError::UsernameTaken(_)), "{error:?}");
        }
    }

    async fn nobody_gets_a_name_under_which_others_have_projects(database: Database) {
        let world = World::new(&database);
        let context = &world.0;
        for path in ["team", "x-y"] {
            world.group(path).await;
        }
        for path in ["team/app", "lib", "x-y/z"] {
            world.project(path, Visibility::Private).await;
        }
        for username in ["team", "lib", "x-y"] {
            let error = create(context, new_user(username)).await.unwrap_err();
            assert!(matches!(error, UserError::UsernameTaken(_)), "{error:?}");
        }
        // Projects from before there were groups lie in nothing.
        let mut tx = database.begin().await.unwrap();
        database::sql!(&mut tx, execute, "DELETE FROM groups WHERE path = 'x-y'").unwrap();
        tx.commit().await.unwrap();
        let error = create(context, new_user("x-y")).await.unwrap_err();
        assert!(matches!(error, UserError::NamespaceInUse { .. }), "{error:?}");
        for username in ["tea", "team2", "team-a", "x", "li"] {
            create(context, new_user(username)).await.unwrap();
        }
    }

    async fn pages_follow_each_other_without_gap_or_overlap(database: Database) {
        let clock = clock();
        let mut names = ["carol", "alice", "a-b", "a.b", "a_b", "ab", "b"];
        for username in names {
            create(&context_at(&database, &clock), new_user(username)).await.unwrap();
        }
        names.sort_unstable();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = list(&database, &UserFilter::default(), &PageRequest::new(after, 2)).await.unwrap();
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
        create(&context_at(&database, &clock), new_user("alice")).await.unwrap();
        let first = disable(&context_at(&database, &clock), &name("alice")).await.unwrap();
        assert_eq!(first.disabled_at, Some(clock.now()));
        clock.advance(std::time::Duration::from_mins(1));
        let second = disable(&context_at(&database, &clock), &name("alice")).await.unwrap();
        assert_eq!(second.disabled_at, first.disabled_at);
        assert!(!enable(&context_at(&database, &clock), &name("alice")).await.unwrap().is_disabled());
        assert_eq!(
            find(&database, &name("alice")).await.unwrap().unwrap().disabled_at,
            None
        );
    }

    async fn who_does_not_exist_cannot_be_changed(database: Database) {
        let clock = clock();
        let nobody = name("nobody");
        for error in [
            disable(&context_at(&database, &clock), &nobody).await.unwrap_err(),
            enable(&context_at(&database, &clock), &nobody).await.unwrap_err(),
            set_password(&context_at(&database, &clock), &nobody, &hash("battery: staple").await)
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(error, UserError::NotFound(_)), "{error:?}");
        }
    }

    async fn one_administrator_always_remains(database: Database) {
        let clock = clock();
        let admin = |username| NewUser { is_admin: true, ..new_user(username) };
        create(&context_at(&database, &clock), admin("admin")).await.unwrap();
        create(&context_at(&database, &clock), admin("second")).await.unwrap();
        create(&context_at(&database, &clock), new_user("alice")).await.unwrap();
        // Both at once: whoever comes second finds the other gone.
        let (one, two) = tokio::join!(
            async { disable(&context_at(&database, &clock), &name("admin")).await },
            async { disable(&context_at(&database, &clock), &name("second")).await },
        );
        let errors: Vec<UserError> = [one, two].into_iter().filter_map(Result::err).collect();
        assert!(matches!(errors[..], [UserError::LastAdministrator(_)]), "{errors:?}");
        disable(&context_at(&database, &clock), &name("alice")).await.unwrap();
    }

    async fn a_change_is_for_the_version_that_was_read(database: Database) {
        let clock = clock();
        let context = context_at(&database, &clock);
        let alice = create(&context, new_user("alice")).await.unwrap();
        let email = |text: &str| UserChange {
            email: Some(Some(text.parse().unwrap())),
            ..UserChange::default()
        };
        let changed = update(&context, &alice.username, email("a@b"), Some(1)).await.unwrap();
        assert_eq!((changed.version, changed.email.as_deref()), (2, Some("a@b")));
        // The same again is no change.
        let again = update(&context, &alice.username, email("a@b"), Some(2)).await.unwrap();
        assert_eq!(again, changed);
        for error in [
            update(&context, &alice.username, email("c@d"), Some(1)).await.unwrap_err(),
            delete(&context, &alice.username, Some(1)).await.unwrap_err(),
        ] {
            assert!(matches!(error, UserError::Outdated(_)), "{error:?}");
        }
        set_password(&context, &alice.username, &hash("battery: staple").await).await.unwrap();
        delete(&context, &alice.username, Some(3)).await.unwrap();
        assert_eq!(find(&database, &alice.username).await.unwrap(), None);
        let event = |action: &str| (action.to_owned(), "alice".to_owned());
        assert_eq!(
            recorded(&database).await,
            ["user.create", "user.update", "user.set_password", "user.delete"].map(event)
        );
    }

    async fn of_two_that_change_one_version_one_is_told(database: Database) {
        let clock = clock();
        let context = context_at(&database, &clock);
        let alice = create(&context, new_user("alice")).await.unwrap();
        let change = |is_admin| UserChange {
            is_admin: Some(is_admin),
            email: Some(Some(format!("{is_admin}@example.com").parse().unwrap())),
            ..UserChange::default()
        };
        let (one, two) = tokio::join!(
            update(&context, &alice.username, change(true), Some(1)),
            update(&context, &alice.username, change(false), Some(1)),
        );
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let error = one.and(two).unwrap_err();
        assert!(matches!(error, UserError::Outdated(_)), "{error:?}");
    }

    async fn an_address_is_cleared_and_taken_over_but_not_shared(database: Database) {
        let clock = clock();
        let context = context_at(&database, &clock);
        create(&context, new_user("alice")).await.unwrap();
        create(&context, new_user("bob")).await.unwrap();
        let email = |text: Option<&str>| UserChange {
            email: Some(text.map(|text| text.parse().unwrap())),
            ..UserChange::default()
        };
        update(&context, &name("alice"), email(Some("a@b")), None).await.unwrap();
        let error = update(&context, &name("bob"), email(Some("A@b")), None).await.unwrap_err();
        assert!(matches!(error, UserError::EmailTaken), "{error:?}");
        update(&context, &name("alice"), email(Some("A@B")), None).await.unwrap();
        let alice = update(&context, &name("alice"), email(None), None).await.unwrap();
        assert_eq!(alice.email, None);
        update(&context, &name("bob"), email(Some("A@b")), None).await.unwrap();
    }

    async fn the_last_administrator_is_neither_demoted_nor_deleted(database: Database) {
        let clock = clock();
        let context = context_at(&database, &clock);
        let admin = NewUser { is_admin: true, ..new_user("admin") };
        create(&context, admin).await.unwrap();
        let second = NewUser { is_admin: true, ..new_user("second") };
        create(&context, second).await.unwrap();
        // One that cannot log in does not count.
        disable(&context, &name("second")).await.unwrap();
        let demotion = UserChange { is_admin: Some(false), ..UserChange::default() };
        for error in [
            update(&context, &name("admin"), demotion.clone(), None).await.unwrap_err(),
            delete(&context, &name("admin"), None).await.unwrap_err(),
        ] {
            assert!(matches!(error, UserError::LastAdministrator(_)), "{error:?}");
        }
        enable(&context, &name("second")).await.unwrap();
        update(&context, &name("admin"), demotion, None).await.unwrap();
        delete(&context, &name("admin"), None).await.unwrap();
    }

    async fn users_are_found_by_what_is_asked_of_them(database: Database) {
        let clock = clock();
        let context = context_at(&database, &clock);
        create(&context, NewUser { is_admin: true, ..new_user("root_1") }).await.unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        let mut carol = new_user("carol");
        carol.email = Some("C_1@Example.com".parse().unwrap());
        create(&context, carol).await.unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        create(&context, new_user("alice")).await.unwrap();
        disable(&context, &name("alice")).await.unwrap();
        let found = async |filter: UserFilter, order| {
            let request = PageRequest::new(None, 10).in_order(order);
            let page = list(&database, &filter, &request).await.unwrap();
            assert_eq!(page.total, page.entries.len() as u64);
            let names = page.entries.iter().map(|user| user.username.as_str());
            names.collect::<Vec<_>>().join(" ")
        };
        let all = UserFilter::default;
        assert_eq!(found(all(), Order::Name).await, "alice carol root_1");
        assert_eq!(found(all(), Order::NameDescending).await, "root_1 carol alice");
        assert_eq!(found(all(), Order::Created).await, "root_1 carol alice");
        assert_eq!(found(all(), Order::CreatedDescending).await, "alice carol root_1");
        let admin = |admin| UserFilter { admin: Some(admin), ..all() };
        assert_eq!(found(admin(true), Order::Name).await, "root_1");
        assert_eq!(found(admin(false), Order::Name).await, "alice carol");
        let disabled = |disabled| UserFilter { disabled: Some(disabled), ..all() };
        assert_eq!(found(disabled(true), Order::Name).await, "alice");
        assert_eq!(found(disabled(false), Order::Name).await, "carol root_1");
        let search = |text: &str| UserFilter { search: Some(text.to_owned()), ..all() };
        assert_eq!(found(search("_1"), Order::Name).await, "carol root_1");
        assert_eq!(found(search("EXAMPLE.com"), Order::Name).await, "carol");
        assert_eq!(found(search("%"), Order::Name).await, "");
    }

    async fn every_order_can_be_paged_through(database: Database) {
        let clock = clock();
        for username in ["carol", "alice", "bob"] {
            create(&context_at(&database, &clock), new_user(username)).await.unwrap();
            clock.advance(std::time::Duration::from_secs(1));
        }
        for (order, expected) in [
            (Order::Name, ["alice", "bob", "carol"]),
            (Order::NameDescending, ["carol", "bob", "alice"]),
            (Order::Created, ["carol", "alice", "bob"]),
            (Order::CreatedDescending, ["bob", "alice", "carol"]),
        ] {
            let mut after = None;
            for (index, expected) in expected.into_iter().enumerate() {
                let request = PageRequest::new(after, 1).in_order(order);
                let page = list(&database, &UserFilter::default(), &request).await.unwrap();
                assert_eq!(page.entries[0].username.as_str(), expected, "{order:?}");
                assert_eq!(page.more, index < 2);
                let last = &page.entries[0];
                after = Some(match order {
                    Order::Name | Order::NameDescending => last.username.to_string(),
                    Order::Created | Order::CreatedDescending => last.id.0.to_string(),
                });
            }
        }
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
