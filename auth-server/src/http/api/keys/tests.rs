use std::time::Duration;

use registry_token::{SigningAlgorithm, SigningKey};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::http::test_app::TestApp;

const KEYS: &str = "/api/v1/keys";

async fn list(app: &TestApp) -> Vec<Value> {
    let answer = app.admin(Method::GET, KEYS, &Value::Null).await.expect(200);
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn keys_are_rotated_shown_and_retired() {
    let app = TestApp::start().await;
    let first = &list(&app).await[0];
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(first["state"], "signing");
    let made = app
        .admin(Method::POST, KEYS, &Value::Null)
        .await
        .expect(201);
    let new = made.json();
    assert_eq!(new["state"], "published");
    assert_eq!(list(&app).await[1], new);
    let shown = app
        .admin(Method::GET, made.header("location"), &Value::Null)
        .await;
    assert_eq!(shown.expect(200).json(), new);
    let by_id = format!("{KEYS}/{}", new["id"].as_str().unwrap());
    let shown = app.admin(Method::GET, &by_id, &Value::Null).await;
    assert_eq!(shown.expect(200).json(), new);

    let again = app.admin(Method::POST, KEYS, &Value::Null).await;
    let message = again.error(409, "CONFLICT");
    assert!(message.contains(new["id"].as_str().unwrap()), "{message}");
    let signing = format!("{KEYS}/{}", first["thumbprint"].as_str().unwrap());
    let refused = app.admin(Method::DELETE, &signing, &Value::Null).await;
    assert!(refused.error(409, "CONFLICT").contains("rotate"));
    let perhaps = format!("{signing}?force=perhaps");
    let refused = app.admin(Method::DELETE, &perhaps, &Value::Null).await;
    assert!(refused.error(400, "BAD_REQUEST").contains("true or false"));

    let forced = format!("{signing}?force=true");
    let retired = app
        .admin(Method::DELETE, &forced, &Value::Null)
        .await
        .expect(200);
    assert_eq!(retired.json()["key"]["state"], "retired");
    assert_eq!(retired.json()["warnings"].as_array().unwrap().len(), 2);
    let states: Vec<Value> = list(&app)
        .await
        .iter()
        .map(|key| key["state"].clone())
        .collect();
    assert_eq!(states, ["retired", "signing"]);

    let unknown = app
        .admin(Method::DELETE, "/api/v1/keys/x?force=true", &Value::Null)
        .await;
    unknown.error(404, "NOT_FOUND");
    let unknown = app.admin(Method::GET, "/api/v1/keys/x", &Value::Null).await;
    unknown.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_pair_is_imported_and_its_private_key_is_never_shown_again() {
    let app = TestApp::start().await;
    let pair = SigningKey::generate(SigningAlgorithm::Es384, app.clock.now()).unwrap();
    let secret = pair.to_pem().expose_secret();
    let import = json!({"private_key": secret, "certificate": pair.certificate_pem()});
    let path = "/api/v1/keys/import";
    let imported = app.admin(Method::POST, path, &import).await.expect(201);
    assert_eq!(imported.json()["id"], pair.key_id());
    app.admin(Method::POST, path, &import)
        .await
        .error(409, "CONFLICT");
    for (body, words) in [
        (json!({}), "a private key is needed"),
        (json!({"private_key": "nonsense"}), "no private key"),
    ] {
        let refused = app.admin(Method::POST, path, &body).await;
        let message = refused.error(422, "INVALID");
        assert!(message.contains(words), "{message}");
    }
    let line = secret.lines().nth(1).unwrap();
    let audit = app
        .admin(Method::GET, "/api/v1/audit?action=key", &Value::Null)
        .await;
    for answer in [imported, audit.expect(200)] {
        assert!(answer.text.contains(&pair.key_id()));
        assert!(!answer.text.contains(line));
    }
}
