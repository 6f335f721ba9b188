use super::*;
use crate::accounts::project::NewProject;
use crate::accounts::{Visibility, grant, project};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, name, repository};

#[test]
fn a_path_is_followed_by_all_above_it() {
    let path = repository("team/app/worker");
    let listed: Vec<_> = at_and_above(&path).collect();
    assert_eq!(listed, ["team", "team/app", "team/app/worker"]);
    let path = repository("app");
    assert_eq!(at_and_above(&path).collect::<Vec<_>>(), ["app"]);
}

#[test]
fn a_path_contains_what_lies_below_it() {
    let outer = repository("team/app");
    for inside in ["team/app", "team/app/worker", "team/app/a/b"] {
        assert!(is_at_or_below(&repository(inside), &outer), "{inside}");
    }
    for outside in [
        "team",
        "team/application",
        "team/app-2",
        "team/ap",
        "other/team/app",
    ] {
        assert!(!is_at_or_below(&repository(outside), &outer), "{outside}");
    }
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn everybody_stands_where_their_roles_are(database: Database) {
        let world = World::new(&database);
        let now = world.0.clock.now();
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        world.group("team").await;
        world.group("team/inner").await;
        world.project("team/inner/app", Visibility::Private).await;
        world.project("team/inner/app/nested", Visibility::Private).await;
        world.project("house", Visibility::Internal).await;
        let granted = world.project("granted", Visibility::Private).await;
        let new = NewProject {
            path: repository("alice/app"),
            owner: None,
            visibility: Visibility::Private,
        };
        project::create(&world.0, Caller::from(&alice), new).await.unwrap();
        world.member("team", "alice", Role::Reporter).await;
        world.member_until("team/inner", "alice", Role::Owner, Some(now + chrono::TimeDelta::seconds(1))).await;
        world.member("team/inner/app", "alice", Role::Developer).await;
        let to_alice = grant::NewGrant {
            to: grant::NewGrantee::User(name("alice")),
            actions: registry_token::Actions::PULL,
            pattern: "**".parse().unwrap(),
            expires_at: None,
        };
        grant::create(&world.0, Caller::Administrator, granted.id, to_alice).await.unwrap();

        let later = now + chrono::TimeDelta::seconds(1);
        let (a, b, admin) = (Caller::from(&alice), Caller::from(&bob), Caller::Administrator);
        for (caller, at, path, is_there, role, is_seen) in [
            (a, now, "team", true, Some(Role::Reporter), true),
            (a, now, "team/inner", true, Some(Role::Owner), true),
            (a, later, "team/inner", true, Some(Role::Reporter), true),
            (a, now, "team/inner/app", true, Some(Role::Owner), true),
            (a, later, "team/inner/app", true, Some(Role::Developer), true),
            // What one is in a project, one is not in the project within.
            (a, later, "team/inner/app/nested", true, Some(Role::Reporter), true),
            (a, now, "team/none", false, Some(Role::Reporter), false),
            (a, now, "alice/app", true, Some(Role::Owner), true),
            (a, now, "alice", true, None, false),
            (a, now, "house", true, None, true),
            (a, now, "granted", true, None, true),
            (a, now, "none", false, None, false),
            (b, now, "team", true, None, false),
            (b, now, "team/inner/app", true, None, false),
            (b, now, "alice/app", true, None, false),
            (b, now, "house", true, None, true),
            (b, now, "granted", true, None, false),
            (admin, now, "team/inner/app", true, Some(Role::Owner), true),
            (admin, now, "none", false, Some(Role::Owner), false),
        ] {
            let standing = standing(&database, at, caller, &repository(path)).await.unwrap();
            let shown = (standing.place.is_some(), standing.role, standing.is_seen);
            assert_eq!(shown, (is_there, role, is_seen), "{caller:?} {path}");
        }
    }
}
