use proptest::prelude::*;
use uuid::Uuid;

use chrono::{DateTime, Utc};

use super::*;
use crate::access::{PathToken, TokenScope, TokenScopes};
use crate::accounts::grant::Grantee;
use crate::accounts::place::{HeldRole, Holder, Place};
use crate::accounts::{GrantId, GroupId, ProjectId, Role, User, UserId};
use crate::testing::{clock, name, repository};

fn user(username: &str) -> User {
    User {
        id: UserId(identifier(username)),
        username: name(username),
        email: None,
        is_admin: username == "admin",
        created_at: clock().now(),
        disabled_at: None,
        last_login_at: None,
        version: 1,
    }
}

/// One and the same for one and the same text.
fn identifier(text: &str) -> Uuid {
    let sum = text.bytes().fold(0, |sum: u128, byte| {
        sum.wrapping_mul(257) + u128::from(byte)
    });
    Uuid::from_u128(sum)
}

fn place(path: &str, holder: Holder) -> Place {
    Place {
        number: 3,
        path: repository(path),
        holder,
        membership: None,
    }
}

fn project(path: &str, visibility: Visibility) -> Place {
    let project = Project {
        id: ProjectId(identifier(path)),
        number: 7,
        path: repository(path),
        visibility,
        created_at: clock().now(),
        version: 1,
    };
    place(path, Holder::Project(project))
}

fn group(path: &str) -> Place {
    let id = GroupId(identifier(path));
    let create_on_push = false;
    place(path, Holder::Group { id, create_on_push })
}

impl Place {
    fn with_role(self, role: Role) -> Self {
        self.with_role_until(role, None)
    }

    fn with_role_until(self, role: Role, expires_at: Option<DateTime<Utc>>) -> Self {
        let membership = Some(HeldRole { role, expires_at });
        Self { membership, ..self }
    }
}

/// To whoever asks.
fn grant(project: &str, actions: &str, pattern: &str) -> Grant {
    Grant {
        id: GrantId(Uuid::nil()),
        project_id: ProjectId(identifier(project)),
        project: repository(project),
        to: Grantee::User {
            id: UserId(identifier("bob")),
            name: name("bob"),
        },
        actions: parse_actions(actions),
        pattern: pattern.parse().unwrap(),
        expires_at: None,
        created_at: clock().now(),
        version: 1,
    }
}

fn parse_actions(text: &str) -> Actions {
    text.split(',')
        .map(|word| word.parse::<Action>().unwrap())
        .collect()
}

fn token(of_group: bool, path: &str, actions: &str, pattern: Option<&str>) -> Subject {
    Subject::Token(PathToken {
        id: Uuid::nil(),
        username: "deploy+ci".to_owned(),
        path: repository(path),
        of_group,
        actions: parse_actions(actions),
        pattern: pattern.map(|pattern| pattern.parse().unwrap()),
    })
}

fn subject(who: &str) -> Subject {
    match who {
        "" => Subject::Anonymous,
        who => Subject::User(user(who)),
    }
}

fn snapshot(subject: Subject, places: &[Place], grants: &[Grant]) -> Snapshot {
    Snapshot {
        subject,
        now: clock().now(),
        places: places.to_vec().into(),
        grants: grants.to_vec(),
    }
}

/// What somebody gets of `scope`, written as a scope's actions, and the mightiest reason.
fn decided(snapshot: &Snapshot, scope: &str) -> (String, &'static str) {
    let scope = Scope::parse(scope).unwrap();
    let decision = snapshot.decide(&scope);
    let rule = match decision.rules.first() {
        None => "",
        Some(Rule::Administrator) => "administrator",
        Some(Rule::OwnNamespace) => "own namespace",
        Some(Rule::Role { held, .. }) => held.role.as_str(),
        Some(Rule::Token { .. }) => "token",
        Some(Rule::Grant(_)) => "grant",
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
            decided(&snapshot(subject(who), &bare, &[]), scope),
            (granted.to_owned(), rule),
            "{who:?} {scope}"
        );
    }

    let as_member = [
        group("team").with_role(Role::Reporter),
        project("team/app", Private).with_role(Role::Developer),
        project("team/app/inner", Private),
        project("team/open", Public).with_role(Role::Guest),
        project("other", Private).with_role(Role::Owner),
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
            decided(&snapshot(subject("bob"), &as_member, &[]), scope),
            (granted.to_owned(), rule),
            "{scope}"
        );
    }
}

#[test]
fn a_role_and_a_grant_end_when_they_expire() {
    let now = clock().now();
    let scope = Scope::parse("repository:app:pull").unwrap();
    let bare = project("app", Visibility::Private);
    for (expires_at, expected) in [
        (None, "pull"),
        (Some(now + chrono::TimeDelta::microseconds(1)), "pull"),
        (Some(now), ""),
        (Some(now - chrono::TimeDelta::days(1)), ""),
    ] {
        let member = bare.clone().with_role_until(Role::Reporter, expires_at);
        let by_role = snapshot(subject("bob"), &[member], &[]);
        let grant = Grant {
            expires_at,
            ..grant("app", "pull", "**")
        };
        let by_grant = snapshot(subject("bob"), std::slice::from_ref(&bare), &[grant]);
        for snapshot in [by_role, by_grant] {
            let granted = snapshot.decide(&scope).granted;
            assert_eq!(granted.to_string(), expected, "{expires_at:?}");
        }
    }
}

#[test]
fn a_grant_is_good_for_its_pattern_in_its_project() {
    let places = [
        project("team/app", Visibility::Private).with_role(Role::Guest),
        project("team/app/inner", Visibility::Private),
    ];
    let grants = [
        grant("team/app", "push", "team/app/*-dev"),
        grant("team/app", "pull,delete", "team/app/**"),
    ];
    let snapshot = snapshot(subject("bob"), &places, &grants);
    for (scope, granted) in [
        ("repository:team/app/x-dev:*", "pull,push,delete"),
        ("repository:team/app/x:*", "pull,delete"),
        ("repository:team/app:push,pull", "pull"),
        // Another project covers it, whatever the pattern says.
        ("repository:team/app/inner:*", ""),
        ("repository:team/app/inner/x-dev:*", ""),
        ("repository:team/application:*", ""),
    ] {
        assert_eq!(decided(&snapshot, scope).0, granted, "{scope}");
    }
}

#[test]
fn a_personal_token_gives_what_its_user_has_within_its_scopes() {
    let places = [
        project("app", Visibility::Private).with_role(Role::Reporter),
        project("open", Visibility::Public),
    ];
    for (who, scopes, scope, granted) in [
        ("bob", "read_registry", "repository:bob/x:*", "pull"),
        ("bob", "write_registry", "repository:bob/x:*", "pull,push"),
        (
            "bob",
            "delete_registry",
            "repository:bob/x:*",
            "pull,delete",
        ),
        ("bob", "write_registry", "repository:app:*", "pull"),
        ("bob", "api read_api", "repository:bob/x:*", ""),
        ("bob", "api", "repository:open:pull", ""),
        ("admin", "write_registry", "repository:any:*", "pull,push"),
        // The catalog takes `*`, which no scope lets through.
        (
            "admin",
            "write_registry delete_registry api",
            "registry:catalog:*",
            "pull,push,delete",
        ),
    ] {
        let scopes: TokenScopes = scopes.parse().unwrap();
        let subject = Subject::PersonalToken {
            user: user(who),
            scopes,
        };
        let snapshot = snapshot(subject, &places, &[]);
        assert_eq!(
            decided(&snapshot, scope).0,
            granted,
            "{who} {scopes} {scope}"
        );
    }
}

#[test]
fn a_token_of_a_path_gives_its_actions_there_and_no_more() {
    let places = [
        group("team"),
        project("team/app", Visibility::Private),
        project("team/app/inner", Visibility::Private),
        project("team/house", Visibility::Internal),
        project("open", Visibility::Public),
        project("closed", Visibility::Private),
    ];
    let of_project = token(false, "team/app", "pull,push", None);
    let of_group = token(true, "team", "pull,delete", None);
    let narrow = token(true, "team", "pull", Some("team/*/release"));
    for (subject, scope, granted) in [
        (&of_project, "repository:team/app:*", "pull,push"),
        (&of_project, "repository:team/app/x:*", "pull,push"),
        (&of_project, "repository:team/app/inner:*", ""),
        (&of_project, "repository:team/house:pull", ""),
        (&of_project, "repository:open:*", "pull"),
        (&of_project, "repository:closed:*", ""),
        (&of_project, "repository:team/none:pull", ""),
        (&of_project, "registry:catalog:*", ""),
        (&of_group, "repository:team/app/inner/x:*", "pull,delete"),
        (&of_group, "repository:team/house:*", "pull,delete"),
        (&of_group, "repository:team/none:pull", ""),
        (&narrow, "repository:team/app/release:*", "pull"),
        (&narrow, "repository:team/app:pull", ""),
    ] {
        let snapshot = snapshot(subject.clone(), &places, &[]);
        assert_eq!(decided(&snapshot, scope).0, granted, "{subject:?} {scope}");
    }
    let granted = [grant("closed", "push", "closed/x")];
    let snapshot = snapshot(of_project, &places, &granted);
    assert_eq!(decided(&snapshot, "repository:closed/x:*").0, "push");
}

#[test]
fn what_is_granted_names_its_project_and_what_is_not_is_left_out() {
    let places = [
        group("team").with_role(Role::Developer),
        project("team/app", Visibility::Private),
    ];
    let snapshot = snapshot(subject("alice"), &places, &[]);
    let scopes = registry_token::parse_scopes([
        "repository:team/app/x:push,pull repository:bob/app:pull repository:alice/new:pull",
        "registry:catalog:*",
    ])
    .unwrap();
    assert_eq!(
        serde_json::to_value(snapshot.grant(&scopes)).unwrap(),
        serde_json::json!([
            {
                "type": "repository",
                "name": "team/app/x",
                "actions": ["pull", "push"],
                "meta": {"project_path": "team/app", "project_id": 7, "root_namespace_id": 3},
            },
            {"type": "repository", "name": "alice/new", "actions": ["pull"]},
        ])
    );
}

/// The same decision, slow and obvious: go through every action and ask every question anew.
fn model(snapshot: &Snapshot, places: &[Place], name: &str, asked: &[Action]) -> Vec<Action> {
    let parts: Vec<&str> = name.split('/').collect();
    let at = |length: usize| {
        let path = parts[..length].join("/");
        places.iter().find(|place| place.path.as_str() == path)
    };
    let covering = (1..=parts.len())
        .rev()
        .find(|length| at(*length).is_some_and(|place| place.project().is_some()));
    let project = covering.and_then(|length| at(length)?.project());
    let is_held = |end: Option<DateTime<Utc>>| end.is_none_or(|end| end > snapshot.now);
    let roles: Vec<Role> = (1..=covering.unwrap_or(0))
        .filter_map(|length| Some((length, at(length)?)))
        .filter(|(length, place)| place.is_group() || Some(*length) == covering)
        .filter_map(|(_, place)| place.membership)
        .filter(|held| is_held(held.expires_at))
        .map(|held| held.role)
        .collect();
    let by_user = |user: &User, action: Action| {
        let own = parts.len() > 1 && parts[0] == user.username.as_str();
        let by_role = roles.iter().any(|role| match action {
            Action::Pull => *role != Role::Guest,
            Action::Push => *role != Role::Guest && *role != Role::Reporter,
            Action::Delete => matches!(role, Role::Maintainer | Role::Owner),
            Action::All => false,
        });
        let internal = project.is_some_and(|project| project.visibility == Visibility::Internal);
        user.is_admin
            || own && action != Action::All
            || by_role
            || action == Action::Pull && internal
    };
    let by_grant = |action: Action| {
        snapshot.grants.iter().any(|grant| {
            project.is_some_and(|project| project.path == grant.project)
                && is_held(grant.expires_at)
                && grant.actions.contains(action)
                && grant.pattern.matches(&repository(name))
        })
    };
    let public = project.is_some_and(|project| project.visibility == Visibility::Public);
    let may = |action: Action| {
        let anybody = action == Action::Pull && public;
        match &snapshot.subject {
            Subject::Anonymous => anybody,
            Subject::User(user) => anybody || by_user(user, action) || by_grant(action),
            Subject::PersonalToken { user, scopes } => {
                let let_through = match action {
                    Action::Pull => {
                        scopes.contains(TokenScope::ReadRegistry)
                            || scopes.contains(TokenScope::WriteRegistry)
                            || scopes.contains(TokenScope::DeleteRegistry)
                    }
                    Action::Push => scopes.contains(TokenScope::WriteRegistry),
                    Action::Delete => scopes.contains(TokenScope::DeleteRegistry),
                    Action::All => false,
                };
                let_through && (anybody || by_user(user, action) || by_grant(action))
            }
            Subject::Token(token) => {
                let length = token.path.as_str().split('/').count();
                let covered = covering.is_some_and(|covering| {
                    parts[..length.min(parts.len())].join("/") == token.path.as_str()
                        && if token.of_group {
                            covering >= length
                        } else {
                            covering == length
                        }
                });
                let wanted = token
                    .pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(&repository(name)));
                anybody || covered && wanted && token.actions.contains(action) || by_grant(action)
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

fn any_pattern() -> impl Strategy<Value = String> {
    proptest::collection::vec("alice|bob|app|a\\*|\\*|\\*\\*", 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn any_end() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    let now = clock().now();
    let minute = chrono::TimeDelta::minutes(1);
    prop_oneof![
        Just(None),
        Just(Some(now - minute)),
        Just(Some(now)),
        Just(Some(now + minute))
    ]
}

fn any_place() -> impl Strategy<Value = Place> {
    let visibility = prop_oneof![
        Just(Visibility::Private),
        Just(Visibility::Internal),
        Just(Visibility::Public)
    ];
    let role = proptest::option::of((proptest::sample::select(Role::ALL.to_vec()), any_end()));
    (any_path(), proptest::option::of(visibility), role).prop_map(|(path, visibility, role)| {
        let place = match visibility {
            Some(visibility) => project(&path, visibility),
            None => group(&path),
        };
        match role {
            Some((role, end)) => place.with_role_until(role, end),
            None => place,
        }
    })
}

fn some_actions() -> impl Strategy<Value = Vec<Action>> {
    proptest::sample::subsequence(vec![Action::Pull, Action::Push, Action::Delete], 1..=3)
}

fn any_grant() -> impl Strategy<Value = Grant> {
    (any_path(), some_actions(), any_pattern(), any_end()).prop_map(
        |(path, actions, pattern, expires_at)| Grant {
            actions: actions.into_iter().collect(),
            expires_at,
            ..grant(&path, "pull", &pattern)
        },
    )
}

fn any_subject() -> impl Strategy<Value = Subject> {
    let user_of = "alice|bob|admin".prop_map(|who| user(&who));
    let scopes = proptest::sample::subsequence(TokenScope::ALL.to_vec(), 0..=5);
    let personal = (user_of.clone(), scopes).prop_map(|(user, scopes)| {
        let scopes = scopes.into_iter().collect();
        Subject::PersonalToken { user, scopes }
    });
    let pattern = proptest::option::of(any_pattern());
    let of_path = (any::<bool>(), any_path(), some_actions(), pattern).prop_map(
        |(of_group, path, actions, pattern)| {
            let actions: Actions = actions.into_iter().collect();
            token(of_group, &path, &actions.to_string(), pattern.as_deref())
        },
    );
    prop_oneof![
        Just(Subject::Anonymous),
        user_of.prop_map(Subject::User),
        personal,
        of_path
    ]
}

fn any_actions() -> impl Strategy<Value = Vec<Action>> {
    proptest::sample::subsequence(
        vec![Action::Pull, Action::Push, Action::Delete, Action::All],
        1..=4,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_192))]

    #[test]
    fn the_decision_is_the_models(
        subject in any_subject(),
        mut places in proptest::collection::vec(any_place(), 0..6),
        mut grants in proptest::collection::vec(any_grant(), 0..3),
        path in any_path(),
        asked in any_actions(),
    ) {
        // Paths are unique in the database; users alone are members, and nobody grants anything to
        // nobody.
        places.sort_by(|one, two| one.path.cmp(&two.path));
        places.dedup_by(|one, two| one.path == two.path);
        if subject.user().is_none() {
            for place in &mut places {
                place.membership = None;
            }
        }
        if subject == Subject::Anonymous {
            grants.clear();
        }
        let snapshot = snapshot(subject, &places, &grants);
        let scope = Scope::repository(repository(&path), asked.iter().copied().collect::<Actions>());
        let expected = model(&snapshot, &places, &path, &asked);
        let decision = snapshot.decide(&scope);
        prop_assert_eq!(decision.granted, expected.into_iter().collect::<Actions>());
        // Each action has a reason if, and only if, it is granted.
        for action in asked {
            let has_reason = decision.rule_for(action).is_some();
            prop_assert_eq!(has_reason, decision.granted.contains(action), "{}", action);
        }
    }
}
