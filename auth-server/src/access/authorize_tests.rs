use registry_token::{Actions, RepositoryName, parse_scopes};

use super::*;
use crate::access::PathToken;
use crate::accounts::{Role, User, Visibility, group, project};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, repository};

/// What is granted, as scopes, and what is said about the first of those asked for.
async fn answer(world: &World, subject: &Subject, scopes: &str) -> (String, String) {
    let scopes = parse_scopes([scopes]).unwrap();
    let answer = authorize(&world.0, subject, &scopes).await.unwrap();
    let granted: Vec<String> = answer
        .access
        .iter()
        .map(|entry| format!("{}:{}", entry.resource.name(), entry.actions))
        .collect();
    let said = match &scopes[0].resource {
        Resource::Repository(name) => answer.denials.of(name).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    (granted.join(" "), said)
}

async fn granted(world: &World, subject: &Subject, scopes: &str) -> String {
    answer(world, subject, scopes).await.0
}

async fn said(world: &World, subject: &Subject, scopes: &str) -> String {
    answer(world, subject, scopes).await.1
}

async fn projects(world: &World) -> Vec<String> {
    let mut tx = world.0.database.read().await.unwrap();
    let rows: Vec<(String,)> = database::sql!(
        &mut tx,
        fetch_all(String,),
        "SELECT path FROM projects ORDER BY path"
    )
    .unwrap();
    rows.into_iter().map(|(path,)| path).collect()
}

fn personal(user: &User, scopes: &str) -> Subject {
    Subject::PersonalToken {
        user: user.clone(),
        scopes: scopes.parse().unwrap(),
    }
}

fn deploy(path: &str, actions: Actions, pattern: Option<&str>) -> Subject {
    Subject::Token(PathToken {
        id: uuid::Uuid::nil(),
        username: "deploy+ci".to_owned(),
        path: repository(path),
        of_group: true,
        actions,
        pattern: pattern.map(|pattern| pattern.parse().unwrap()),
    })
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_push_below_ones_own_name_makes_a_project(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        let subject = Subject::User(alice.clone());
        assert_eq!(granted(&world, &subject, "repository:alice/app:pull").await, "alice/app:pull");
        assert_eq!(projects(&world).await, [""; 0], "a pull makes nothing");
        let reading = personal(&alice, "read_registry delete_registry");
        granted(&world, &reading, "repository:alice/app:*").await;
        granted(&world, &Subject::Anonymous, "repository:alice/app:*").await;
        granted(&world, &subject, "repository:alice:push").await;
        assert_eq!(projects(&world).await, [""; 0], "who may not push makes nothing");

        let push = "repository:alice/app/worker:pull,push";
        assert_eq!(granted(&world, &subject, push).await, "alice/app/worker:pull,push");
        assert_eq!(granted(&world, &subject, push).await, "alice/app/worker:pull,push");
        assert_eq!(projects(&world).await, ["alice/app"]);
        let made = project::find_by_path(&database, &repository("alice/app")).await.unwrap();
        assert_eq!(made.unwrap().visibility, Visibility::Private);
        let scopes = parse_scopes([push]).unwrap();
        let meta = authorize(&world.0, &subject, &scopes).await.unwrap();
        let meta = meta.access.meta_of(&repository("alice/app/worker")).unwrap().clone();
        assert_eq!(meta.project_path.as_deref(), Some("alice/app"));
        assert!(meta.root_namespace_id.is_some());

        let mut tx = database.read().await.unwrap();
        let (actor, reason): (String, String) = database::sql!(
            &mut tx,
            fetch_one(String, String),
            "SELECT actor_name, reason FROM audit_events WHERE action = 'project.create'"
        )
        .unwrap();
        assert_eq!(actor, "alice");
        assert!(reason.contains("push"), "{reason}");
    }

    async fn a_push_makes_a_project_in_a_group_that_wants_it(database: Database) {
        let world = World::new(&database);
        let developer = world.user("developer").await;
        let reporter = Subject::User(world.user("reporter").await);
        world.group_with("open", true).await;
        world.group("open/closed").await;
        world.member("open", "developer", Role::Developer).await;
        world.member("open", "reporter", Role::Reporter).await;
        let pushing = Subject::User(developer.clone());
        for (subject, name, expected) in [
            (&reporter, "open/one", false),
            (&Subject::Anonymous, "open/one", false),
            (&personal(&developer, "read_registry"), "open/one", false),
            (&pushing, "open", false),
            // The nearest group decides.
            (&pushing, "open/closed/one", false),
            (&pushing, "open/one/deep/er", true),
            (&personal(&developer, "write_registry"), "open/two", true),
            (&deploy("open", Actions::PULL, None), "open/three", false),
            (&deploy("open/closed", Actions::PULL_PUSH, None), "open/three", false),
            (&deploy("open", Actions::PULL_PUSH, Some("open/x")), "open/three", false),
            (&deploy("open", Actions::PULL_PUSH, None), "open/three", true),
        ] {
            let before = projects(&world).await.len();
            let scope = format!("repository:{name}:pull,push");
            let got = granted(&world, subject, &scope).await;
            let expected_access = if expected { format!("{name}:pull,push") } else { String::new() };
            assert_eq!(got, expected_access, "{subject:?} {name}");
            assert_eq!(projects(&world).await.len() - before, usize::from(expected), "{name}");
        }
        assert_eq!(projects(&world).await, ["open/one", "open/three", "open/two"]);
        // Once it is switched off, no more come.
        let open = group::find_by_path(&database, &repository("open")).await.unwrap().unwrap();
        let off = group::GroupChange { create_on_push: Some(false) };
        group::update(&world.0, open.id, off, None).await.unwrap();
        assert_eq!(granted(&world, &pushing, "repository:open/four:push").await, "");
    }

    async fn of_many_first_pushes_at_once_one_makes_the_project(database: Database) {
        let world = World::new(&database);
        let alice = Subject::User(world.user("alice").await);
        let pushes = (0..8).map(|_| granted(&world, &alice, "repository:alice/app:push"));
        for granted in futures_util::future::join_all(pushes).await {
            assert_eq!(granted, "alice/app:push");
        }
        assert_eq!(projects(&world).await, ["alice/app"]);
    }

    async fn who_gets_less_than_they_asked_for_is_told_what_to_do(database: Database) {
        let world = World::new(&database);
        let maintainer = world.user("maintainer").await;
        let reporter = world.user("reporter").await;
        let stranger = world.user("stranger").await;
        world.group("team").await;
        world.project("team/app", Visibility::Private).await;
        world.project("open", Visibility::Public).await;
        world.member("team", "maintainer", Role::Maintainer).await;
        world.member("team", "reporter", Role::Reporter).await;
        let maintaining = Subject::User(maintainer.clone());
        let reporting = Subject::User(reporter.clone());
        let strange = Subject::User(stranger.clone());
        let token = deploy("team", Actions::PULL, Some("team/app"));
        for (subject, scope, words) in [
            (&maintaining, "team/new/x:push", &["no project covers team/new/x", "create one", "team/new,"][..]),
            (&maintaining, "team:push", &["team/NAME"]),
            (&maintaining, "maintainer:push", &["maintainer/NAME"]),
            (&reporting, "team/new/x:push", &["ask a maintainer of the group team", "team/new"]),
            (&reporting, "team/app:pull,push", &["your role", "team/app is reporter", "developer"]),
            (&reporting, "team/app:delete", &["takes a maintainer"]),
            (&strange, "team/app:push", &["may not push to team/app", "ask whoever owns team"]),
            (&strange, "team/app:pull", &["may not pull from team/app", "reporter"]),
            (&strange, "open/x:push", &["the project open is public", "developer"]),
            (&strange, "top:push", &["ask an administrator"]),
            (&personal(&maintainer, "read_registry"), "team/app:push", &["lacks the scope write_registry"]),
            (&personal(&maintainer, "api"), "team/app:pull", &["lacks the scope read_registry"]),
            // More scopes would not help.
            (&personal(&reporter, "read_registry"), "team/app:push", &["your role"]),
            (&token, "team/app:push", &["deploy+ci allows pull in team for team/app", "push to team/app"]),
            (&token, "other:pull", &["deploy+ci allows pull in team"]),
            (&token, "team/new:push", &["no project covers team/new"]),
        ] {
            let said = said(&world, subject, &format!("repository:{scope}")).await;
            for word in words {
                assert!(said.contains(word), "{scope}: {said:?} lacks {word:?}");
            }
        }
        for (subject, scope) in [
            // Nothing is missing, or the client asks for a login anyway, or it is no repository.
            (&reporting, "repository:team/app:pull"),
            (&Subject::Anonymous, "repository:team/app:push"),
            (&strange, "registry:catalog:*"),
        ] {
            assert_eq!(said(&world, subject, scope).await, "", "{scope}");
        }
    }

    /// Whoever may not know of something asks for it in every way, and compares the answer with
    /// that for something that is not there.
    async fn an_attacker_learns_nothing_about_what_exists(database: Database) {
        let world = World::new(&database);
        let mallory = world.user("mallory").await;
        world.user("victim").await;
        world.group("secret").await;
        world.group("secret/inner").await;
        world.group_with("pushable", true).await;
        for path in ["secret/app", "secret/inner/app", "victim/app", "top", "secret/app/nested"] {
            world.project(path, Visibility::Private).await;
        }
        world.group("own").await;
        world.member("own", "mallory", Role::Owner).await;
        let subjects = [
            Subject::Anonymous,
            Subject::User(mallory.clone()),
            personal(&mallory, "read_registry write_registry delete_registry api"),
            personal(&mallory, "read_registry"),
            deploy("own", Actions::PULL_PUSH, None),
        ];
        let shape = |text: &str, name: &RepositoryName| {
            let mut parts: Vec<String> = name.components().map(str::to_owned).collect();
            // Whole names first, so that a part of one is not taken for another.
            parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
            parts.iter().fold(text.to_owned(), |text, part| text.replace(part.as_str(), "?"))
        };
        for (there, not_there) in [
            ("secret/app", "nought/zip"),
            ("secret/app/x", "nought/zip/x"),
            ("secret/app/nested", "nought/zip/nested"),
            ("secret/inner", "nought/inner"),
            ("secret/inner/app", "nought/inner/zip"),
            ("secret/other", "nought/other"),
            ("secret", "nought"),
            ("victim/app", "nobody/zip"),
            ("victim/other", "nobody/other"),
            ("victim", "nobody"),
            ("top", "zip"),
            ("top/x", "zip/x"),
            ("pushable/new", "noughted/new"),
        ] {
            for subject in &subjects {
                for actions in ["pull", "push", "delete", "pull,push", "*"] {
                    let mut shapes = Vec::new();
                    for name in [there, not_there] {
                        let scopes = format!("repository:{name}:{actions}");
                        let parsed = parse_scopes([scopes.as_str()]).unwrap();
                        let answer = authorize(&world.0, subject, &parsed).await.unwrap();
                        assert!(answer.access.is_empty(), "{subject:?} {scopes}");
                        let json = serde_json::to_string(&answer.denials).unwrap();
                        shapes.push(shape(&json, &repository(name)));
                    }
                    assert_eq!(shapes[0], shapes[1], "{subject:?} {there} {actions}");
                }
            }
        }
        assert_eq!(projects(&world).await.len(), 5, "and nothing has come into being");
    }
}
