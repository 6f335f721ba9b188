use std::time::Duration;

use super::*;
use crate::accounts::{Order, Pattern, grant};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, clock, name, repository};

fn private(path: &str) -> NewProject {
    NewProject {
        path: repository(path),
        owner: None,
        visibility: Visibility::Private,
    }
}

fn to(visibility: Visibility) -> ProjectChange {
    ProjectChange {
        visibility: Some(visibility),
    }
}

/// The paths that a caller sees.
async fn seen(
    world: &World,
    caller: Caller<'_>,
    change: impl FnOnce(&mut ProjectFilter),
) -> String {
    let mut filter = ProjectFilter::seen_by(caller, world.0.clock.now());
    change(&mut filter);
    let request = PageRequest::new(None, 100);
    let page = list(&world.0.database, &filter, &request).await.unwrap();
    assert_eq!(page.total, page.entries.len() as u64);
    let paths: Vec<&str> = page
        .entries
        .iter()
        .map(|project| project.path.as_str())
        .collect();
    paths.join(" ")
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn of_two_who_put_the_same_project_at_once_one_creates_it(database: Database) {
        let world = World::new(&database);
        let admin = Caller::Administrator;
        let plain = NewProject { path: repository("team"), owner: None, visibility: Visibility::Private };
        for (expected, refused) in [(Expected::Nothing, 1), (Expected::Anything, 0)] {
            let make = || put(&world.0, admin, &plain, expected);
            let results = tokio::join!(make(), make());
            let results = [results.0, results.1];
            let made = results.iter().filter(|result| matches!(result, Ok(put) if put.is_new));
            assert_eq!(made.count(), 1);
            let told = results.iter().filter(|result| {
                matches!(result, Err(ProjectError::Already(path)) if *path == plain.path)
            });
            assert_eq!(told.count(), refused, "{results:?}");
            let there = find_by_path(&database, &plain.path).await.unwrap().unwrap();
            delete(&world.0, there.id, None).await.unwrap();
        }
    }

    async fn a_project_is_put_as_often_as_one_likes(database: Database) {
        let world = World::new(&database);
        let admin = Caller::Administrator;
        let plain = NewProject { path: repository("team"), owner: None, visibility: Visibility::Private };
        let changed = NewProject { visibility: Visibility::Public, ..plain.clone() };
        for expected in [Expected::Something, Expected::Version(1)] {
            let error = put(&world.0, admin, &plain, expected).await.unwrap_err();
            assert!(matches!(error, ProjectError::NotYet(_)), "{error:?}");
        }
        let first = put(&world.0, admin, &plain, Expected::Nothing).await.unwrap();
        assert!(first.is_new);
        let again = put(&world.0, admin, &plain, Expected::Anything).await.unwrap();
        assert_eq!(again, Put { is_new: false, ..first.clone() });
        let other = put(&world.0, admin, &changed, Expected::Version(1)).await.unwrap();
        assert_eq!((other.is_new, other.object.version), (false, 2));
        let error = put(&world.0, admin, &plain, Expected::Version(1)).await.unwrap_err();
        assert!(matches!(error, ProjectError::Outdated), "{error:?}");
        assert_eq!(
            world.audited().await,
            ["project.create team", "project.update team"]
        );
    }

    async fn a_project_comes_back_as_created(database: Database) {
        let world = World::new(&database);
        world.group("team").await;
        let created = world.project("team/app", Visibility::Private).await;
        let path = repository("team/app");
        assert_eq!(
            find_by_path(&database, &path).await.unwrap(),
            Some(created.clone())
        );
        assert_eq!(
            find_by_id(&database, created.id).await.unwrap(),
            Some(created)
        );
        assert_eq!(find_by_path(&database, &repository("team")).await.unwrap(), None);
        assert_eq!(world.audited().await, ["group.create team", "project.create team/app"]);
    }

    async fn a_project_is_made_by_those_who_may(database: Database) {
        let world = World::new(&database);
        for username in ["maintainer", "developer", "inner", "stranger"] {
            world.user(username).await;
        }
        world.group("team").await;
        world.group("team/inner").await;
        world.member("team", "maintainer", Role::Maintainer).await;
        world.member("team", "developer", Role::Developer).await;
        world.member("team/inner", "inner", Role::Owner).await;
        for (username, path, expected) in [
            ("maintainer", "team/app", "created"),
            // Inherited from above.
            ("maintainer", "team/inner/app", "created"),
            ("maintainer", "team/deep/er/app", "created"),
            ("developer", "team/other", "denied"),
            ("inner", "team/inner/other", "created"),
            ("inner", "team/other", "denied"),
            ("stranger", "team/other", "denied"),
            // The same for what exists, and for what does not.
            ("stranger", "team/app", "denied"),
            ("stranger", "nothing/app", "denied"),
            ("maintainer", "team/app", "taken"),
            ("maintainer", "team/inner", "denied"),
            ("inner", "team/inner", "denied"),
            // What lies at the top is for administrators, what lies below a name for its owner.
            ("maintainer", "top", "denied"),
            ("stranger", "stranger", "denied"),
            ("stranger", "stranger/app", "created"),
            ("stranger", "stranger/deep/er", "created"),
            ("stranger", "inner/app", "denied"),
            ("admin", "top", "created"),
            ("admin", "top/below", "created"),
            ("admin", "team/other", "created"),
            ("admin", "inner/app", "created"),
            ("admin", "nothing/app", "no namespace"),
            ("admin", "team", "taken"),
            ("admin", "inner", "taken"),
        ] {
            let user = match username {
                "admin" => None,
                username => crate::accounts::user::find(&database, &name(username)).await.unwrap(),
            };
            let caller = user.as_ref().map_or(Caller::Administrator, Caller::from);
            let result = match create(&world.0, caller, private(path)).await {
                Ok(project) => {
                    assert_eq!(project.path.as_str(), path);
                    "created"
                }
                Err(ProjectError::Namespace(NamespaceError::Denied { .. })) => "denied",
                Err(ProjectError::Namespace(NamespaceError::Taken(_))) => "taken",
                Err(ProjectError::Namespace(NamespaceError::NoNamespace { .. })) => "no namespace",
                Err(error) => panic!("{error:?}"),
            };
            assert_eq!(result, expected, "{username} {path}");
        }
    }

    async fn the_first_owner_must_exist_and_becomes_a_member(database: Database) {
        let world = World::new(&database);
        let new = NewProject { owner: Some(name("alice")), ..private("app") };
        let error = create(&world.0, Caller::Administrator, new.clone()).await.unwrap_err();
        assert!(matches!(error, ProjectError::OwnerNotFound(_)), "{error:?}");
        let alice = world.user("alice").await;
        create(&world.0, Caller::Administrator, new).await.unwrap();
        let memberships = crate::accounts::membership::of_user(&database, alice.id).await.unwrap();
        assert_eq!(memberships.len(), 1);
        assert_eq!((memberships[0].path.as_str(), memberships[0].role), ("app", Role::Owner));
    }

    async fn visibility_is_what_was_set_last(database: Database) {
        let world = World::new(&database);
        let mut project = world.project("app", Visibility::Private).await;
        for visibility in [Visibility::Public, Visibility::Internal, Visibility::Private] {
            let version = project.version + 1;
            let changed = update(&world.0, project.id, to(visibility), None).await.unwrap();
            assert_eq!(changed, Project { visibility, version, ..project });
            let found = find_by_id(&database, changed.id).await.unwrap();
            assert_eq!(found, Some(changed.clone()));
            project = changed;
        }
        for change in [to(project.visibility), ProjectChange::default()] {
            let same = update(&world.0, project.id, change, None).await.unwrap();
            assert_eq!(same, project, "nothing has changed, so the version is the same");
        }
        assert_eq!(world.audited().await.len(), 4);
    }

    async fn of_two_who_change_the_same_version_one_is_told(database: Database) {
        let world = World::new(&database);
        let read = world.project("app", Visibility::Private).await;
        let expected = Some(read.version);
        let (one, two) = tokio::join!(
            update(&world.0, read.id, to(Visibility::Public), expected),
            update(&world.0, read.id, to(Visibility::Internal), expected),
        );
        let errors: Vec<ProjectError> = [one, two].into_iter().filter_map(Result::err).collect();
        assert!(matches!(errors[..], [ProjectError::Outdated]), "{errors:?}");
        let error = delete(&world.0, read.id, expected).await.unwrap_err();
        assert!(matches!(error, ProjectError::Outdated), "{error:?}");
        delete(&world.0, read.id, Some(read.version + 1)).await.unwrap();
    }

    async fn the_number_of_a_deleted_project_is_not_given_again(database: Database) {
        let world = World::new(&database);
        let first = world.project("app", Visibility::Private).await;
        delete(&world.0, first.id, None).await.unwrap();
        assert_eq!(find_by_id(&database, first.id).await.unwrap(), None);
        let second = world.project("app", Visibility::Private).await;
        assert!(second.number > first.number);
    }

    async fn what_does_not_exist_cannot_be_changed(database: Database) {
        let world = World::new(&database);
        let id = ProjectId(clock().uuid());
        let error = update(&world.0, id, to(Visibility::Public), None).await.unwrap_err();
        assert!(matches!(error, ProjectError::NotFound), "{error:?}");
        let error = delete(&world.0, id, None).await.unwrap_err();
        assert!(matches!(error, ProjectError::NotFound), "{error:?}");
    }

    async fn everybody_sees_what_they_may_know_of(database: Database) {
        let world = World::new(&database);
        let now = world.0.clock.now();
        let hour = Duration::from_hours(1);
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        for path in ["team", "team/inner", "teams", "other"] {
            world.group(path).await;
        }
        for path in ["team/app", "team/inner/app", "team/open", "teams/app", "other/app", "bob/app"] {
            let visibility = if path == "team/open" { Visibility::Public } else { Visibility::Private };
            world.project(path, visibility).await;
        }
        world.project("other/house", Visibility::Internal).await;
        let project = world.project("other/granted", Visibility::Private).await;
        let group_wise = world.project("other/groupwise", Visibility::Private).await;
        world.project("other/member", Visibility::Private).await;

        let everything = "bob/app other/app other/granted other/groupwise other/house other/member \
                          team/app team/inner/app team/open teams/app";
        assert_eq!(seen(&world, Caller::Administrator, |_| {}).await, everything);
        let (alice, bob) = (Caller::from(&alice), Caller::from(&bob));
        assert_eq!(seen(&world, alice, |_| {}).await, "other/house team/open");
        assert_eq!(seen(&world, bob, |_| {}).await, "bob/app other/house team/open");

        world.member_until("team", "alice", Role::Guest, Some(now + hour)).await;
        world.member("other/member", "alice", Role::Reporter).await;
        let grant_of = |to, expires_at| grant::NewGrant {
            to,
            actions: registry_token::Actions::PULL,
            pattern: "**".parse::<Pattern>().unwrap(),
            expires_at,
        };
        let to_user = grant_of(grant::NewGrantee::User(name("alice")), Some(now + hour));
        grant::create(&world.0, Caller::Administrator, project.id, to_user).await.unwrap();
        let to_group = grant_of(grant::NewGrantee::Group(repository("team/inner")), None);
        grant::create(&world.0, Caller::Administrator, group_wise.id, to_group).await.unwrap();
        assert_eq!(
            seen(&world, alice, |_| {}).await,
            "other/granted other/groupwise other/house other/member team/app team/inner/app team/open"
        );
        assert_eq!(seen(&world, bob, |_| {}).await, "bob/app other/house team/open");
        let below = |path: &'static str| {
            move |filter: &mut ProjectFilter| filter.below = Some(repository(path))
        };
        assert_eq!(seen(&world, alice, below("team")).await, "team/app team/inner/app team/open");
        assert_eq!(
            seen(&world, alice, |filter| filter.visibility = Some(Visibility::Public)).await,
            "team/open"
        );
        assert_eq!(
            seen(&world, alice, |filter| filter.search = Some("INNER".to_owned())).await,
            "team/inner/app"
        );
        assert_eq!(seen(&world, alice, |filter| filter.search = Some("%".to_owned())).await, "");
        world.0.clock.advance(hour);
        assert_eq!(seen(&world, alice, |_| {}).await, "other/house other/member team/open");
    }

    async fn pages_follow_each_other_in_every_order(database: Database) {
        let world = World::new(&database);
        let paths = ["b", "a", "a/b", "a-b", "a.b", "ab", "a_b"];
        for path in paths {
            world.0.clock.advance(Duration::from_secs(1));
            world.project(path, Visibility::Private).await;
        }
        let filter = ProjectFilter::seen_by(Caller::Administrator, world.0.clock.now());
        let mut sorted = paths;
        sorted.sort_unstable();
        let reversed = |paths: [&'static str; 7]| paths.into_iter().rev().collect::<Vec<_>>();
        for (order, expected) in [
            (Order::Name, sorted.to_vec()),
            (Order::NameDescending, reversed(sorted)),
            (Order::Created, paths.to_vec()),
            (Order::CreatedDescending, reversed(paths)),
        ] {
            let mut listed = Vec::new();
            let mut after = None;
            loop {
                let request = PageRequest::new(after, 2).in_order(order);
                let page = list(&database, &filter, &request).await.unwrap();
                assert_eq!(page.total, 7);
                after = page.entries.last().map(|last| if order.is_by_name() {
                    last.path.to_string()
                } else {
                    last.id.0.to_string()
                });
                listed.extend(page.entries.into_iter().map(|project| project.path.to_string()));
                if !page.more {
                    break;
                }
            }
            assert_eq!(listed, expected, "{order:?}");
        }
    }
}
