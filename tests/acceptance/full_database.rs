//! A database whose disk is full, or fails: what is there is served, what cannot be stored is refused,
//! and when there is room again, or the disk is back, all goes on without a restart.

use acceptance::disk::SmallDisk;
use acceptance::fault::Fault;
use acceptance::served::Configured;
use acceptance::{Answer, Image, Manifest, Portcullis, Repository, Setup};
use reqwest::Method;
use serde_json::json;

/// Large enough that a few do not fit where something else has left a little room.
fn manifest() -> Manifest {
    let text = acceptance::content::unique().repeat(3_000);
    Manifest::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "annotations": { "text": text },
    }))
}

async fn write(repository: &Repository) -> Answer {
    repository.put_manifest(&manifest(), "written").await
}

/// A login as docker does it, which wants an identity token to keep.
async fn login(portcullis: &Portcullis) -> Answer {
    portcullis
        .anonymous()
        .get("/auth/token?service=portcullis-registry&offline_token=true")
        .basic("admin", acceptance::ADMIN_PASSWORD)
        .send()
        .await
        .expect(200)
}

fn has_identity_token(answer: &Answer) -> bool {
    answer.json()["refresh_token"].is_string()
}

async fn write_until_refused(repository: &Repository) -> Answer {
    for _ in 0..100 {
        let answer = write(repository).await;
        if answer.status != 201 {
            return answer;
        }
    }
    panic!("nothing is refused");
}

fn expect_sentence(answer: &Answer, sentence: &str) {
    let error = &answer.json()["errors"][0];
    assert_eq!(error["message"], sentence, "{answer}");
}

#[tokio::test]
async fn writing_goes_on_without_a_restart_once_a_full_disk_has_room_again() {
    let disk = SmallDisk::new("48m");
    let portcullis = Setup::up().folder(disk.path()).start().await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    let filler = disk.fill();

    let refused = write_until_refused(&repository).await;
    assert_eq!(refused.status, 507, "{refused}");
    expect_sentence(&refused, "the disk of the registry's database is full");
    for _ in 0..5 {
        write(&repository).await.expect(507);
        assert!(!has_identity_token(&login(&portcullis).await));
    }
    repository.expect_image(&image, "v1").await;

    std::fs::remove_file(filler).unwrap();
    write(&repository).await.expect(201);
    assert!(has_identity_token(&login(&portcullis).await));
    repository.expect_image(&image, "v1").await;
}

#[tokio::test]
async fn a_server_starts_on_a_full_disk_and_serves_what_is_there() {
    let disk = SmallDisk::new("48m");
    let mut portcullis = Setup::up().folder(disk.path()).start().await;
    let image = Image::random();
    let repository = portcullis.admin().repository("admin/app");
    repository.push(&image, "v1").await;
    portcullis.stop().await;
    let filler = disk.fill();

    portcullis.start_again().await;
    disk.fill();
    let repository = portcullis.admin().repository("admin/app");
    repository.expect_image(&image, "v1").await;
    write_until_refused(&repository).await.expect(507);

    std::fs::remove_file(filler).unwrap();
    write(&repository).await.expect(201);
}

#[tokio::test]
async fn accounts_on_a_read_only_disk_let_people_in() {
    let disk = SmallDisk::new("32m");
    let mut portcullis = Setup::up().folder(disk.path()).start().await;
    portcullis.new_user("alice");
    portcullis.stop().await;
    disk.make_read_only();

    let data = portcullis.folder();
    let auth = Configured::auth(&format!(
        "http: {{addr: '127.0.0.1:0'}}\ndatabase: {{url: 'sqlite:{0}/auth.sqlite'}}\n\
         keys: {{path: '{0}/keys'}}\n",
        data.display()
    ));
    let auth = auth.start().await;
    let query = "/auth/token?service=portcullis-registry&offline_token=true";
    let ask = async |password| {
        auth.client()
            .get(query)
            .basic("admin", password)
            .send()
            .await
    };
    let answer = ask(acceptance::ADMIN_PASSWORD).await.expect(200);
    assert!(!has_identity_token(&answer));
    ask("a guess").await.expect(401);
    // A session of the admin API, which is a row.
    let login = json!({ "username": "admin", "password": acceptance::ADMIN_PASSWORD });
    let session = auth.client().call(Method::POST, "/api/v1/session");
    let refused = session.json(&login).send().await;
    assert_eq!(refused.status, 503, "{refused}");
    expect_sentence(
        &refused,
        "the accounts database is read-only: nothing can be changed",
    );
}

#[tokio::test]
async fn writing_goes_on_without_a_restart_once_a_failing_disk_is_back() {
    let mut portcullis = Portcullis::up().await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    assert!(has_identity_token(&login(&portcullis).await));

    let data = portcullis.folder();
    let logs = ["auth.sqlite-wal", "registry.sqlite-wal"].map(|name| data.join(name));
    for call in ["pwrite64", "fdatasync"] {
        let fault = Fault::inject(portcullis.process().id(), call, "EIO", &logs);
        for _ in 0..3 {
            let refused = write(&repository).await;
            assert_eq!(refused.status, 503, "{refused}");
            expect_sentence(&refused, "the registry's database is unavailable");
            assert!(!has_identity_token(&login(&portcullis).await));
        }
        repository.expect_image(&image, "v1").await;
        drop(fault);
        write(&repository).await.expect(201);
        assert!(has_identity_token(&login(&portcullis).await));
    }
}

#[tokio::test]
async fn a_damaged_database_is_not_served() {
    use std::os::unix::fs::FileExt as _;

    let mut portcullis = Portcullis::up().await;
    let repository = portcullis.admin().repository("admin/app");
    repository.push(&Image::random(), "v1").await;
    portcullis.stop().await;
    let path = portcullis.folder().join("registry.sqlite");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let middle = file.metadata().unwrap().len() / 4096 / 2 * 4096;
    file.write_all_at(&vec![0xa5; 8 * 4096], middle).unwrap();

    let folder = portcullis.folder();
    acceptance::Invocation::portcullis()
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&folder)
        .run()
        .expect_failure()
        .expect_says(["registry.sqlite is damaged", "restore a backup"]);
}
