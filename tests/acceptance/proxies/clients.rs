//! The clients people have, with the authority's certificate where each of them looks for it. All
//! ask an address that is not the loopback: there, some do not insist on certificates.

use std::path::{Path, PathBuf};

use acceptance::content::unique;
use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::tools::{Docker, EngineTrust, Layout, Podman, Skopeo};
use acceptance::{ADMIN_PASSWORD, Invocation};
use tempfile::TempDir;

use super::Behind;

/// Where docker, podman and the like look for authorities: a folder with certificates.
fn certificates(behind: &Behind) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(behind.pki.root(), folder.path().join("ca.crt")).unwrap();
    folder
}

async fn docker_trusts_logs_in_pushes_and_pulls(kind: Kind) {
    let docker = Docker::new();
    for variant in Variant::ALL {
        let behind = Behind::start(Front::new(kind, variant).at(own_address())).await;
        let host = behind.proxy.host();
        docker
            .login(&host, "admin", ADMIN_PASSWORD)
            .expect_failure()
            .expect_says(["certificate signed by unknown authority"]);
        let _trust = EngineTrust::new(&host, behind.pki.root_pem());
        docker
            .login(&host, "admin", ADMIN_PASSWORD)
            .expect_success()
            .expect_says(["Login Succeeded"]);

        let name = format!("{host}/admin/app:1");
        if variant == Variant::TwoHosts {
            let image = docker.build(&name);
            docker.run(["push", &name]);
            docker.pull_and_run(&image);
        } else {
            docker.build_small(&name);
            docker.run(["push", &name]);
            docker.run(["image", "rm", "--force", &name]);
            docker.run(["pull", &name]);
        }
        docker.run(["image", "rm", "--force", &name]);
    }
}

#[tokio::test]
async fn docker_behind_nginx() {
    docker_trusts_logs_in_pushes_and_pulls(Kind::Nginx).await;
}

#[tokio::test]
async fn docker_behind_apache() {
    docker_trusts_logs_in_pushes_and_pulls(Kind::Apache).await;
}

#[tokio::test]
async fn podman_logs_in_pushes_and_pulls() {
    for kind in Kind::ALL {
        let behind = Behind::start(Front::new(kind, Variant::TwoHosts).at(own_address())).await;
        let certificates = certificates(&behind);
        let trust = ["--cert-dir", certificates.path().to_str().unwrap()];
        let host = behind.proxy.host();
        let podman = Podman::new();
        let login = podman.command(["login", "--username", "admin", "--password-stdin"]);
        let login = login.args(trust).arg(&host).input(ADMIN_PASSWORD);
        login.run().expect_success();

        let image = format!("{host}/admin/app:1");
        let id = podman.build(&image);
        podman
            .command(["push"])
            .args(trust)
            .arg(&image)
            .run()
            .expect_success();
        podman.run(["image", "rm", "--force", &id]);
        podman
            .command(["pull"])
            .args(trust)
            .arg(&image)
            .run()
            .expect_success();
        podman
            .command(["pull", &image])
            .run()
            .expect_failure()
            .expect_says(["x509"]);
    }
}

/// An image of two platforms, at `/admin/app:1`.
fn push_with_skopeo(behind: &Behind) -> (String, Layout) {
    let certificates = certificates(behind);
    let trust = certificates.path().to_str().unwrap();
    let host = behind.proxy.host();
    let skopeo = Skopeo::new();
    let login = skopeo.command(["login", "--username", "admin", "--password-stdin"]);
    let login = login
        .args(["--cert-dir", trust, &host])
        .input(ADMIN_PASSWORD);
    login.run().expect_success();

    let layout = Layout::new()
        .image("linux", "amd64", &[1_000, 3_000_000])
        .image("linux", "arm64", &[1_000]);
    let from = layout.finish();
    let image = format!("{host}/admin/app:1");
    let copy = skopeo.command([
        "copy",
        "--all",
        "--preserve-digests",
        "--dest-cert-dir",
        trust,
    ]);
    copy.args([&from, &format!("docker://{image}")])
        .run()
        .expect_success();
    skopeo.run(["inspect", "--cert-dir", trust, &format!("docker://{image}")]);
    (image, layout)
}

/// The containerd that the Docker engine of the environment runs.
fn containerd() -> PathBuf {
    let docker = std::env::var("DOCKER_HOST").unwrap();
    let socket = Path::new(docker.strip_prefix("unix://").unwrap());
    socket.with_file_name("exec/containerd/containerd.sock")
}

/// As a cluster's node pulls: hosts.toml, and tokens by POST.
fn pull_with_containerd(behind: &Behind, image: &str, host: &str) {
    let hosts = tempfile::tempdir().unwrap();
    let folder = hosts.path().join(behind.proxy.host());
    std::fs::create_dir(&folder).unwrap();
    let hosts_toml = format!(
        "server = \"https://{}\"\n[host.\"{host}\"]\ncapabilities = [\"pull\", \"resolve\"]\n\
         ca = \"{}\"\noverride_path = {}\n",
        behind.proxy.host(),
        behind.pki.root().display(),
        host.ends_with("/v2"),
    );
    std::fs::write(folder.join("hosts.toml"), hosts_toml).unwrap();
    let namespace = unique();
    let ctr = |arguments: &[&str]| {
        Invocation::new("ctr")
            .arg("--address")
            .arg(containerd())
            .args(["--namespace", &namespace])
            .args(arguments)
            .run()
            .expect_success()
    };
    ctr(&[
        "images",
        "pull",
        "--user",
        &format!("admin:{ADMIN_PASSWORD}"),
        "--hosts-dir",
        hosts.path().to_str().unwrap(),
        image,
    ])
    .expect_says(["done"]);
    ctr(&["images", "rm", "--sync", image]);
    ctr(&["namespaces", "rm", &namespace]);
}

#[tokio::test]
async fn skopeo_pushes_and_containerd_pulls() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let behind = Behind::start(Front::new(kind, variant).at(own_address())).await;
            let (image, _layout) = push_with_skopeo(&behind);
            let host = format!("https://{}", behind.proxy.host());
            pull_with_containerd(&behind, &image, &host);
            let log = behind.proxy.access_log();
            let realm = behind.proxy.auth().path();
            assert!(log.contains(&format!("\"POST {realm}jwt/auth")), "{log}");

            if variant == Variant::PathPrefix {
                pull_with_containerd(&behind, &image, &format!("{host}/portcullis/v2"));
                let log = behind.proxy.access_log();
                assert!(
                    log.contains("\"GET /portcullis/v2/admin/app/blobs/"),
                    "{log}"
                );
            }
        }
    }
}
