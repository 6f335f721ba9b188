//! The token realm: what `docker login` and every client after it talk to.

use acceptance::content::unique;
use acceptance::tokens::{claims_of, header_of};
use acceptance::{ADMIN_PASSWORD, Answer, Client, Portcullis};
use reqwest::Method;
use serde_json::{Value, json};

/// GitLab's path, and where distribution's `autoredirect` points.
const PATHS: [&str; 2] = ["/jwt/auth", "/auth/token"];

const SERVICE: &str = "portcullis-registry";

fn at_realm(portcullis: &Portcullis) -> Client {
    Client::new(portcullis.auth_origin())
}

async fn ask(portcullis: &Portcullis, query: &str) -> Answer {
    at_realm(portcullis)
        .get(&format!("/auth/token?service={SERVICE}&{query}"))
        .basic("admin", ADMIN_PASSWORD)
        .send()
        .await
}

async fn post(portcullis: &Portcullis, fields: &[(&str, &str)]) -> Answer {
    at_realm(portcullis)
        .call(Method::POST, "/auth/token")
        .form(fields)
        .send()
        .await
}

fn access(answer: &Answer) -> Value {
    claims_of(answer.json()["token"].as_str().unwrap())["access"].clone()
}

#[tokio::test]
async fn both_paths_answer_get_and_post() {
    let portcullis = Portcullis::up().await;
    for path in PATHS {
        let got = at_realm(&portcullis)
            .get(&format!("{path}?service={SERVICE}"))
            .basic("admin", ADMIN_PASSWORD)
            .send()
            .await;
        let posted = at_realm(&portcullis)
            .call(Method::POST, path)
            .form(&[
                ("grant_type", "password"),
                ("service", SERVICE),
                ("client_id", "test"),
                ("username", "admin"),
                ("password", ADMIN_PASSWORD),
            ])
            .send()
            .await;
        for answer in [got, posted] {
            let answer = answer
                .expect(200)
                .expect_header("cache-control", "no-store");
            let body = answer.json();
            assert_eq!(body["token"], body["access_token"]);
            assert!(body["expires_in"].as_u64().unwrap() >= 60, "{body}");
            let issued = body["issued_at"].as_str().unwrap();
            assert!(issued.contains('T') && issued.ends_with('Z'), "{issued}");
            assert!(body["refresh_token"].is_null(), "nobody asked for one");
        }
    }
}

#[tokio::test]
async fn a_token_says_what_registries_expect() {
    let portcullis = Portcullis::up().await;

    let answer = ask(&portcullis, "scope=repository:admin/app:pull,push").await;

    let token = answer.expect(200).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let claims = claims_of(&token);
    assert_eq!(claims["iss"], "portcullis-auth");
    assert_eq!(
        claims["aud"], SERVICE,
        "a string: distribution 2 rejects a list"
    );
    assert_eq!(claims["sub"], "admin");
    assert!(!claims["jti"].as_str().unwrap().is_empty());
    let time = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(time("nbf"), time("iat") - 5);
    assert!(time("exp") >= time("iat") + 60);
    let entry = &claims["access"][0];
    assert_eq!(entry["type"], "repository");
    assert_eq!(entry["name"], "admin/app");
    assert_eq!(entry["actions"], json!(["pull", "push"]));
    let header = header_of(&token);
    assert_eq!(header["alg"], "ES256");
    assert!(header["kid"].is_string());
    assert!(header["x5c"][0].is_string());
}

#[tokio::test]
async fn scopes_may_be_repeated_and_joined_by_space() {
    let portcullis = Portcullis::up().await;

    let answer = ask(
        &portcullis,
        "scope=repository:admin/a:pull%20repository:admin/b:pull&scope=repository:admin/c:push,pull",
    )
    .await;

    let access = access(&answer.expect(200));
    let names: Vec<_> = access
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["name"])
        .collect();
    assert_eq!(names, ["admin/a", "admin/b", "admin/c"]);
}

#[tokio::test]
async fn a_login_without_scope_is_a_login() {
    let portcullis = Portcullis::up().await;

    // What `docker login` sends.
    let answer = ask(
        &portcullis,
        "account=admin&client_id=docker&offline_token=true",
    )
    .await;

    let answer = answer.expect(200);
    assert_eq!(access(&answer), json!([]));
    assert!(answer.json()["refresh_token"].is_string());
}

#[tokio::test]
async fn fewer_rights_than_asked_is_no_error() {
    let portcullis = Portcullis::up().await;
    let alice = portcullis.new_user("alice");

    let answer = alice
        .token_answer(&[
            "repository:alice/app:pull,push",
            "repository:admin/app:pull",
            "registry:catalog:*",
        ])
        .await;

    let access = access(&answer.expect(200));
    assert_eq!(access.as_array().unwrap().len(), 1, "{access}");
    assert_eq!(access[0]["name"], "alice/app");
}

#[tokio::test]
async fn account_and_client_id_grant_nothing() {
    let portcullis = Portcullis::up().await;

    let answer = at_realm(&portcullis)
        .get(&format!(
            "/auth/token?service={SERVICE}&account=admin&client_id=admin&scope=repository:admin/app:pull"
        ))
        .send()
        .await
        .expect(200);

    assert_eq!(access(&answer), json!([]));
}

#[tokio::test]
async fn nobody_gets_a_token_of_nobody() {
    let portcullis = Portcullis::up().await;

    let answer = portcullis
        .anonymous()
        .token_answer(&["repository:admin/app:pull"])
        .await
        .expect(200);

    let claims = claims_of(answer.json()["token"].as_str().unwrap());
    assert_eq!(claims["access"], json!([]));
    assert_eq!(
        claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        ""
    );
}

#[tokio::test]
async fn wrong_credentials_are_refused_alike() {
    let portcullis = Portcullis::up().await;

    let mut bodies = Vec::new();
    for (name, password) in [
        ("admin", "wrong"),
        ("nobody", ADMIN_PASSWORD),
        ("admin", ""),
        ("", ""),
    ] {
        let answer = at_realm(&portcullis)
            .get(&format!("/auth/token?service={SERVICE}"))
            .basic(name, password)
            .send()
            .await
            .expect_error(401, "UNAUTHORIZED");
        bodies.push(answer.json());
        let answer = post(
            &portcullis,
            &[
                ("grant_type", "password"),
                ("service", SERVICE),
                ("client_id", "test"),
                ("username", name),
                ("password", password),
            ],
        )
        .await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
    assert_eq!(bodies[0], bodies[1], "a stranger is not told who exists");
}

#[tokio::test]
async fn a_password_may_hold_anything() {
    let portcullis = Portcullis::up().await;
    let password = "a:b c&d=é%\"'\\";
    portcullis
        .accounts(["auth", "user", "create", "carol", "--password-stdin"])
        .input(format!("{password}\n"))
        .run()
        .expect_success();

    let basic = portcullis.user("carol", password).token_answer(&[]).await;
    basic.expect(200);
    let posted = post(
        &portcullis,
        &[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "test"),
            ("username", "carol"),
            ("password", password),
        ],
    )
    .await;
    posted.expect(200);
}

#[tokio::test]
async fn a_refresh_token_stands_for_the_password() {
    let portcullis = Portcullis::up().await;
    let first = post(
        &portcullis,
        &[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "test"),
            ("access_type", "offline"),
            ("username", "admin"),
            ("password", ADMIN_PASSWORD),
            ("scope", "repository:admin/app:pull"),
        ],
    )
    .await
    .expect(200)
    .json();
    assert_eq!(first["scope"], "repository:admin/app:pull");
    let refresh = first["refresh_token"].as_str().unwrap();

    let answer = post(
        &portcullis,
        &[
            ("grant_type", "refresh_token"),
            ("service", SERVICE),
            ("client_id", "test"),
            ("refresh_token", refresh),
            (
                "scope",
                "repository:admin/app:pull,push repository:admin/b:pull",
            ),
            ("scope", "repository:admin/c:pull"),
        ],
    )
    .await
    .expect(200);

    assert_eq!(access(&answer).as_array().unwrap().len(), 3);
    let used_as_password = portcullis.user("admin", refresh).token_answer(&[]).await;
    used_as_password.expect(401);
}

#[tokio::test]
async fn a_refresh_token_that_is_none_is_refused() {
    let portcullis = Portcullis::up().await;
    for refresh in ["", "nonsense", &unique().repeat(10)] {
        let answer = post(
            &portcullis,
            &[
                ("grant_type", "refresh_token"),
                ("service", SERVICE),
                ("client_id", "test"),
                ("refresh_token", refresh),
            ],
        )
        .await;
        answer.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_disabled_user_is_out_and_an_enabled_one_in_again() {
    let portcullis = Portcullis::up().await;
    let alice = portcullis.new_user("alice");
    let offline = alice.token_answer(&[]).await.expect(200);
    drop(offline);

    let disable = portcullis.accounts(["auth", "user", "disable", "alice"]);
    disable.run().expect_success();
    alice
        .token_answer(&[])
        .await
        .expect_error(401, "UNAUTHORIZED");

    let enable = portcullis.accounts(["auth", "user", "enable", "alice"]);
    enable.run().expect_success();
    alice.token_answer(&[]).await.expect(200);
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_its_refresh_tokens() {
    let portcullis = Portcullis::up().await;
    let alice = portcullis.new_user("alice");
    let challenge = alice.challenge().await.clone();
    assert_eq!(challenge.service, SERVICE);
    let set = portcullis.accounts(["auth", "user", "set-password", "alice", "--password-stdin"]);
    let refresh = {
        set.clone()
            .input("first password 1\n")
            .run()
            .expect_success();
        let answer = post(
            &portcullis,
            &[
                ("grant_type", "password"),
                ("service", SERVICE),
                ("client_id", "test"),
                ("access_type", "offline"),
                ("username", "alice"),
                ("password", "first password 1"),
            ],
        )
        .await
        .expect(200);
        answer.json()["refresh_token"].as_str().unwrap().to_owned()
    };

    set.input("second password 2\n").run().expect_success();

    alice.token_answer(&[]).await.expect(401);
    portcullis
        .user("alice", "second password 2")
        .token_answer(&[])
        .await
        .expect(200);
    let answer = post(
        &portcullis,
        &[
            ("grant_type", "refresh_token"),
            ("service", SERVICE),
            ("client_id", "test"),
            ("refresh_token", &refresh),
        ],
    )
    .await;
    answer.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_answered_in_json() {
    let portcullis = Portcullis::up().await;
    for fields in [
        &[("grant_type", "telepathy"), ("service", SERVICE)][..],
        &[("grant_type", "password"), ("service", SERVICE)],
        &[("service", SERVICE)],
        &[],
    ] {
        let answer = post(&portcullis, fields).await;
        assert!(answer.status.is_client_error(), "{answer}");
        assert_ne!(answer.status, 403, "{answer}");
        assert!(answer.json()["errors"][0]["message"].is_string());
    }
    let no_form = at_realm(&portcullis)
        .call(Method::POST, "/auth/token")
        .body("{")
        .send()
        .await;
    assert!(no_form.status.is_client_error(), "{no_form}");
    assert!(no_form.json()["errors"][0]["code"].is_string());
}

#[tokio::test]
async fn scopes_that_are_none_grant_nothing() {
    let portcullis = Portcullis::up().await;
    for scope in [
        "nonsense",
        "repository:",
        "repository:admin/App:pull",
        "repository:admin/app:explode",
        "::::",
        "%00",
    ] {
        let answer = ask(&portcullis, &format!("scope={scope}")).await;
        let status = answer.status.as_u16();
        match status {
            200 => assert_eq!(access(&answer), json!([]), "{scope}"),
            _ => assert_eq!(status, 400, "{scope}: {answer}"),
        }
    }
}

#[tokio::test]
async fn a_credential_that_is_none_is_refused() {
    let portcullis = Portcullis::up().await;
    for header in [
        "Basic",
        "Basic !!!",
        "Basic YWRtaW4=",
        "Digest x",
        "Bearer x",
    ] {
        let answer = at_realm(&portcullis)
            .get(&format!("/auth/token?service={SERVICE}"))
            .header("authorization", header)
            .send()
            .await;
        let status = answer.status.as_u16();
        assert!([400, 401].contains(&status), "{header}: {answer}");
        assert!(answer.json()["errors"][0]["code"].is_string());
    }
}

#[tokio::test]
async fn the_keys_are_published_for_both_kinds_of_registry() {
    let portcullis = Portcullis::up().await;
    let client = at_realm(&portcullis);

    let keys = client
        .get("/.well-known/jwks.json")
        .send()
        .await
        .expect(200);
    let bundle = client.get("/certs/bundle.pem").send().await.expect(200);

    let key = &keys.json()["keys"][0];
    assert_eq!(key["kty"], "EC");
    assert_eq!(key["crv"], "P-256");
    assert!(key["kid"].is_string());
    assert!(key["d"].is_null(), "the private key stays private");
    let pem = String::from_utf8(bundle.body.to_vec()).unwrap();
    assert!(pem.contains("BEGIN CERTIFICATE"));
    assert!(!pem.contains("PRIVATE"));
}
