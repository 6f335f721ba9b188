//! What the documents about a deployment with the compose file say to type works as written.

use std::fs;

use acceptance::compose::Deployment;
use acceptance::content::unique;
use acceptance::tools::Docker;
use acceptance::{Blob, Client, Image};

use crate::compose_restarts::Load;
use crate::documents::{commands, document};

/// Types a line into a shell in the deployment's folder. The names of the documents stand for those of
/// the test environment.
#[track_caller]
fn type_in(deployment: &Deployment, line: &str) {
    let here = line.replace("registry.localhost", &deployment.registry());
    let docker = deployment.docker();
    docker
        .shell(&here)
        .current_dir(deployment.path())
        .run()
        .expect_success();
}

fn trusted(deployment: &Deployment) -> Client {
    deployment
        .client(&deployment.authority("nginx"))
        .login("admin", &deployment.admin_password())
}

#[tokio::test]
async fn installed_as_its_document_says() {
    let mut deployment = Deployment::new(&[]);
    deployment
        .docker()
        .run(["tag", "debian:bookworm-slim", "hello-world"]);
    let typed = commands(&document("docs/install.md"));
    assert_eq!(typed[0], "docker compose up --detach --wait");
    for line in &typed {
        // The test has a file of its own.
        if line == "cp .env.example .env" {
            assert!(deployment.path().join(".env.example").exists());
            continue;
        }
        type_in(&deployment, line);
    }
    // So that it is removed.
    deployment.trust(&deployment.authority("nginx"));
    let alice = Docker::new();
    alice
        .command(["pull", &format!("{}/alice/hello:1", deployment.registry())])
        .run()
        .expect_failure();
    assert!(
        deployment
            .accounts(["user", "list"])
            .run()
            .stdout
            .contains("alice")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_are_upgraded_as_the_document_says_and_no_request_is_lost() {
    let mut deployment = Deployment::new(&["replicas"]);
    deployment.up();
    let ids = || {
        let servers = ["ps", "--quiet", "auth", "auth-2", "registry", "registry-2"];
        let ids = deployment.run(servers).stdout;
        ids.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = ids();
    let load = Load::start(&trusted(&deployment), 4);
    load.flows(5).await;
    let postgres = || deployment.run(["ps", "--quiet", "postgres"]).stdout;
    let records = postgres();
    // Another version: the image differs.
    let file = deployment.path().join("deploy/image/config.yml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{text}# {}\n", unique())).unwrap();

    let document = document("docs/upgrade.md");
    let (briefly, unnoticed) = document.split_once("\n## Without an interruption").unwrap();
    let typed = commands(unnoticed);
    assert_eq!(typed.len(), 7);
    for line in &typed {
        type_in(&deployment, line);
        load.flows(5).await;
    }

    load.end().await;
    assert_eq!(postgres(), records);
    let after = ids();
    assert_eq!(after.len(), 4);
    assert!(
        after.iter().all(|id| !before.contains(id)),
        "{before:?} {after:?}"
    );

    // The other way, with nobody there whom it could interrupt.
    let typed = commands(briefly);
    assert_eq!(typed[0], "git pull");
    for line in &typed[1..] {
        type_in(&deployment, line);
    }
    assert_eq!(ids(), after);
}

#[tokio::test]
async fn backed_up_and_restored_as_the_document_says() {
    let document = document("docs/backup.md");
    let (postgres, sqlite) = document.split_once("\n## With SQLite").unwrap();
    for (text, added) in [(postgres, &[][..]), (sqlite, &["sqlite"][..])] {
        let (backup, restore) = text.split_once(" Restore\n").unwrap();
        let first = Deployment::new(added);
        let mut lost = Deployment::new(added);
        let mut first = first;
        first.up();
        let image = Image::of(vec![Blob::random(1000), Blob::random(100_000)]);
        let repository = trusted(&first).repository("admin/precious");
        repository.push(&image, "1").await;
        let (password, authority) = (first.admin_password(), first.authority("nginx"));
        for line in commands(backup) {
            type_in(&first, &line);
        }

        // Another machine, with the same settings and what was saved.
        for entry in fs::read_dir(first.path()).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|kind| kind == "tar" || kind == "dump")
            {
                fs::copy(&path, lost.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        for line in commands(restore) {
            type_in(&lost, &line);
        }
        lost.up();
        assert_eq!(lost.admin_password(), password);
        assert_eq!(lost.authority("nginx"), authority);
        let repository = trusted(&lost).repository("admin/precious");
        repository.expect_image(&image, "1").await;
        repository.push(&Image::random(), "2").await;
    }
}
