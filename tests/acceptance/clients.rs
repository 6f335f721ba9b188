//! The clients people have: docker, skopeo and podman log in, push, and pull; from `up`, and from
//! the two servers apart on either database.

use acceptance::tools::{Docker, Layout, Podman, Skopeo};
use acceptance::{ADMIN_PASSWORD, Databases, Portcullis};
use serde_json::Value;

/// Writes a test for each way to run the servers.
macro_rules! however_it_runs {
    ($($name:ident => $check:path;)+) => { $(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn all_in_one() {
                $check(&Portcullis::up().await);
            }

            #[tokio::test]
            async fn apart_on_sqlite() {
                $check(&Portcullis::apart(Databases::Sqlite).await);
            }

            #[tokio::test]
            async fn apart_on_postgres() {
                $check(&Portcullis::apart(Databases::Postgres).await);
            }
        }
    )+ };
}

however_it_runs! {
    docker => docker_logs_in_pushes_and_pulls;
    docker_anonymous => docker_pulls_public_images_without_a_login;
    skopeo => skopeo_copies_images_of_many_platforms;
    podman => podman_logs_in_pushes_and_pulls;
}

#[tokio::test]
async fn heavy_a_gigabyte_all_in_one() {
    docker_moves_a_gigabyte(&Portcullis::up().await);
}

#[tokio::test]
async fn heavy_a_gigabyte_apart_on_postgres() {
    docker_moves_a_gigabyte(&Portcullis::apart(Databases::Postgres).await);
}

fn docker_logs_in_pushes_and_pulls(portcullis: &Portcullis) {
    let docker = Docker::new();
    let host = portcullis.host();

    docker
        .login(&host, "admin", "wrong")
        .expect_failure()
        .expect_says(["unauthorized"]);
    docker
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success()
        .expect_says(["Login Succeeded"]);
    let image = docker.build(&format!("{host}/admin/hello:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);

    // The layers are known already; Docker mounts them.
    let copy = format!("{host}/admin/copy:1");
    docker.run(["tag", &image.name, &copy]);
    docker
        .run(["push", &copy])
        .expect_says(["Mounted from admin/hello"]);

    docker.run(["logout", &host]);
    docker.run(["image", "rm", "--force", &image.name, &copy]);
    docker.command(["pull", &image.name]).run().expect_failure();
}

fn docker_pulls_public_images_without_a_login(portcullis: &Portcullis) {
    let host = portcullis.host();
    portcullis.new_project("open", "public");
    let owner = Docker::new();
    owner.login(&host, "admin", ADMIN_PASSWORD).expect_success();
    let image = owner.build(&format!("{host}/open/hello:1"));
    owner.run(["push", &image.name]);

    let stranger = Docker::new();

    stranger.pull_and_run(&image);
    stranger.run(["tag", &image.name, &format!("{host}/open/evil:1")]);
    stranger
        .command(["push", &format!("{host}/open/evil:1")])
        .run()
        .expect_failure();
}

fn docker_moves_a_gigabyte(portcullis: &Portcullis) {
    let docker = Docker::new();
    let host = portcullis.host();
    docker
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success();

    let image = docker.build_with(&format!("{host}/admin/big:1"), 1 << 30);
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);

    docker.run(["image", "rm", "--force", &image.name]);
}

fn skopeo_copies_images_of_many_platforms(portcullis: &Portcullis) {
    let skopeo = Skopeo::new();
    let host = portcullis.host();
    let layout = Layout::new()
        .image("linux", "amd64", &[100_000, 2_000_000])
        .image("linux", "arm64", &[100_000])
        .image("linux", "s390x", &[1]);
    let source = layout.finish();
    let image = format!("docker://{host}/admin/multi:1");

    skopeo
        .login(&host, "admin", "wrong")
        .expect_failure()
        .expect_says(["invalid username/password"]);
    skopeo
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success();
    skopeo.copy(&source, &image).expect_success();

    let raw = skopeo
        .run(["inspect", "--raw", "--tls-verify=false", &image])
        .json();
    let platforms: Vec<&Value> = raw["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| &manifest["platform"]["architecture"])
        .collect();
    assert_eq!(platforms, ["amd64", "arm64", "s390x"]);
    let inspected = skopeo.run([
        "--override-arch",
        "arm64",
        "inspect",
        "--tls-verify=false",
        &image,
    ]);
    assert_eq!(inspected.json()["Architecture"], "arm64");

    // Within the registry, back to a folder, and away.
    let copy = format!("docker://{host}/admin/copy:1");
    skopeo.copy(&image, &copy).expect_success();
    let folder = tempfile::tempdir().unwrap();
    let target = format!("oci:{}/layout:test", folder.path().display());
    skopeo.copy(&copy, &target).expect_success();
    for entry in std::fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
        let name = entry.unwrap().file_name();
        let copied = folder.path().join("layout/blobs/sha256").join(&name);
        assert!(copied.exists(), "{} is missing", name.display());
    }
    let tags = skopeo.run([
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{host}/admin/copy"),
    ]);
    assert_eq!(tags.json()["Tags"], serde_json::json!(["1"]));
    skopeo.run(["delete", "--tls-verify=false", &copy]);
    skopeo
        .command(["inspect", "--tls-verify=false", &copy])
        .run()
        .expect_failure();
}

fn podman_logs_in_pushes_and_pulls(portcullis: &Portcullis) {
    let podman = Podman::new();
    let host = portcullis.host();
    let image = format!("{host}/admin/hello:1");

    podman.login(&host, "admin", "wrong").expect_failure();
    podman
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success()
        .expect_says(["Login Succeeded"]);
    let id = podman.build(&image);
    podman.run(["push", "--quiet", "--tls-verify=false", &image]);
    podman.run(["image", "rm", "--force", &id]);
    podman.run(["pull", "--quiet", "--tls-verify=false", &image]);
    let again = podman.run(["image", "inspect", "--format", "{{.Id}}", &image]);
    assert_eq!(again.stdout.trim(), id);

    podman.run(["logout", &host]);
    podman.run(["image", "rm", "--force", &image]);
    podman
        .command(["pull", "--quiet", "--tls-verify=false", &image])
        .run()
        .expect_failure();
}
