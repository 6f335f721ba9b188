use super::*;
use crate::access::{PathToken, Rule};
use crate::accounts::grant::{self, NewGrant, NewGrantee};
use crate::accounts::{Caller, Role, Visibility};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{World, name, repository};

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn what_is_loaded_decides_as_the_database_says(database: Database) {
        let world = World::new(&database);
        let now = world.0.clock.now();
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        world.group("team").await;
        world.group("team/inner").await;
        let app = world.project("team/app", Visibility::Private).await;
        world.project("team/inner/open", Visibility::Public).await;
        world.member("team", "alice", Role::Reporter).await;
        world.member("team/inner", "bob", Role::Guest).await;
        for (to, actions, pattern) in [
            (NewGrantee::User(name("alice")), "push", "team/app/*-dev"),
            (NewGrantee::Group(repository("team/inner")), "pull", "team/app/shared/**"),
        ] {
            let new = NewGrant {
                to,
                actions: actions.parse::<registry_token::Action>().unwrap().into(),
                pattern: pattern.parse().unwrap(),
                expires_at: None,
            };
            grant::create(&world.0, Caller::Administrator, app.id, new).await.unwrap();
        }
        let token = Subject::Token(PathToken {
            id: world.0.clock.uuid(),
            username: "deploy+ci".to_owned(),
            path: repository("team"),
            of_group: true,
            actions: registry_token::Actions::PULL,
            pattern: None,
        });
        let (alice, bob) = (Subject::User(alice), Subject::User(bob));
        for (subject, scopes, expected) in [
            (&alice, "repository:team/app/x:*", "repository:team/app/x:pull"),
            (&alice, "repository:team/app/x-dev:*", "repository:team/app/x-dev:pull,push"),
            (
                &alice,
                "repository:team/app/x-dev:push repository:team/none:pull \
                 repository:team/inner/open:pull,push repository:alice/x:push",
                "repository:team/app/x-dev:push repository:team/inner/open:pull \
                 repository:alice/x:push",
            ),
            (&bob, "repository:team/app/shared/x:*", "repository:team/app/shared/x:pull"),
            (&bob, "repository:team/app:* registry:catalog:*", ""),
            (&token, "repository:team/app:*", "repository:team/app:pull"),
            (&Subject::Anonymous, "repository:team/app:pull", ""),
            (
                &Subject::Anonymous,
                "repository:team/inner/open/x:*",
                "repository:team/inner/open/x:pull",
            ),
        ] {
            let scopes = registry_token::parse_scopes([scopes]).unwrap();
            let snapshot =
                Snapshot::load(&database, now, subject.clone(), &scopes).await.unwrap();
            let granted: Vec<String> = snapshot
                .grant(&scopes)
                .iter()
                .map(|entry| format!("{}:{}", entry.resource, entry.actions))
                .collect();
            assert_eq!(granted.join(" "), expected, "{scopes:?}");
        }
    }

    async fn all_that_could_have_decided_is_loaded_on_demand(database: Database) {
        let world = World::new(&database);
        let admin = world.user("root-2").await;
        let app = world.project("app", Visibility::Public).await;
        let new = NewGrant {
            to: NewGrantee::User(admin.username.clone()),
            actions: registry_token::Actions::PULL,
            pattern: "**".parse().unwrap(),
            expires_at: None,
        };
        let granted = grant::create(&world.0, Caller::Administrator, app.id, new).await.unwrap();
        let (now, path) = (world.0.clock.now(), repository("app"));
        let scope = Scope::repository(path.clone(), registry_token::Actions::PULL);
        let subject = Subject::User(admin);
        let little = Snapshot::load(&database, now, subject.clone(), std::slice::from_ref(&scope))
            .await
            .unwrap();
        assert_eq!(little.grants, [], "the visibility is enough");
        let all = Snapshot::load_all(&database, now, subject, &path).await.unwrap();
        assert_eq!(all.decide(&scope).rules, [Rule::Grant(&granted), Rule::PublicProject]);
    }
}
