//! A storage and its database: whatever is mixed up, restored or unmounted, no image is lost for it.

use std::path::Path;

use acceptance::raw::Connection;
use acceptance::{
    Blob, Databases, Finished, Image, Invocation, Portcullis, Repository, Setup, fresh_postgres,
};

const IMAGE: &str = "admin/app";

fn repository(portcullis: &Portcullis) -> Repository {
    portcullis.admin().repository(IMAGE)
}

/// `portcullis up` on these data, which is expected to end by itself.
fn failed_start(folder: &Path) -> Finished {
    Invocation::portcullis()
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .run()
        .expect_code(1)
}

fn command(folder: &Path, arguments: &[&str]) -> Finished {
    Invocation::portcullis()
        .arg("registry")
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .run()
}

/// The registry's database and what SQLite has beside it, moved or copied as an operator would.
fn move_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("registry.sqlite")
        {
            std::fs::rename(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::copy(from.join("registry.sqlite"), to.join("registry.sqlite")).unwrap();
}

#[tokio::test]
async fn an_empty_database_in_the_place_of_the_right_one_costs_no_image() {
    let mut portcullis = Portcullis::up().await;
    let image = Image::random();
    repository(&portcullis).push(&image, "v1").await;
    portcullis.stop().await;
    let data = portcullis.folder();
    let aside = data.with_file_name("right");
    move_database(&data, &aside);

    failed_start(&data).expect_says([
        "the storage has the id ",
        "this database has never met it",
        "portcullis registry adopt-storage",
    ]);
    command(&data, &["sweep", "--older-than", "0s"])
        .expect_code(1)
        .expect_says(["nothing was removed", "adopt-storage"]);

    move_database(&aside, &data);
    portcullis.start_again().await;
    repository(&portcullis).expect_image(&image, "v1").await;
}

/// The empty database is taken on purpose, used, and swept with; then the right one turns up.
#[tokio::test]
async fn an_adopted_storage_keeps_what_its_new_database_does_not_know_for_a_while() {
    let mut portcullis = Portcullis::up().await;
    let image = Image::random();
    repository(&portcullis).push(&image, "v1").await;
    portcullis.stop().await;
    let data = portcullis.folder();
    let (right, wrong) = (data.with_file_name("right"), data.with_file_name("wrong"));
    move_database(&data, &right);

    command(&data, &["adopt-storage"])
        .expect_success()
        .expect_says(["go together from now on"]);
    portcullis.start_again().await;
    let later = Blob::random(1000);
    repository(&portcullis).push_blob(&later).await;
    let swept = command(&data, &["sweep", "--older-than", "0s", "--output", "json"]);
    let swept = swept.expect_success().json();
    assert_eq!(swept["set_aside_blobs"], 3, "{swept}");
    assert_eq!(swept["bytes"], 0, "{swept}");
    portcullis.stop().await;

    move_database(&data, &wrong);
    move_database(&right, &data);
    failed_start(&data).expect_says(["the database belongs to the storage "]);
    command(&data, &["adopt-storage", "--output", "json"]).expect_success();
    portcullis.start_again().await;
    repository(&portcullis).expect_image(&image, "v1").await;
}

#[tokio::test]
async fn an_older_copy_of_the_database_removes_nothing() {
    let mut portcullis = Portcullis::up().await;
    let (old, new) = (Image::random(), Image::random());
    repository(&portcullis).push(&old, "old").await;
    portcullis.stop().await;
    let data = portcullis.folder();
    let (copy, latest) = (data.with_file_name("copy"), data.with_file_name("latest"));
    copy_database(&data, &copy);
    portcullis.start_again().await;
    repository(&portcullis).push(&new, "new").await;
    portcullis.stop().await;
    move_database(&data, &latest);
    copy_database(&copy, &data);

    portcullis.start_again().await;
    assert!(
        portcullis.log().contains("the database is an older copy"),
        "{}",
        portcullis.log()
    );
    let between = Image::random();
    repository(&portcullis).push(&between, "between").await;
    command(&data, &["sweep", "--older-than", "0s"])
        .expect_code(1)
        .expect_says([
            "nothing was removed: the database is an older copy",
            "adopt-storage",
        ]);
    repository(&portcullis).expect_image(&old, "old").await;
    repository(&portcullis)
        .expect_image(&between, "between")
        .await;
    portcullis.stop().await;

    // With the latest database, what was pushed to the copy is unknown, and kept as well.
    move_database(&data, &copy);
    move_database(&latest, &data);
    portcullis.start_again().await;
    command(&data, &["sweep", "--older-than", "0s"]).expect_code(1);
    repository(&portcullis).expect_image(&old, "old").await;
    repository(&portcullis).expect_image(&new, "new").await;

    command(&data, &["adopt-storage"]).expect_success();
    command(&data, &["sweep", "--older-than", "0s"])
        .expect_success()
        .expect_says(["set aside: 3 blobs"]);
    repository(&portcullis).expect_image(&old, "old").await;
    repository(&portcullis).expect_image(&new, "new").await;
}

#[tokio::test]
async fn a_typo_in_the_url_of_the_database_is_found_at_the_start() {
    let mut portcullis = Portcullis::apart(Databases::Postgres).await;
    repository(&portcullis).push(&Image::random(), "v1").await;
    portcullis.stop().await;
    Invocation::portcullis()
        .args(["registry", "serve"])
        .arg(portcullis.folder().join("registry.yml"))
        .env("REGISTRY_DATABASE_URL", fresh_postgres())
        .run()
        .expect_code(1)
        .expect_says(["this database has never met it", "adopt-storage"]);
}

/// A data folder from before there were ids.
#[tokio::test]
async fn an_existing_pair_is_introduced_at_the_upgrade() {
    let mut portcullis = Portcullis::up().await;
    let image = Image::random();
    repository(&portcullis).push(&image, "v1").await;
    portcullis.stop().await;
    let data = portcullis.folder();
    let identity = data.join("docker/registry/v2/portcullis.json");
    std::fs::remove_file(&identity).unwrap();
    Invocation::new("sqlite3")
        .arg(data.join("registry.sqlite"))
        .arg("DELETE FROM storage_identity")
        .run()
        .expect_success();

    portcullis.start_again().await;
    assert!(identity.exists());
    repository(&portcullis).expect_image(&image, "v1").await;
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_told_who_the_first_is_and_disturbs_nobody() {
    let mut portcullis = Portcullis::up().await;
    let data = portcullis.folder();
    let repository = repository(&portcullis);
    let blob = Blob::random(100_000);
    let upload = repository.start_upload().await;
    let token = repository.token().await.to_owned();

    // In the middle of a PATCH.
    let mut connection = Connection::open(portcullis.origin()).await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        upload.location,
        blob.bytes.len()
    );
    connection.send(head).await;
    connection.send(&blob.bytes[..50_000]).await;
    let pid = portcullis.process().id();
    failed_start(&data).expect_says([
        "another server works on",
        "`portcullis up`",
        &format!("process {pid} on "),
        "listens on 127.0.0.1:0",
        "since ",
    ]);
    for dry_run in [true, false] {
        let mut arguments = vec!["sweep", "--older-than", "0s"];
        arguments.extend(dry_run.then_some("--dry-run"));
        command(&data, &arguments).expect_success();
    }
    connection.send(&blob.bytes[50_000..]).await;
    let answer = connection.answer().await.unwrap().expect(202);
    let upload = acceptance::Upload::resume(&repository, answer.header("location"));
    upload.finish(&blob.digest).await.expect(201);
    repository.expect_blob(&blob).await;

    // Whatever its end: the lock ends with it.
    portcullis.kill();
    portcullis.start_again().await;
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn each_server_on_sqlite_has_its_database_to_itself() {
    let portcullis = Portcullis::apart(Databases::Sqlite).await;
    for (server, option, file) in [
        ("auth", Some("--config"), "auth.yml"),
        ("registry", None, "registry.yml"),
    ] {
        Invocation::portcullis()
            .args([server, "serve"])
            .args(option)
            .arg(portcullis.folder().join(file))
            .run()
            .expect_code(1)
            .expect_says(["another server works on", &format!("{server}.sqlite")]);
    }
}

/// `mount --bind`, which can be undone and done again.
struct Mounted<'a> {
    disk: &'a Path,
    at: &'a Path,
}

impl Mounted<'_> {
    fn mount(&self) {
        Invocation::new("mount")
            .arg("--bind")
            .args([self.disk, self.at])
            .run()
            .expect_success();
    }

    fn unmount(&self) {
        Invocation::new("umount")
            .arg("--lazy")
            .arg(self.at)
            .run()
            .expect_success();
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Invocation::new("umount").arg("--lazy").arg(self.at).run();
    }
}

#[tokio::test]
async fn a_disk_that_goes_away_takes_no_pushes_and_comes_back_with_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, at) = (
        folder.path().join("disk"),
        folder.path().join("data/docker"),
    );
    for path in [&disk, &at] {
        std::fs::create_dir_all(path).unwrap();
    }
    let mounted = Mounted {
        disk: &disk,
        at: &at,
    };
    mounted.mount();
    let mut portcullis = Setup::up()
        .folder(folder.path())
        .env("REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL", "100ms")
        .start()
        .await;
    let repository = repository(&portcullis);
    let image = Image::random();
    repository.push(&image, "v1").await;
    let layer = Blob::random(1000);
    repository.push_blob(&layer).await;

    mounted.unmount();
    let refused = Blob::random(1000);
    repository.post_blob(&refused).await.expect(503);
    repository.get_blob(&refused.digest).await.expect(404);
    crate::disk::expect_readiness(&portcullis, 503).await;
    assert_eq!(
        std::fs::read_dir(&at).unwrap().count(),
        0,
        "nothing is written there"
    );

    // Nor does it start like this.
    portcullis.stop().await;
    failed_start(&portcullis.folder())
        .expect_says(["the storage has no id", "Is its disk mounted"]);

    std::fs::remove_dir_all(at.join("registry")).unwrap();
    mounted.mount();
    portcullis.start_again().await;
    crate::disk::expect_readiness(&portcullis, 200).await;
    repository.expect_image(&image, "v1").await;
    repository.expect_blob(&layer).await;
    mounted.unmount();
    mounted.mount();
    repository.push_blob(&refused).await;
}
