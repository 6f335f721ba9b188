//! A layer of two gibibytes that nothing can compress, as docker itself pushes and pulls it.

use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::tools::{Docker, EngineTrust};
use acceptance::{ADMIN_PASSWORD, Invocation};
use tokio::task::JoinSet;

use super::Behind;

const BYTES: usize = 2048 << 20;

/// An image with one layer of so many random bytes; returns its id.
fn import(docker: &Docker, name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    // No build: that would copy the bytes twice more.
    let script = format!(
        "set -o pipefail; head --bytes {BYTES} /dev/urandom > '{path}/payload'
         tar --create --directory '{path}' payload | docker import - {name}"
    );
    let imported = docker.shell(&script).run().expect_success();
    imported.stdout.trim().to_owned()
}

/// One engine, which compresses the layer for both registries at the same time: that is what takes long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_docker_moves_two_gibibytes_through_both() {
    let local = "two-gibibytes:1";
    let docker = Docker::new();
    let id = import(&docker, local);
    let mut registries = Vec::new();
    for kind in Kind::ALL {
        let behind = Behind::start(Front::new(kind, Variant::TwoHosts).at(own_address())).await;
        let trust = EngineTrust::new(&behind.proxy.host(), behind.pki.root_pem());
        let name = format!("{}/admin/large:1", behind.proxy.host());
        docker
            .login(&behind.proxy.host(), "admin", ADMIN_PASSWORD)
            .expect_success();
        docker.run(["tag", local, &name]);
        registries.push((name, behind, trust));
    }

    let mut pushes = JoinSet::new();
    for (name, ..) in &registries {
        let push: Invocation = docker.command(["push", name]);
        pushes.spawn_blocking(move || push.run());
    }
    while let Some(pushed) = pushes.join_next().await {
        pushed.unwrap().expect_success();
    }

    for (name, behind, _) in &registries {
        docker.run(["image", "rm", "--force", &id]);
        docker
            .command(["image", "inspect", &id])
            .run()
            .expect_failure();
        docker.run(["pull", name]);
        let pulled = docker.run(["image", "inspect", "--format", "{{.Id}}", name]);
        // The id is made of the digests of what the layers unpack to, which docker has checked.
        assert_eq!(pulled.stdout.trim(), id, "{:?}", behind.proxy.kind());
    }
    docker.run(["image", "rm", "--force", &id]);
}
