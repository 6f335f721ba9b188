use std::time::Duration;

use super::*;
use crate::accounts::{Role, Visibility};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, clock, name, repository};

fn new(to: NewGrantee, pattern: &str) -> NewGrant {
    NewGrant {
        to,
        actions: Actions::PULL_PUSH,
        pattern: pattern.parse().unwrap(),
        expires_at: None,
    }
}

fn to_alice(pattern: &str) -> NewGrant {
    new(NewGrantee::User(name("alice")), pattern)
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_grant_comes_back_as_created_and_changed(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        let project = world.project("app", Visibility::Private).await;
        let admin = Caller::Administrator;
        let created = create(&world.0, admin, project.id, to_alice("app/**")).await.unwrap();
        assert_eq!(created.to, Grantee::User { id: alice.id, name: name("alice") });
        assert_eq!(created.project, project.path);
        assert_eq!(
            find(&database, project.id, created.id).await.unwrap(),
            Some(created.clone())
        );
        let end = world.0.clock.now() + Duration::from_hours(1);
        let change = GrantChange {
            actions: Some(Actions::PULL),
            pattern: Some("app/x".parse().unwrap()),
            expires_at: Some(Some(end)),
        };
        let changed =
            update(&world.0, project.id, created.id, change.clone(), Some(1)).await.unwrap();
        assert_eq!(
            changed,
            Grant {
                actions: Actions::PULL,
                pattern: "app/x".parse().unwrap(),
                expires_at: Some(end),
                version: 2,
                ..created.clone()
            }
        );
        let same = update(&world.0, project.id, created.id, change, None).await.unwrap();
        assert_eq!(same, changed);
        let page = list(&database, project.id, &PageRequest::new(None, 10)).await.unwrap();
        assert_eq!(page.entries, [changed]);
        for error in [
            update(&world.0, project.id, created.id, GrantChange::default(), Some(1)).await.unwrap_err(),
            delete(&world.0, project.id, created.id, Some(1)).await.unwrap_err(),
        ] {
            assert!(matches!(error, GrantError::Outdated), "{error:?}");
        }
        delete(&world.0, project.id, created.id, Some(2)).await.unwrap();
        assert_eq!(find(&database, project.id, created.id).await.unwrap(), None);
        assert_eq!(
            world.audited().await[2..],
            ["grant.create app", "grant.update app", "grant.delete app"]
        );
    }

    async fn what_makes_no_sense_is_refused(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        world.group("secret").await;
        let project = world.project("app", Visibility::Private).await;
        let other = world.project("other", Visibility::Private).await;
        let unknown = clock().uuid();
        for (grant, words) in [
            (to_alice("other/**"), "matches nothing"),
            (NewGrant { actions: Actions::NONE, ..to_alice("**") }, "pull, push, delete"),
            (NewGrant { actions: Actions::ALL, ..to_alice("**") }, "pull, push, delete"),
            (NewGrant { expires_at: Some(world.0.clock.now()), ..to_alice("**") }, "past"),
            (new(NewGrantee::User(name("nobody")), "**"), "no user `nobody`"),
            (new(NewGrantee::Group(repository("none")), "**"), "no group `none`"),
            // Alice may not know of it, so it is not there.
            (new(NewGrantee::Group(repository("secret")), "**"), "no group `secret`"),
            (new(NewGrantee::Group(repository("app")), "**"), "no group `app`"),
            (new(NewGrantee::Token(unknown), "**"), "token"),
        ] {
            let caller = Caller::from(&alice);
            let error = create(&world.0, caller, project.id, grant).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let admin = Caller::Administrator;
        let missing = create(&world.0, admin, ProjectId(unknown), to_alice("**")).await.unwrap_err();
        assert!(matches!(missing, GrantError::ProjectNotFound), "{missing:?}");
        let grant = create(&world.0, admin, project.id, to_alice("**")).await.unwrap();
        let to_nothing = GrantChange { actions: Some(Actions::NONE), ..GrantChange::default() };
        let error = update(&world.0, project.id, grant.id, to_nothing, None).await.unwrap_err();
        assert!(matches!(error, GrantError::Actions), "{error:?}");
        // Through another project a grant is not there.
        for error in [
            update(&world.0, other.id, grant.id, GrantChange::default(), None).await.unwrap_err(),
            delete(&world.0, other.id, grant.id, None).await.unwrap_err(),
        ] {
            assert!(matches!(error, GrantError::NotFound), "{error:?}");
        }
        assert_eq!(find(&database, other.id, grant.id).await.unwrap(), None);
    }

    async fn a_grant_to_a_group_is_one_to_its_members_and_those_above(database: Database) {
        let world = World::new(&database);
        for path in ["team", "team/inner", "team/inner/deep", "other"] {
            world.group(path).await;
        }
        let project = world.project("app", Visibility::Private).await;
        world.project("team/inner/app", Visibility::Private).await;
        let to = new(NewGrantee::Group(repository("team/inner")), "**");
        let created = create(&world.0, Caller::Administrator, project.id, to).await.unwrap();
        let now = world.0.clock.now();
        for (index, (path, end, expected)) in [
            ("team", None, true),
            ("team/inner", None, true),
            ("team/inner", Some(now + Duration::from_secs(1)), true),
            ("team/inner/deep", None, false),
            ("team/inner/app", None, false),
            ("other", None, false),
        ]
        .into_iter()
        .enumerate()
        {
            let username = format!("user{index}");
            let user = world.user(&username).await;
            world.member_until(path, &username, Role::Guest, end).await;
            let mut tx = database.read().await.unwrap();
            let found = store::grants::to(&mut tx, &["app"], Some(user.id), None, now).await.unwrap();
            assert_eq!(!found.is_empty(), expected, "{path}");
            assert!(found.iter().all(|grant| *grant == created));
            let any = store::grants::any_to_user(&mut tx, project.id, user.id, now).await.unwrap();
            assert_eq!(any, expected, "{path}");
            if let Some(end) = end {
                let any =
                    store::grants::any_to_user(&mut tx, project.id, user.id, end).await.unwrap();
                assert!(!any, "the membership has expired");
            }
        }
        let mut tx = database.read().await.unwrap();
        let to_nobody = store::grants::to(&mut tx, &["app"], None, None, now).await.unwrap();
        assert_eq!(to_nobody, []);
    }
}
