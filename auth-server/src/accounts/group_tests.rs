use std::time::Duration;

use super::*;
use crate::accounts::Visibility;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, name, repository};

fn new(path: &str) -> NewGroup {
    NewGroup {
        path: repository(path),
        owner: None,
        create_on_push: false,
    }
}

const ON: GroupChange = GroupChange {
    create_on_push: Some(true),
};

async fn seen(world: &World, caller: Caller<'_>) -> String {
    let filter = GroupFilter::seen_by(caller, world.0.clock.now());
    let request = PageRequest::new(None, 100);
    let page = list(&world.0.database, &filter, &request).await.unwrap();
    assert_eq!(page.total, page.entries.len() as u64);
    let paths: Vec<&str> = page
        .entries
        .iter()
        .map(|group| group.path.as_str())
        .collect();
    paths.join(" ")
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn of_two_who_put_the_same_group_at_once_one_creates_it(database: Database) {
        let world = World::new(&database);
        let admin = Caller::Administrator;
        let plain = new("team");
        for (expected, refused) in [(Expected::Nothing, 1), (Expected::Anything, 0)] {
            let make = || put(&world.0, admin, &plain, expected);
            let results = tokio::join!(make(), make());
            let results = [results.0, results.1];
            let made = results.iter().filter(|result| matches!(result, Ok(put) if put.is_new));
            assert_eq!(made.count(), 1);
            let told = results.iter().filter(|result| {
                matches!(result, Err(GroupError::Already(path)) if *path == plain.path)
            });
            assert_eq!(told.count(), refused, "{results:?}");
            let there = find_by_path(&database, &plain.path).await.unwrap().unwrap();
            delete(&world.0, there.id, None).await.unwrap();
        }
    }

    async fn a_group_is_put_as_often_as_one_likes(database: Database) {
        let world = World::new(&database);
        let admin = Caller::Administrator;
        let plain = new("team");
        let changed = NewGroup { create_on_push: true, ..plain.clone() };
        for expected in [Expected::Something, Expected::Version(1)] {
            let error = put(&world.0, admin, &plain, expected).await.unwrap_err();
            assert!(matches!(error, GroupError::NotYet(_)), "{error:?}");
        }
        let first = put(&world.0, admin, &plain, Expected::Nothing).await.unwrap();
        assert!(first.is_new);
        let again = put(&world.0, admin, &plain, Expected::Anything).await.unwrap();
        assert_eq!(again, Put { is_new: false, ..first.clone() });
        let other = put(&world.0, admin, &changed, Expected::Version(1)).await.unwrap();
        assert_eq!((other.is_new, other.object.version), (false, 2));
        let error = put(&world.0, admin, &plain, Expected::Version(1)).await.unwrap_err();
        assert!(matches!(error, GroupError::Outdated), "{error:?}");
        assert_eq!(
            world.audited().await,
            ["group.create team", "group.update team"]
        );
    }

    async fn a_group_comes_back_as_created(database: Database) {
        let world = World::new(&database);
        let created = world.group("team").await;
        assert_eq!(find_by_path(&database, &created.path).await.unwrap(), Some(created.clone()));
        assert_eq!(find_by_id(&database, created.id).await.unwrap(), Some(created.clone()));
        let changed = update(&world.0, created.id, ON, Some(1)).await.unwrap();
        assert_eq!(changed, Group { create_on_push: true, version: 2, ..created.clone() });
        let same = update(&world.0, created.id, ON, None).await.unwrap();
        assert_eq!(same, changed);
        delete(&world.0, created.id, Some(2)).await.unwrap();
        assert_eq!(find_by_id(&database, created.id).await.unwrap(), None);
        assert_eq!(
            world.audited().await,
            ["group.create team", "group.update team", "group.delete team"]
        );
    }

    async fn a_group_is_made_by_those_who_may(database: Database) {
        let world = World::new(&database);
        let (owner, maintainer) = (world.user("owner").await, world.user("maintainer").await);
        world.group("team").await;
        world.project("team/app", Visibility::Private).await;
        world.member("team", "owner", Role::Owner).await;
        world.member("team", "maintainer", Role::Maintainer).await;
        let (owner, maintainer) = (Caller::from(&owner), Caller::from(&maintainer));
        for (caller, path, expected) in [
            (owner, "team/one", "created"),
            (owner, "team/one/deep", "created"),
            (maintainer, "team/two", "denied"),
            (owner, "team/nothing/deep", "denied"),
            (owner, "top", "denied"),
            (owner, "owner/below", "denied"),
            // The same whether there is something or not.
            (maintainer, "team/app", "denied"),
            (owner, "team/app", "taken"),
            // A project is no group, and neither is a user.
            (owner, "team/app/below", "denied"),
            (Caller::Administrator, "team/app/below", "no group"),
            (Caller::Administrator, "owner/below", "no group"),
            (Caller::Administrator, "nothing/below", "no group"),
            (Caller::Administrator, "owner", "taken"),
            (Caller::Administrator, "team", "taken"),
            (Caller::Administrator, "top", "created"),
            (Caller::Administrator, "team/two", "created"),
        ] {
            let result = match create(&world.0, caller, new(path)).await {
                Ok(_) => "created",
                Err(GroupError::Namespace(NamespaceError::Denied { .. })) => "denied",
                Err(GroupError::Namespace(NamespaceError::Taken(_))) => "taken",
                Err(GroupError::Namespace(NamespaceError::NoGroup { .. })) => "no group",
                Err(error) => panic!("{error:?}"),
            };
            assert_eq!(result, expected, "{path}");
        }
        let with_owner = NewGroup { owner: Some(name("nobody")), ..new("x") };
        let error = create(&world.0, Caller::Administrator, with_owner).await.unwrap_err();
        assert!(matches!(error, GroupError::OwnerNotFound(_)), "{error:?}");
    }

    async fn a_group_in_which_something_lies_stays(database: Database) {
        let world = World::new(&database);
        let group = world.group("team").await;
        world.group("team-2").await;
        let inner = world.group("team/inner").await;
        let project = world.project("team/inner/app", Visibility::Private).await;
        for (id, expected) in [(group.id, "team/inner"), (inner.id, "team/inner/app")] {
            match delete(&world.0, id, None).await.unwrap_err() {
                GroupError::NotEmpty { path } => assert_eq!(path, expected),
                error => panic!("{error:?}"),
            }
        }
        crate::accounts::project::delete(&world.0, project.id, None).await.unwrap();
        delete(&world.0, inner.id, None).await.unwrap();
        delete(&world.0, group.id, None).await.unwrap();
        world.user("team").await;
    }

    async fn nothing_is_put_into_a_group_that_goes_away(database: Database) {
        let world = World::new(&database);
        for round in 0..5 {
            let group = world.group("team").await;
            let new = crate::accounts::project::NewProject {
                path: repository("team/app"),
                owner: None,
                visibility: Visibility::Private,
            };
            let (deleted, created) = tokio::join!(
                delete(&world.0, group.id, None),
                crate::accounts::project::create(&world.0, Caller::Administrator, new),
            );
            assert_ne!(deleted.is_ok(), created.is_ok(), "{round}: {deleted:?} {created:?}");
            if let Ok(project) = created {
                crate::accounts::project::delete(&world.0, project.id, None).await.unwrap();
                delete(&world.0, group.id, None).await.unwrap();
            }
        }
    }

    async fn of_two_who_change_the_same_version_one_is_told(database: Database) {
        let world = World::new(&database);
        let read = world.group("team").await;
        update(&world.0, read.id, ON, Some(read.version)).await.unwrap();
        let off = GroupChange { create_on_push: Some(false) };
        for error in [
            update(&world.0, read.id, off, Some(read.version)).await.unwrap_err(),
            delete(&world.0, read.id, Some(read.version)).await.unwrap_err(),
        ] {
            assert!(matches!(error, GroupError::Outdated), "{error:?}");
        }
        delete(&world.0, read.id, None).await.unwrap();
        for error in [
            update(&world.0, read.id, off, None).await.unwrap_err(),
            delete(&world.0, read.id, None).await.unwrap_err(),
        ] {
            assert!(matches!(error, GroupError::NotFound), "{error:?}");
        }
    }

    async fn members_see_their_groups_and_those_below(database: Database) {
        let world = World::new(&database);
        let hour = Duration::from_hours(1);
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        for path in ["team", "team/a", "team/a/b", "team/c", "teams", "other"] {
            world.group(path).await;
        }
        world.project("team/c/app", Visibility::Private).await;
        world.member("team/a", "alice", Role::Guest).await;
        // A member of a project in it is no member of the group.
        world.member("team/c/app", "alice", Role::Owner).await;
        world.member_until("other", "alice", Role::Owner, Some(world.0.clock.now() + hour)).await;
        assert_eq!(
            seen(&world, Caller::Administrator).await,
            "other team team/a team/a/b team/c teams"
        );
        assert_eq!(seen(&world, Caller::from(&alice)).await, "other team/a team/a/b");
        assert_eq!(seen(&world, Caller::from(&bob)).await, "");
        world.0.clock.advance(hour);
        assert_eq!(seen(&world, Caller::from(&alice)).await, "team/a team/a/b");

        let mut filter = GroupFilter::seen_by(Caller::Administrator, world.0.clock.now());
        filter.below = Some(repository("team"));
        filter.search = Some("A".to_owned());
        let first = PageRequest::new(None, 1).in_order(crate::accounts::Order::NameDescending);
        let page = list(&database, &filter, &first).await.unwrap();
        assert_eq!(page.total, 3);
        assert!(page.more);
        assert_eq!(page.entries[0].path.as_str(), "team/c");
    }
}
