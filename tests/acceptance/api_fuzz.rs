//! The admin API, held to its own description: by a validator, and by a fuzzer that is driven by it
//! (schemathesis; `tests/environment/schemathesis` installs both).

use std::path::{Path, PathBuf};

use acceptance::{Client, Invocation, Portcullis};
use serde_json::{Value, json};

/// What the fuzzer looks at in an answer: that there is one, and that it is among those described.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Operations that end the fuzzer's own credentials: they come last, each run with its own.
const ENDING: &[&str] = &["revoke_my_token", "revoke_token"];

fn programs() -> PathBuf {
    std::env::var_os("PORTCULLIS_TEST_SCHEMATHESIS")
        .expect("PORTCULLIS_TEST_SCHEMATHESIS: run through tests/environment/with")
        .into()
}

/// A server with something in it, its description, and a token for all of it.
async fn fuzzed() -> (Portcullis, Value) {
    let portcullis = Portcullis::up().await;
    for arguments in [
        &["group", "create", "team"][..],
        &["project", "create", "team/app"],
    ] {
        let command = ["auth"].into_iter().chain(arguments.iter().copied());
        portcullis.accounts(command).run().expect_success();
    }
    portcullis.new_user("alice");
    let url = portcullis
        .auth_origin()
        .join("api/v1/openapi.json")
        .unwrap();
    let description = reqwest::get(url).await.unwrap().json().await.unwrap();
    (portcullis, description)
}

fn token(portcullis: &Portcullis, name: &str) -> String {
    let create = [
        "auth", "token", "create", name, "--user", "admin", "--scope", "api",
    ];
    let made = portcullis
        .accounts(create.into_iter().chain(["--output", "json"]))
        .run()
        .expect_success();
    made.json()["token"].as_str().unwrap().to_owned()
}

/// Tells the fuzzer names of what is there: it would never guess one.
fn with_examples(mut description: Value) -> Value {
    let paths = description["paths"].as_object_mut().unwrap();
    for operation in paths
        .values_mut()
        .flat_map(|path| path.as_object_mut().unwrap().values_mut())
    {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let example = match parameter["name"].as_str() {
                Some("group") => "team",
                Some("project") => "team/app",
                Some("username") => "alice",
                _ => continue,
            };
            parameter["example"] = json!(example);
        }
    }
    description
}

fn fuzz(portcullis: &Portcullis, description: &Path, arguments: &[&str]) {
    let token = token(portcullis, arguments.last().unwrap_or(&"fuzz"));
    Invocation::new(programs().join("st"))
        .arg("run")
        .arg(description)
        .args([
            "--url",
            portcullis.auth_origin().as_str().trim_end_matches('/'),
        ])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "15", "--seed", "1", "--no-color"])
        .args(arguments)
        .current_dir(description.parent().unwrap())
        .run()
        .expect_success();
}

#[tokio::test]
async fn the_description_is_valid_openapi() {
    let (_portcullis, description) = fuzzed().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, description.to_string()).unwrap();
    Invocation::new(programs().join("openapi-spec-validator"))
        .args(["--schema", "3.1"])
        .arg(&file)
        .run()
        .expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_makes_the_api_fail_or_answer_what_it_does_not_describe() {
    let (portcullis, description) = fuzzed().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, with_examples(description).to_string()).unwrap();
    let mut excluded = Vec::new();
    for operation in ENDING {
        excluded.extend(["--exclude-operation-id", operation]);
    }
    fuzz(&portcullis, &file, &excluded);
    for operation in ENDING {
        fuzz(&portcullis, &file, &["--include-operation-id", operation]);
    }
    // It still lets people in.
    let admin: Client = portcullis.admin();
    admin.token_answer(&[]).await.expect(200);
}
