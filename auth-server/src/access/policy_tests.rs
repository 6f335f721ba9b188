use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::accounts::{ProjectId, UserId};
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
    }
}

fn project(path: &str, owner: Option<&str>, visibility: Visibility) -> Project {
    Project {
        id: ProjectId(Uuid::nil()),
        number: 7,
        path: repository(path),
        owner_id: owner.map(|owner| user(owner).id),
        visibility,
        created_at: clock().now(),
    }
}

fn subject(who: &str) -> Subject {
    match who {
        "" => Subject::Anonymous,
        who => Subject::User(user(who)),
    }
}

/// What `who` gets of `scope`, written as a scope's actions, and why.
fn decided(projects: &[Project], who: &str, scope: &str) -> (String, Rule) {
    let snapshot = Snapshot::new(subject(who), projects.to_vec());
    let scope = Scope::parse(scope).unwrap();
    let decision = snapshot.decide(&scope);
    (decision.granted.to_string(), decision.rule)
}

#[test]
fn the_table() {
    use Rule::{Administrator, InternalProject, Nobody, OwnNamespace, ProjectOwner, PublicProject};
    use Visibility::{Internal, Private, Public};

    let projects = [
        project("open", None, Public),
        project("open/secret", Some("carol"), Private),
        project("house", None, Internal),
        project("alice/shown", None, Public),
        project("alice/gift", Some("bob"), Private),
    ];
    for (who, scope, granted, rule) in [
        // The administrator may do everything, also what has no project and no name yet.
        ("admin", "repository:any/thing:*", "*", Administrator),
        (
            "admin",
            "repository:open/secret:push,pull",
            "pull,push",
            Administrator,
        ),
        ("admin", "registry:catalog:*", "*", Administrator),
        // The catalog is for administrators, resources of other kinds are for nobody.
        ("alice", "registry:catalog:*", "", Nobody),
        ("", "registry:catalog:*", "", Nobody),
        ("admin", "package:alice/app:pull", "", Nobody),
        ("admin", "repository:host:5000/alice/app:pull", "", Nobody),
        // Everybody owns what is below their name, and nothing that only looks like it.
        (
            "alice",
            "repository:alice/app:pull,push,delete",
            "pull,push,delete",
            OwnNamespace,
        ),
        (
            "alice",
            "repository:alice/deep/er:*",
            "pull,push,delete",
            OwnNamespace,
        ),
        ("alice", "repository:alice/gift:push", "push", OwnNamespace),
        ("alice", "repository:alice:pull", "", Nobody),
        ("alice", "repository:alice2/app:pull", "", Nobody),
        ("alice", "repository:alice-2/app:pull", "", Nobody),
        ("alice", "repository:team/alice/app:pull", "", Nobody),
        ("bob", "repository:alice/app:pull,push", "", Nobody),
        ("", "repository:alice/app:pull", "", Nobody),
        // The owner of a project, in it alone.
        (
            "bob",
            "repository:alice/gift/x:*",
            "pull,push,delete",
            ProjectOwner,
        ),
        ("carol", "repository:open/secret:pull", "pull", ProjectOwner),
        (
            "carol",
            "repository:open/app:push,pull",
            "pull",
            PublicProject,
        ),
        // Everybody pulls from a public project, and does nothing else.
        ("", "repository:open:pull", "pull", PublicProject),
        (
            "",
            "repository:open/app:pull,push,delete",
            "pull",
            PublicProject,
        ),
        ("", "repository:open/app:push", "", PublicProject),
        ("bob", "repository:alice/shown:*", "pull", PublicProject),
        // The longest path counts: a private project inside a public one is private.
        ("", "repository:open/secret:pull", "", Nobody),
        ("bob", "repository:open/secret/app:pull", "", Nobody),
        ("", "repository:open/secrets:pull", "pull", PublicProject),
        ("", "repository:opens:pull", "", Nobody),
        // Internal: who has logged in.
        (
            "bob",
            "repository:house/app:pull,push",
            "pull",
            InternalProject,
        ),
        ("", "repository:house/app:pull", "", Nobody),
    ] {
        assert_eq!(
            decided(&projects, who, scope),
            (granted.to_owned(), rule),
            "{who:?} asks for {scope}"
        );
    }
}

#[test]
fn what_is_granted_names_its_project_and_what_is_not_is_left_out() {
    let snapshot = Snapshot::new(
        subject("alice"),
        vec![project("alice", None, Visibility::Private)],
    );
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
fn model(subject: &Subject, projects: &[Project], name: &str, asked: &[Action]) -> Vec<Action> {
    let parts: Vec<&str> = name.split('/').collect();
    let covering = (1..=parts.len())
        .rev()
        .map(|length| parts[..length].join("/"))
        .find_map(|path| {
            projects
                .iter()
                .find(|project| project.path.as_str() == path)
        });
    let may = |action: Action| {
        let reads = action == Action::Pull;
        let everything = action == Action::All;
        let public = covering.is_some_and(|project| project.visibility == Visibility::Public);
        let internal = covering.is_some_and(|project| project.visibility == Visibility::Internal);
        match subject {
            Subject::Anonymous => reads && public,
            Subject::User(user) => {
                let own = parts.len() > 1 && parts[0] == user.username.as_str();
                let owner = covering.is_some_and(|project| project.owner_id == Some(user.id));
                user.is_admin || (own || owner) && !everything || reads && (public || internal)
            }
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

fn any_project() -> impl Strategy<Value = Project> {
    let visibility = prop_oneof![
        Just(Visibility::Private),
        Just(Visibility::Internal),
        Just(Visibility::Public)
    ];
    let owner = proptest::option::of(prop_oneof![Just("alice"), Just("bob")]);
    (any_path(), owner, visibility)
        .prop_map(|(path, owner, visibility)| project(&path, owner, visibility))
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
        mut projects in proptest::collection::vec(any_project(), 0..6),
        path in any_path(),
        asked in any_actions(),
    ) {
        // Paths are unique in the database.
        projects.sort_by(|one, two| one.path.cmp(&two.path));
        projects.dedup_by(|one, two| one.path == two.path);
        let snapshot = Snapshot::new(subject(&who), projects.clone());
        let scope = Scope::repository(repository(&path), asked.iter().copied().collect::<Actions>());
        let expected = model(&snapshot.subject, &projects, &path, &asked);
        prop_assert_eq!(
            snapshot.decide(&scope).granted,
            expected.into_iter().collect::<Actions>()
        );
    }
}
