use registry_token::Actions;
use serde_json::json;

use super::*;
use crate::accounts::Caller;
use crate::accounts::grant::{self, NewGrant, NewGrantee};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, name};

async fn explained(
    world: &World,
    subject: &Subject,
    scope: &str,
    reader: Reader,
) -> serde_json::Value {
    let scope = Scope::parse(scope).unwrap();
    let now = world.0.clock.now();
    let explanation = explain(&world.0.database, now, subject.clone(), &scope, reader).await;
    serde_json::to_value(explanation.unwrap()).unwrap()
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn an_answer_names_the_rule_and_its_path(database: Database) {
        let world = World::new(&database);
        let alice = Subject::User(world.user("alice").await);
        world.group("team").await;
        let app = world.project("team/app", Visibility::Internal).await;
        let end = world.0.clock.now() + chrono::TimeDelta::hours(1);
        world.member_until("team", "alice", Role::Developer, Some(end)).await;
        let new = NewGrant {
            to: NewGrantee::User(name("alice")),
            actions: Actions::PULL,
            pattern: "team/app/**".parse().unwrap(),
            expires_at: None,
        };
        let granted = grant::create(&world.0, Caller::Administrator, app.id, new).await.unwrap();
        let scope = "repository:team/app/x:delete,pull";
        let answer = explained(&world, &alice, scope, Reader::Subject).await;
        assert_eq!(
            answer,
            json!({
                "subject": "alice",
                "scope": "repository:team/app/x:pull,delete",
                "allowed": false,
                "project": {"path": "team/app", "number": app.number, "visibility": "internal"},
                "actions": [
                    {
                        "action": "pull",
                        "allowed": true,
                        "reason": "alice is developer of the group team until 2027-01-15T09:00:00Z",
                        "rules": [
                            {
                                "rule": "role",
                                "role": "developer",
                                "path": "team",
                                "inherited": true,
                                "expires_at": "2027-01-15T09:00:00.123456Z",
                            },
                            {
                                "rule": "grant",
                                "id": granted.id,
                                "to": granted.to,
                                "pattern": "team/app/**",
                                "expires_at": null,
                            },
                            {"rule": "internal_project"},
                        ],
                    },
                    {
                        "action": "delete",
                        "allowed": false,
                        "reason": "alice is developer in the project team/app, which is too little",
                        "rules": [],
                        "needed": "the role maintainer or more, or a grant",
                    },
                ],
            })
        );
    }

    async fn every_kind_of_subject_is_told_why(database: Database) {
        let world = World::new(&database);
        let alice = world.user("alice").await;
        let mut admin = world.user("boss").await;
        admin.is_admin = true;
        world.group_with("team", true).await;
        world.project("team/app", Visibility::Private).await;
        world.project("open", Visibility::Public).await;
        world.member("team", "alice", Role::Developer).await;
        let user = Subject::User(alice.clone());
        let narrow = Subject::PersonalToken { user: alice, scopes: "read_registry".parse().unwrap() };
        let admin = Subject::User(admin);
        let nobody = Subject::Anonymous;
        let token = Subject::Token(crate::access::PathToken {
            id: uuid::Uuid::nil(),
            username: "deploy+ci".to_owned(),
            path: crate::testing::repository("team/app"),
            of_group: false,
            actions: Actions::PULL,
            pattern: None,
        });
        for (subject, scope, allowed, reason, needed) in [
            (&user, "repository:alice/x:delete", true, "what lies below alice/ belongs to alice", ""),
            (&user, "repository:team/new/x:push", true, "creates the project team/new", ""),
            (&user, "repository:team/new/x:delete", false, "no project covers", "maintainer"),
            (&user, "repository:none/x:pull", false, "no project covers none/x", "reporter"),
            (&user, "registry:catalog:*", false, "for administrators", ""),
            (&user, "package:x:pull", false, "repositories alone", ""),
            (&narrow, "repository:team/app:push", false, "lacks the scope write_registry", "write_registry"),
            (&admin, "repository:any/thing:*", true, "boss is an administrator", ""),
            (&admin, "registry:catalog:*", true, "boss is an administrator", ""),
            (&nobody, "repository:open/x:pull", true, "the project is public", ""),
            (&nobody, "repository:team/app:pull", false, "not logged in", "reporter"),
            (&token, "repository:team/app:pull", true, "deploy+ci is a token of team/app", ""),
            (&token, "repository:team/app:push", false, "deploy+ci", "action push"),
        ] {
            let answer = explained(&world, subject, scope, Reader::Administrator).await;
            let action = &answer["actions"][0];
            assert_eq!(answer["allowed"], allowed, "{scope}: {answer}");
            assert!(action["reason"].as_str().unwrap().contains(reason), "{scope}: {answer}");
            let shown = action["needed"].as_str().unwrap_or_default();
            assert!(shown.contains(needed) && shown.is_empty() == needed.is_empty(), "{answer}");
        }
        let mut tx = database.read().await.unwrap();
        let (count,) = database::sql!(&mut tx, fetch_one(i64,), "SELECT count(*) FROM projects").unwrap();
        assert_eq!(count, 2, "an explanation creates nothing");
    }

    async fn what_is_hidden_is_explained_like_nothing(database: Database) {
        let world = World::new(&database);
        let mallory = Subject::User(world.user("mallory").await);
        world.group("secret").await;
        world.project("secret/app", Visibility::Private).await;
        for subject in [mallory, Subject::Anonymous] {
            for actions in ["pull", "push", "*"] {
                let mut answers = Vec::new();
                for namespace in ["secret", "nought"] {
                    let scope = format!("repository:{namespace}/app:{actions}");
                    let answer = explained(&world, &subject, &scope, Reader::Subject).await;
                    answers.push(answer.to_string().replace(namespace, "?"));
                }
                assert_eq!(answers[0], answers[1]);
                let scope = format!("repository:secret/app:{actions}");
                let answer = explained(&world, &subject, &scope, Reader::Administrator).await;
                assert_eq!(answer["project"]["path"], "secret/app");
            }
        }
    }
}
