use std::time::Duration;

use super::*;
use crate::accounts::{User, Visibility};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, name, repository};

const OWNER: NewMembership = NewMembership {
    role: Role::Owner,
    expires_at: None,
};
const GUEST: NewMembership = NewMembership {
    role: Role::Guest,
    expires_at: None,
};

async fn set_as(
    world: &World,
    caller: &User,
    path: &str,
    username: &str,
    new: NewMembership,
) -> Result<Put<Membership>, MemberError> {
    let (path, username) = (repository(path), name(username));
    set(
        &world.0,
        caller.into(),
        &path,
        &username,
        new,
        Expected::Anything,
    )
    .await
}

async fn remove_as(
    world: &World,
    caller: &User,
    path: &str,
    username: &str,
) -> Result<(), MemberError> {
    let (path, username) = (repository(path), name(username));
    remove(&world.0, caller.into(), &path, &username, None).await
}

/// `name:role` of each member, with all that makes them one.
async fn members(world: &World, path: &str, inherited: bool) -> Vec<String> {
    let filter = MemberFilter {
        inherited,
        search: None,
    };
    let request = PageRequest::new(None, 100);
    let now = world.0.clock.now();
    let page = list(&world.0.database, now, &repository(path), &filter, &request)
        .await
        .unwrap();
    assert_eq!(page.total, page.entries.len() as u64);
    let shown = page.entries.iter().map(|member| {
        let role = member.role.map_or("none", Role::as_str);
        let paths: Vec<&str> = member
            .memberships
            .iter()
            .map(|membership| membership.path.as_str())
            .collect();
        format!("{}:{role} {}", member.username, paths.join(" "))
    });
    shown.collect()
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_user_is_one_member_however_often_it_is_said(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        world.group("team").await;
        let first = set_as(&world, &alice, "team", "alice", GUEST).await.unwrap();
        assert!(first.is_new);
        let again = set_as(&world, &alice, "team", "alice", GUEST).await.unwrap();
        assert_eq!(again, Put { is_new: false, ..first.clone() });
        let changed = set_as(&world, &alice, "team", "alice", OWNER).await.unwrap().object;
        assert_eq!(changed, Membership { role: Role::Owner, version: 2, ..first.object });
        let found = find(&database, &repository("team"), &name("alice")).await.unwrap();
        assert_eq!(found, Some(changed));
        assert_eq!(members(&world, "team", false).await, ["alice:owner team"]);
        assert_eq!(
            world.audited().await[2..],
            ["member.set team:alice", "member.set team:alice"],
            "what is so already is no change"
        );
    }

    async fn what_is_nobody_or_nowhere_is_refused(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        world.group("team").await;
        let error = set_as(&world, &alice, "none", "alice", GUEST).await.unwrap_err();
        assert!(matches!(error, MemberError::NotFound), "{error:?}");
        // A user's own name is no group.
        let error = set_as(&world, &alice, "alice", "alice", GUEST).await.unwrap_err();
        assert!(matches!(error, MemberError::NotFound), "{error:?}");
        let error = set_as(&world, &alice, "team", "nobody", GUEST).await.unwrap_err();
        assert!(matches!(error, MemberError::UserNotFound(_)), "{error:?}");
        let error = remove_as(&world, &alice, "team", "alice").await.unwrap_err();
        assert!(matches!(error, MemberError::NoMember { .. }), "{error:?}");
        let now = world.0.clock.now();
        let past = NewMembership { expires_at: Some(now), ..GUEST };
        let error = set_as(&world, &alice, "team", "alice", past).await.unwrap_err();
        assert!(matches!(error, MemberError::Expired), "{error:?}");
    }

    async fn of_two_who_change_the_same_version_one_is_told(database: Database) {
        let world = World::new(&database);
        world.user("alice").await;
        world.group("team").await;
        let (path, alice) = (repository("team"), name("alice"));
        let admin = Caller::Administrator;
        let set = async |new, expected| {
            set(&world.0, admin, &path, &alice, new, expected).await.map(|set| set.is_new)
        };
        for expected in [Expected::Version(1), Expected::Something] {
            let error = set(GUEST, expected).await.unwrap_err();
            assert!(matches!(error, MemberError::NotYet { .. }), "{error:?}");
        }
        assert!(set(GUEST, Expected::Nothing).await.unwrap());
        let error = set(GUEST, Expected::Nothing).await.unwrap_err();
        assert!(matches!(error, MemberError::Already { .. }), "{error:?}");
        assert!(!set(GUEST, Expected::Something).await.unwrap());
        set(OWNER, Expected::Version(1)).await.unwrap();
        let error = set(GUEST, Expected::Version(1)).await.unwrap_err();
        assert!(matches!(error, MemberError::Outdated), "{error:?}");
        let error = remove(&world.0, admin, &path, &alice, Some(1)).await.unwrap_err();
        assert!(matches!(error, MemberError::Outdated), "{error:?}");
        remove(&world.0, admin, &path, &alice, Some(2)).await.unwrap();
        assert_eq!(members(&world, "team", true).await, [""; 0]);
    }

    async fn of_two_who_make_the_same_member_at_once_one_is_told(database: Database) {
        let world = World::new(&database);
        world.user("alice").await;
        world.group("team").await;
        let (path, alice) = (repository("team"), name("alice"));
        let make = || {
            let admin = Caller::Administrator;
            set(&world.0, admin, &path, &alice, GUEST, Expected::Nothing)
        };
        let results = tokio::join!(make(), make());
        let made = [results.0, results.1].into_iter().filter(|result| match result {
            Ok(set) => set.is_new,
            Err(MemberError::Already { .. }) => false,
            Err(error) => panic!("{error:?}"),
        });
        assert_eq!(made.count(), 1);
    }

    async fn one_owner_remains_for_good(database: Database) {
        let world = World::new(&database);
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        world.group("team").await;
        world.group("team/inner").await;
        world.member("team", "alice", Role::Owner).await;
        world.member("team/inner", "bob", Role::Owner).await;
        let hour = NewMembership {
            expires_at: Some(world.0.clock.now() + Duration::from_hours(1)),
            ..OWNER
        };
        let refused = |error: MemberError| {
            assert!(matches!(error, MemberError::LastOwner { .. }), "{error:?}");
        };
        refused(set_as(&world, &alice, "team", "alice", GUEST).await.unwrap_err());
        refused(set_as(&world, &alice, "team", "alice", hour).await.unwrap_err());
        refused(remove_as(&world, &alice, "team", "alice").await.unwrap_err());
        // Below, the owners of the group above remain.
        remove_as(&world, &bob, "team/inner", "bob").await.unwrap();
        // One who goes in an hour is no successor.
        set_as(&world, &alice, "team", "bob", hour).await.unwrap();
        refused(remove_as(&world, &alice, "team", "alice").await.unwrap_err());
        set_as(&world, &alice, "team", "bob", OWNER).await.unwrap();
        // Both at once: whoever comes second finds the other gone.
        let (one, two) = tokio::join!(
            remove_as(&world, &alice, "team", "alice"),
            remove_as(&world, &bob, "team", "bob"),
        );
        let errors: Vec<MemberError> = [one, two].into_iter().filter_map(Result::err).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.into_iter().for_each(refused);
        for username in ["alice", "bob"] {
            let (path, username) = (repository("team"), name(username));
            let removed = remove(&world.0, Caller::Administrator, &path, &username, None).await;
            assert!(matches!(removed, Ok(()) | Err(MemberError::NoMember { .. })), "{removed:?}");
        }
        assert_eq!(members(&world, "team", false).await, [""; 0]);
    }

    async fn what_lies_below_a_name_keeps_its_owner(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        world.project("alice/app", Visibility::Private).await;
        world.member("alice/app", "alice", Role::Owner).await;
        remove_as(&world, &alice, "alice/app", "alice").await.unwrap();
        world.project("top", Visibility::Private).await;
        world.member("top", "alice", Role::Owner).await;
        let error = remove_as(&world, &alice, "top", "alice").await.unwrap_err();
        assert!(matches!(error, MemberError::LastOwner { .. }), "{error:?}");
    }

    async fn members_are_listed_with_those_of_the_groups_above(database: Database) {
        let world = World::new(&database);
        for username in ["alice", "bob", "carol"] {
            world.user(username).await;
        }
        for path in ["team", "team/inner", "tea"] {
            world.group(path).await;
        }
        world.project("team/inner/app", Visibility::Private).await;
        world.project("team/inner/app/nested", Visibility::Private).await;
        let soon = world.0.clock.now() + Duration::from_hours(1);
        world.member("team", "alice", Role::Reporter).await;
        world.member_until("team/inner", "alice", Role::Owner, Some(soon)).await;
        world.member("team/inner/app", "bob", Role::Developer).await;
        world.member("tea", "carol", Role::Owner).await;
        world.member("team/inner/app/nested", "carol", Role::Owner).await;
        assert_eq!(members(&world, "team/inner/app", false).await, ["bob:developer team/inner/app"]);
        assert_eq!(
            members(&world, "team/inner/app", true).await,
            ["alice:owner team team/inner", "bob:developer team/inner/app"]
        );
        // A project's members are not those of the project in it.
        assert_eq!(
            members(&world, "team/inner/app/nested", true).await,
            ["alice:owner team team/inner", "carol:owner team/inner/app/nested"]
        );
        world.0.clock.advance(Duration::from_hours(1));
        assert_eq!(members(&world, "team/inner", true).await, ["alice:reporter team team/inner"]);
        assert_eq!(members(&world, "team/inner", false).await, ["alice:none team/inner"]);

        let filter = MemberFilter { inherited: true, search: Some("LIC".to_owned()) };
        let request = PageRequest::new(None, 1);
        let path = repository("team/inner/app");
        let page = list(&database, soon, &path, &filter, &request).await.unwrap();
        assert_eq!((page.total, page.more), (1, false));
        let filter = MemberFilter { search: None, ..filter };
        let page = list(&database, soon, &path, &filter, &request).await.unwrap();
        assert_eq!((page.total, page.more), (2, true));
        assert_eq!(page.entries.len(), 1);
        let next = PageRequest::new(Some("alice".to_owned()), 1);
        let page = list(&database, soon, &path, &filter, &next).await.unwrap();
        assert_eq!(page.entries[0].username, name("bob"));
        assert!(!page.more);
    }
}
