use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ENDPOINTS, Endpoint, Requires};
use crate::accounts::Role;
use crate::http::test_app::{Answer, PASSWORD, TestApp};

/// What the addresses name. Of the users, `alice` is named; `bob` is nobody to anything; and of the
/// group `team`, in which the project `team/app` lies, each role has a member that is called by it.
struct World {
    grant: String,
    key: String,
    /// A token of every kind, by the part of the addresses that they are below.
    tokens: BTreeMap<&'static str, String>,
    /// Two sessions of alice, at the ends of two kinds of addresses.
    session: String,
}

impl World {
    /// Makes what is not there (any more).
    async fn prepare(app: &TestApp) -> Self {
        let post = async |path: &str, body: Value| app.admin(Method::POST, path, &body).await;
        for role in Role::ALL
            .map(Role::as_str)
            .into_iter()
            .chain(["alice", "bob"])
        {
            app.create_user(role).await;
        }
        post("/api/v1/groups", json!({"path": "team"})).await;
        for role in Role::ALL.map(Role::as_str) {
            let path = format!("/api/v1/groups/team/members/{role}");
            app.admin(Method::PUT, &path, &json!({"role": role})).await;
        }
        // Whom the addresses of members name.
        for path in ["/api/v1/groups/team", "/api/v1/projects/team%2Fapp"] {
            post("/api/v1/projects", json!({"path": "team/app"})).await;
            let path = format!("{path}/members/alice");
            app.admin(Method::PUT, &path, &json!({"role": "guest"}))
                .await;
        }
        let grant = json!({"user": "alice", "actions": ["pull"]});
        let grant = post("/api/v1/projects/team%2Fapp/grants", grant).await;
        let key = app.application.state.issuer.keys.current().unwrap();
        let id = |made: Answer| made.expect(201).json()["id"].as_str().unwrap().to_owned();
        let mut tokens = BTreeMap::new();
        for (kind, body) in [
            ("users/alice/tokens", json!({"scopes": ["api"]})),
            ("groups/team/deploy-tokens", json!({"actions": ["pull"]})),
            (
                "projects/team%2Fapp/deploy-tokens",
                json!({"actions": ["pull"]}),
            ),
            (
                "projects/team%2Fapp/job-tokens",
                json!({"actions": ["pull"]}),
            ),
        ] {
            let mut body = body;
            body["name"] = format!("t{}", app.clock.uuid().simple()).into();
            tokens.insert(kind, id(post(&format!("/api/v1/{kind}"), body).await));
        }
        app.log_in("alice", PASSWORD).await.expect(201);
        let sessions = app
            .admin(Method::GET, "/api/v1/users/alice/sessions", &json!(null))
            .await;
        Self {
            key: key.thumbprint(),
            grant: id(grant),
            tokens,
            session: sessions.json()[0]["id"].as_str().unwrap().to_owned(),
        }
    }

    fn address(&self, endpoint: &Endpoint) -> String {
        let path = endpoint
            .path
            .replace("{username}", "alice")
            .replace("{group}", "team")
            .replace("{project}", "team%2Fapp")
            .replace("{key}", &self.key)
            .replace("{grant}", &self.grant)
            .replace("{session}", &self.session)
            .replace("{version}", &crate::web::explorer::VERSION)
            .replace("{file}", "explorer.js");
        let kind = path
            .strip_prefix("/api/v1/")
            .and_then(|path| path.strip_suffix("/{token}"));
        let path = match kind {
            // Whose they are depends on who asks: nobody's of these.
            Some("me/tokens") => path.replace("{token}", &Uuid::nil().to_string()),
            Some(kind) => path.replace("{token}", &self.tokens[kind]),
            None => path,
        };
        assert!(
            !path.contains('{'),
            "give a value for the parameter of {path}"
        );
        path
    }
}

/// Every address with every method that it knows.
fn all() -> impl Iterator<Item = (Method, &'static Endpoint)> {
    ENDPOINTS.iter().flat_map(|endpoint| {
        endpoint.methods.iter().map(move |method| {
            let method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
            (method, endpoint)
        })
    })
}

async fn ask(app: &TestApp, method: &Method, path: &str, who: Option<&str>) -> u16 {
    let request = match who {
        Some(who) => app.request_as(who, method.clone(), path),
        None => app.request(method.clone(), path),
    };
    // A body that no handler accepts: who gets as far as reading it was let in.
    let request = request.json(&json!({"no": "such field"}));
    Answer::of(request).await.status.as_u16()
}

/// What an address answers to everybody that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// What follows may fail for other reasons, a body for example.
    LetIn,
    Refused,
    /// Told that there is no such thing.
    Misled,
}

impl Is {
    fn by(status: u16) -> Self {
        match status {
            403 => Self::Refused,
            404 => Self::Misled,
            401 | 405 | 500.. => panic!("{status}"),
            _ => Self::LetIn,
        }
    }
}

/// What the table asks for.
fn expected(requires: Requires, who: &str) -> Is {
    use Is::{LetIn, Misled, Refused};

    let role: Option<Role> = who.parse().ok();
    // Alice is a guest too, of the group and of the project.
    let role = role.or((who == "alice").then_some(Role::Guest));
    match requires {
        // Nobody here is a browser.
        Requires::InSession => Misled,
        _ if who == "admin" => LetIn,
        Requires::Nothing | Requires::AnyUser => LetIn,
        Requires::ThatUser if who == "alice" => LetIn,
        Requires::ThatUser => Misled,
        Requires::Administrator => Refused,
        Requires::SeesGroup | Requires::SeesProject => {
            if role.is_some() {
                LetIn
            } else {
                Misled
            }
        }
        Requires::Group(least) | Requires::Project(least) => match role {
            None => Misled,
            Some(role) if role < least => Refused,
            Some(_) => LetIn,
        },
    }
}

#[tokio::test]
async fn every_address_lets_in_whom_the_table_says() {
    let app = TestApp::start().await;
    let mut world = World::prepare(&app).await;
    let everybody = [
        "alice",
        "bob",
        "guest",
        "reporter",
        "developer",
        "maintainer",
        "owner",
        "admin",
    ];
    for (method, endpoint) in all() {
        let context = format!("{method} {}", endpoint.path);
        let path = world.address(endpoint);
        let anonymous = ask(&app, &method, &path, None).await;
        if endpoint.requires == Requires::Nothing {
            assert_eq!(Is::by(anonymous), Is::LetIn, "{context}");
            continue;
        }
        assert_eq!(anonymous, 401, "{context}");
        let wrong = app
            .request(method.clone(), &path)
            .bearer_auth("ptc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Answer::of(wrong).await.status, 401, "{context}");
        for who in everybody {
            let status = ask(&app, &method, &world.address(endpoint), Some(who)).await;
            let expected = match endpoint.path {
                // Another's, or nobody's.
                "/api/v1/me/sessions/{session}" if who != "alice" => Is::Misled,
                "/api/v1/me/tokens/{token}" => Is::Misled,
                _ => expected(endpoint.requires, who),
            };
            assert_eq!(Is::by(status), expected, "{who}: {context}: {status}");
            if method == Method::DELETE && expected == Is::LetIn {
                world = World::prepare(&app).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_as_what_may_not_be_known() {
    let app = TestApp::start().await;
    let world = World::prepare(&app).await;
    let mut seen = 0;
    for (method, endpoint) in all() {
        let named = endpoint.path.split(['{', '}']).nth(1);
        let hides = !matches!(
            endpoint.requires,
            Requires::Nothing | Requires::AnyUser | Requires::InSession | Requires::Administrator
        );
        let Some(named) = named.filter(|_| hides) else {
            continue;
        };
        let there = world.address(endpoint);
        let name = match named {
            "username" => "alice",
            "group" => "team",
            "project" => "team%2Fapp",
            other => panic!("what is hidden of a {other}?"),
        };
        let not_there = there.replacen(&format!("/{name}"), "/nothing-of-the-kind", 1);
        let told = async |path: &str| {
            let request = app.request_as("bob", method.clone(), path);
            let answer = Answer::of(request.json(&json!({"no": "such field"}))).await;
            let text = answer
                .text
                .replace("nothing-of-the-kind", &name.replace("%2F", "/"));
            (answer.status, text)
        };
        let (one, two) = (told(&there).await, told(&not_there).await);
        assert_eq!(one.0, 404, "{method} {there}");
        assert_eq!(one, two, "{method} {there}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

#[tokio::test]
async fn every_change_is_refused_to_pages_of_other_sites() {
    let app = TestApp::start().await;
    let world = World::prepare(&app).await;
    let mut seen = 0;
    for (method, endpoint) in all() {
        if endpoint.action.is_none() {
            continue;
        }
        let path = world.address(endpoint);
        for (site, refused) in [("cross-site", true), ("same-site", true), ("none", false)] {
            let request = app
                .request_as("admin", method.clone(), &path)
                .header("sec-fetch-site", site)
                .json(&json!({"no": "such field"}));
            let answer = Answer::of(request).await;
            assert_eq!(answer.status == 403, refused, "{method} {path} from {site}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "the table has changes");
}

#[test]
fn every_change_has_a_name_in_the_audit_log_and_nothing_else_has() {
    for endpoint in ENDPOINTS {
        let reads = endpoint.methods.iter().any(|method| method == "GET");
        let changes = !reads && endpoint.requires != Requires::Nothing;
        assert_eq!(endpoint.action.is_some(), changes, "{}", endpoint.path);
    }
}

#[tokio::test]
async fn a_change_that_fails_is_recorded_with_who_tried_and_why() {
    let app = TestApp::start().await;
    let path = "/api/v1/users/admin";
    for _ in 0..2 {
        ask(&app, &Method::DELETE, path, None).await;
    }
    ask(&app, &Method::DELETE, path, Some("bob")).await;
    app.admin(Method::DELETE, path, &json!(null))
        .await
        .error(409, "CONFLICT");
    let mut tx = app.database().read().await.unwrap();
    let events = database::sql!(
        &mut tx,
        fetch_all(String, String, String, String),
        "SELECT action, actor_name, subject_name, reason FROM audit_events
         WHERE outcome = 'failure' ORDER BY number"
    )
    .unwrap();
    let expected = [
        ("bob", "this takes an administrator"),
        ("admin", "`admin` is the last administrator that can log in"),
    ]
    .map(|(who, why)| ("user.delete".into(), who.into(), "admin".into(), why.into()));
    assert_eq!(events, expected);
}

#[tokio::test]
async fn no_path_stands_twice_in_the_table() {
    // configure() groups neighbours: a path that appears again later would hide the first.
    let mut paths: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
    paths.dedup();
    let grouped = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), grouped);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_done_is_405() {
    let app = TestApp::start().await;
    for path in [
        "/api",
        "/api/v1/nonsense",
        "/api/v1/users/alice/nonsense",
        "/auth",
        "/x",
    ] {
        Answer::of(app.request(Method::GET, path))
            .await
            .error(404, "NOT_FOUND");
    }
    let answer = Answer::of(app.request(Method::DELETE, "/api/v1/users")).await;
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    let message = answer.error(405, "UNSUPPORTED");
    assert!(message.contains("GET, HEAD, POST"), "{message}");
}

#[tokio::test]
async fn me_and_system_tell_who_and_what() {
    let app = TestApp::start().await;
    let me = app
        .ask("alice", Method::GET, "/api/v1/me", &json!(null))
        .await
        .expect(200)
        .json();
    assert_eq!(me["username"], "alice");
    assert_eq!(me["admin"], false);
    let system = app
        .admin(Method::GET, "/api/v1/system", &json!(null))
        .await
        .expect(200)
        .json();
    assert_eq!(system["issuer"], "portcullis-auth");
    assert_eq!(system["services"], json!(["portcullis-registry"]));
    assert_eq!(system["token_lifetime_seconds"], 300);
    assert_eq!(system["signing_key"]["algorithm"], "ES256");
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["settings"]["database"], "sqlite");
    assert_eq!(system["settings"]["key_place"], "folder");
    assert_eq!(system["settings"]["password_min_length"], 12);
    assert_eq!(system["settings"]["key_rotate_every_seconds"], json!(null));
}

#[tokio::test]
async fn system_counts_what_there_is_and_leaves_out_what_is_over() {
    let app = TestApp::start().await;
    let count = async || {
        let system = app.admin(Method::GET, "/api/v1/system", &json!(null)).await;
        system.expect(200).json()["counts"].clone()
    };
    let before = count().await;
    assert_eq!(before["users"], 3);
    assert_eq!(before["administrators"], 1);
    assert_eq!(before["personal_tokens"], 3);
    World::prepare(&app).await;
    let disable = json!({"disabled": true});
    app.admin(Method::PATCH, "/api/v1/users/bob", &disable)
        .await
        .expect(200);
    let after = count().await;
    for (what, number) in [
        ("users", 3 + 5),
        ("disabled_users", 1),
        ("groups", 1),
        ("projects", 1),
        // Of each role one in the group, and alice in both.
        ("memberships", 7),
        ("grants", 1),
        ("deploy_tokens", 2),
        ("job_tokens", 1),
        ("personal_tokens", 3 + 5 + 1),
        ("browser_sessions", 1),
        ("client_sessions", 0),
    ] {
        assert_eq!(after[what], number, "{what}: {after}");
    }
    app.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(count().await["job_tokens"], 0);
}
