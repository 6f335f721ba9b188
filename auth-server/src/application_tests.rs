use std::path::Path;
use std::time::Duration;

use database::testing::TestDatabase;
use registry_token::{SigningAlgorithm, SigningKey};
use secrecy::ExposeSecret as _;
use service::health::Health;

use super::*;
use crate::config::MountedKey;
use crate::testing;

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::default().in_data_folder(folder);
    settings.password.argon2 = testing::CHEAP;
    settings
}

async fn build(settings: Settings) -> Result<Application, StartError> {
    Application::build(settings, testing::clock()).await
}

fn kid(application: &Application) -> String {
    application.state.issuer.keys.current().unwrap().key_id()
}

async fn admin_can_log_in(application: &Application, password: &SecretString) -> bool {
    let state = &application.state;
    state
        .logins
        .with_password(
            &testing::context(&state.database),
            "admin",
            password.clone(),
        )
        .await
        .is_ok()
}

#[tokio::test]
async fn the_second_start_changes_nothing_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let first = build(settings(folder.path())).await.unwrap();
    let password = first.generated_password().unwrap().clone();
    let key = kid(&first);
    first.close().await;

    let second = build(settings(folder.path())).await.unwrap();
    assert!(second.generated_password().is_none());
    assert_eq!(kid(&second), key);
    assert!(admin_can_log_in(&second, &password).await);
    assert!(!format!("{first:?}").contains(password.expose_secret()));
}

#[tokio::test]
async fn two_that_start_at_once_on_one_folder_agree() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = tokio::join!(
        build(settings(folder.path())),
        build(settings(folder.path()))
    );
    agree(&one.unwrap(), &two.unwrap()).await;
}

#[tokio::test]
async fn two_that_start_at_once_on_one_postgres_agree() {
    let database = TestDatabase::postgres(&sqlx::migrate::Migrator::DEFAULT).await;
    let folder = tempfile::tempdir().unwrap();
    let replica = || {
        let mut settings = settings(folder.path());
        settings.database.url = Some(database.url.clone());
        build(settings)
    };
    let (one, two) = tokio::join!(replica(), replica());
    agree(&one.unwrap(), &two.unwrap()).await;
}

/// One key, and one password that somebody shows and both accept.
async fn agree(one: &Application, two: &Application) {
    assert_eq!(kid(one), kid(two));
    let shown: Vec<&SecretString> = [one, two]
        .into_iter()
        .filter_map(Application::generated_password)
        .collect();
    assert_eq!(shown.len(), 1);
    assert!(admin_can_log_in(one, shown[0]).await);
    assert!(admin_can_log_in(two, shown[0]).await);
}

#[tokio::test]
async fn a_mounted_key_signs() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate(SigningAlgorithm::Rs256, testing::clock().now()).unwrap();
    let mounted = MountedKey {
        key: folder.path().join("key.pem"),
        certificate: folder.path().join("cert.pem"),
    };
    std::fs::write(&mounted.key, key.to_pem().expose_secret()).unwrap();
    std::fs::write(&mounted.certificate, key.certificate_pem()).unwrap();
    let mut settings = settings(folder.path());
    settings.keys.mounted = Some(mounted);
    let application = build(settings).await.unwrap();
    assert_eq!(kid(&application), key.key_id());
    assert_eq!(
        application.state.issuer.keys.load().published.bundle.body,
        key.certificate_pem()
    );
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();

    let mut no_database = settings(folder.path());
    no_database.database.url = Some(database::DatabaseUrl::Sqlite(file.join("auth.sqlite")));
    let error = build(no_database).await.unwrap_err().to_string();
    assert!(error.contains("file/auth.sqlite"), "{error}");

    let mut no_keys = settings(folder.path());
    no_keys.keys.path = Some(file.join("keys"));
    let error = build(no_keys).await.unwrap_err().to_string();
    assert!(error.contains("file/keys"), "{error}");

    let mut weak = settings(folder.path());
    weak.admin.password = Some("short".into());
    let error = build(weak).await.unwrap_err().to_string();
    assert!(error.contains("admin.password"), "{error}");
}

#[tokio::test]
async fn it_is_healthy_while_its_certificate_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let application = build(settings(folder.path())).await.unwrap();
    let issuer = &application.state.issuer;
    let health = Health::start(application.health(), &Shutdown::new());
    tokio::time::timeout(Duration::from_secs(10), async {
        while !health.is_passing() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();

    issuer.clock.advance(Duration::from_hours(3_651 * 24));
    let error = check_signing_key(issuer).unwrap_err();
    assert!(error.contains("has ended"), "{error}");
}
