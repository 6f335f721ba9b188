use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::access::Place;
use crate::accounts::{ProjectId, Role, UserId};
use crate::testing::{clock, name, repository};

fn user(username: &str) -> User {
    let id = username
        .bytes()
        .fold(0, |id, byte| id << 8 | u128::from(byte));
    User {
        id: UserId(Uuid::from_u128(id)),
        username: name(username),
        email: None,
        is_admin: username == "admin",
        created_at: clock().now(),
        disabled_at: None,
        last_login_at: None,
        version: 1,
    }
}

fn project(path: &str, visibility: Visibility) -> Place {
    Place {
        project: Some(Project {
            id: ProjectId(Uuid::nil()),
            number: 7,
            path: repository(path),
            visibility,
            created_at: clock().now(),
            version: 1,
        }),
        ..group(path)
    }
}

fn group(path: &str) -> Place {
    Place {
        number: 3,
        path: repository(path),
        project: None,
        membership: None,
    }
}

impl Place {
    fn as_role(self, role: Role) -> Self {
        let membership = Some(HeldRole {
            role,
            expires_at: None,
        });
        Self { membership, ..self }
    }
}

fn subject(who: &str) -> Subject {
    match who {
        "" => Subject::Anonymous,
        who => Subject::User(user(who)),
    }
}

/// What `who` gets of `scope`, written as a scope's actions, and the mightiest reason.
fn decided(places: &[Place], who: &str, scope: &str) -> (String, &'static str) {
    let snapshot = Snapshot::new(subject(who), clock().now(), places.to_vec());
    let scope = Scope::parse(scope).unwrap();
    let decision = snapshot.decide(&scope);
    let rule = match decision.rules.first() {
        None => "",
        Some(Rule::Administrator) => "administrator",
        Some(Rule::OwnNamespace) => "own namespace",
        Some(Rule::Role { held, .. }) => held.role.as_str(),
        Some(Rule::Token { .. }) => "token",
        Some(Rule::PublicProject) => "public",
        Some(Rule::InternalProject) => "internal",
    };
    (decision.granted.to_string(), rule)
}

#[test]
fn the_table() {
    use Visibility::{Internal, Private, Public};

    // Roles are those of whoever asks, hence one table for each.
    let bare = [
        project("open", Public),
        project("open/secret", Private),
        project("house", Internal),
        project("alice/shown", Public),
        project("alice/gift", Private),
    ];
    let everything = "pull,push,delete";
    for (who, scope, granted, rule) in [
        // The administrator may do everything, also what has no project and no name yet.
        ("admin", "repository:any/thing:*", "*", "administrator"),
        (
            "admin",
            "repository:open/secret:push,pull",
            "pull,push",
            "administrator",
        ),
        ("admin", "registry:catalog:*", "*", "administrator"),
        // The catalog is for administrators, resources of other kinds are for nobody.
        ("alice", "registry:catalog:*", "", ""),
        ("", "registry:catalog:*", "", ""),
        ("admin", "package:alice/app:pull", "", ""),
        ("admin", "repository:host:5000/alice/app:pull", "", ""),
        // Everybody owns what is below their name, and nothing that only looks like it.
        (
            "alice",
            "repository:alice/app:pull,push,delete",
            everything,
            "own namespace",
        ),
        (
            "alice",
            "repository:alice/deep/er:*",
            everything,
            "own namespace",
        ),
        (
            "alice",
            "repository:alice/gift:push",
            "push",
            "own namespace",
        ),
        ("alice", "repository:alice:pull", "", ""),
        ("alice", "repository:alice2/app:pull", "", ""),
        ("alice", "repository:alice-2/app:pull", "", ""),
        ("alice", "repository:team/alice/app:pull", "", ""),
        ("bob", "repository:alice/app:pull,push", "", ""),
        ("", "repository:alice/app:pull", "", ""),
        // Everybody pulls from a public project, and does nothing else.
        ("", "repository:open:pull", "pull", "public"),
        ("", "repository:open/app:pull,push,delete", "pull", "public"),
        ("", "repository:open/app:push", "", "public"),
        ("bob", "repository:alice/shown:*", "pull", "public"),
        // The longest path counts: a private project inside a public one is private.
        ("", "repository:open/secret:pull", "", ""),
        ("bob", "repository:open/secret/app:pull", "", ""),
        ("", "repository:open/secrets:pull", "pull", "public"),
        ("", "repository:opens:pull", "", ""),
        // Internal: who has logged in.
        ("bob", "repository:house/app:pull,push", "pull", "internal"),
        ("", "repository:house/app:pull", "", ""),
    ] {
        assert_eq!(
            decided(&bare, who, scope),
            (granted.to_owned(), rule),
            "{who:?} {scope}"
        );
    }

    let as_member = [
        group("team").as_role(Role::Reporter),
        project("team/app", Private).as_role(Role::Developer),
        project("team/app/inner", Private),
        project("team/open", Public).as_role(Role::Guest),
        project("other", Private).as_role(Role::Owner),
        project("other/inner", Private),
    ];
    for (scope, granted, rule) in [
        ("repository:team/app:*", "pull,push", "developer"),
        ("repository:team/app/worker:push", "push", "developer"),
        // A role in a group is held in all below it; one in a project is not held in another.
        ("repository:team/app/inner:*", "pull", "reporter"),
        ("repository:other:*", everything, "owner"),
        ("repository:other/inner:*", "", ""),
        // The highest of the roles counts.
        ("repository:team/open:*", "pull", "reporter"),
        // No project, no rights.
        ("repository:team/nothing:pull", "", ""),
        ("repository:team:pull", "", ""),
    ] {
        assert_eq!(
            decided(&as_member, "bob", scope),
            (granted.to_owned(), rule),
            "{scope}"
        );
    }
}

#[test]
fn a_role_ends_when_it_expires() {
    let now = clock().now();
    let mut place = project("app", Visibility::Private).as_role(Role::Reporter);
    let scope = Scope::parse("repository:app:pull").unwrap();
    for (expires_at, expected) in [
        (None, "pull"),
        (Some(now + chrono::TimeDelta::microseconds(1)), "pull"),
        (Some(now), ""),
        (Some(now - chrono::TimeDelta::days(1)), ""),
    ] {
        place.membership.as_mut().unwrap().expires_at = expires_at;
        let snapshot = Snapshot::new(subject("bob"), now, vec![place.clone()]);
        let granted = snapshot.decide(&scope).granted;
        assert_eq!(granted.to_string(), expected, "{expires_at:?}");
    }
}

#[test]
fn what_is_granted_names_its_project_and_what_is_not_is_left_out() {
    let places = vec![project("alice", Visibility::Private)];
    let snapshot = Snapshot::new(subject("alice"), clock().now(), places);
    let scopes = registry_token::parse_scopes([
        "repository:alice/app:push,pull repository:bob/app:pull",
        "registry:catalog:*",
    ])
    .unwrap();
    assert_eq!(
        serde_json::to_value(snapshot.grant(&scopes)).unwrap(),
        serde_json::json!([{
            "type": "repository",
            "name": "alice/app",
            "actions": ["pull", "push"],
            "meta": {"project_path": "alice", "project_id": 7},
        }])
    );
}

/// The same decision, slow and obvious: go through every action and ask every question anew.
fn model(subject: &Subject, places: &[Place], name: &str, asked: &[Action]) -> Vec<Action> {
    let parts: Vec<&str> = name.split('/').collect();
    let at = |length: usize| {
        let path = parts[..length].join("/");
        places.iter().find(|place| place.path.as_str() == path)
    };
    let covering = (1..=parts.len())
        .rev()
        .find(|length| at(*length).is_some_and(|place| place.project.is_some()));
    let roles: Vec<Role> = (1..=covering.unwrap_or(0))
        .filter_map(|length| Some((length, at(length)?)))
        .filter(|(length, place)| place.project.is_none() || Some(*length) == covering)
        .filter_map(|(_, place)| place.membership)
        .map(|held| held.role)
        .collect();
    let visibility = covering.and_then(|length| Some(at(length)?.project.as_ref()?.visibility));
    let may = |action: Action| {
        let reads = action == Action::Pull;
        let everything = action == Action::All;
        let public = visibility == Some(Visibility::Public);
        let internal = visibility == Some(Visibility::Internal);
        match subject {
            Subject::Anonymous => reads && public,
            Subject::User(user) => {
                let own = parts.len() > 1 && parts[0] == user.username.as_str();
                let by_role = roles.iter().any(|role| match action {
                    Action::Pull => *role != Role::Guest,
                    Action::Push => *role != Role::Guest && *role != Role::Reporter,
                    Action::Delete => matches!(role, Role::Maintainer | Role::Owner),
                    Action::All => false,
                });
                user.is_admin || own && !everything || by_role || reads && (public || internal)
            }
            Subject::PersonalToken { .. } | Subject::Token(_) => unreachable!(),
        }
    };
    let all = [Action::Pull, Action::Push, Action::Delete, Action::All];
    all.into_iter()
        .filter(|action| asked.contains(action) || asked.contains(&Action::All))
        .filter(|action| may(*action))
        .collect()
}

fn any_path() -> impl Strategy<Value = String> {
    proptest::collection::vec("alice|bob|app|alice-2", 1..4).prop_map(|parts| parts.join("/"))
}

fn any_place() -> impl Strategy<Value = Place> {
    let visibility = prop_oneof![
        Just(Visibility::Private),
        Just(Visibility::Internal),
        Just(Visibility::Public)
    ];
    let role = proptest::option::of(proptest::sample::select(Role::ALL.to_vec()));
    (any_path(), proptest::option::of(visibility), role).prop_map(|(path, visibility, role)| {
        let place = match visibility {
            Some(visibility) => project(&path, visibility),
            None => group(&path),
        };
        match role {
            Some(role) => place.as_role(role),
            None => place,
        }
    })
}

fn any_actions() -> impl Strategy<Value = Vec<Action>> {
    proptest::sample::subsequence(
        vec![Action::Pull, Action::Push, Action::Delete, Action::All],
        1..=4,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn the_decision_is_the_models(
        who in "|alice|bob|admin",
        mut places in proptest::collection::vec(any_place(), 0..6),
        path in any_path(),
        asked in any_actions(),
    ) {
        // Paths are unique in the database, and an anonymous caller is a member of nothing.
        places.sort_by(|one, two| one.path.cmp(&two.path));
        places.dedup_by(|one, two| one.path == two.path);
        if who.is_empty() {
            places.iter_mut().for_each(|place| place.membership = None);
        }
        let snapshot = Snapshot::new(subject(&who), clock().now(), places.clone());
        let scope = Scope::repository(repository(&path), asked.iter().copied().collect::<Actions>());
        let expected = model(&snapshot.subject, &places, &path, &asked);
        prop_assert_eq!(
            snapshot.decide(&scope).granted,
            expected.into_iter().collect::<Actions>()
        );
    }
}
