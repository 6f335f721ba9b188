//! Servers are restarted under load. With two of each, nobody notices; with one, clients need the retries
//! that they have anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use acceptance::compose::Deployment;
use acceptance::content::unique;
use acceptance::tools::Docker;
use acceptance::{Blob, Client, Image};
use tokio::task::JoinSet;

/// Clients that log in, push and pull, until they are told to stop. Each request is made once: whoever
/// gets anything but what they asked for ends the test.
pub struct Load {
    stop: Arc<AtomicBool>,
    images: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    pub fn start(client: &Client, clients: usize) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            images: Arc::default(),
            clients: JoinSet::new(),
        };
        for _ in 0..clients {
            let (stop, images, client) = (load.stop.clone(), load.images.clone(), client.clone());
            load.clients.spawn(async move {
                while !stop.load(Relaxed) {
                    push_and_pull(&client).await;
                    images.fetch_add(1, Relaxed);
                }
            });
        }
        load
    }

    /// Waits until this many more images have come and gone.
    pub async fn flows(&self, more: usize) {
        let (before, deadline) = (
            self.images.load(Relaxed),
            Instant::now() + Duration::from_mins(1),
        );
        while self.images.load(Relaxed) < before + more {
            assert!(Instant::now() < deadline, "the clients do not get on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; panics if somebody's request was lost.
    pub async fn end(mut self) -> usize {
        self.stop.store(true, Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.images.load(Relaxed)
    }
}

/// A token, three blobs (one of them large enough to be on its way for a while) and a manifest.
async fn push_and_pull(client: &Client) {
    let repository = client.repository(&format!("admin/{}", unique()));
    let image = Image::of(vec![Blob::random(1000), Blob::random(2_000_000)]);
    repository.push(&image, "1").await;
    repository.expect_image(&image, "1").await;
}

fn container(deployment: &Deployment, service: &str) -> String {
    let id = deployment.run(["ps", "--quiet", service]).stdout;
    id.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_are_restarted_one_after_the_other_and_no_request_is_lost() {
    for proxy in [&["replicas"][..], &["replicas", "apache"]] {
        let mut deployment = Deployment::new(proxy);
        deployment.up();
        let service = if proxy.len() == 1 { "nginx" } else { "apache" };
        let authority = deployment.authority(service);
        let admin = deployment
            .client(&authority)
            .login("admin", &deployment.admin_password());
        let load = Load::start(&admin, 6);
        load.flows(10).await;

        for service in ["registry", "registry-2", "auth", "auth-2"] {
            let id = container(&deployment, service);
            deployment.docker().run(["restart", "--time", "75", &id]);
            healthy(&deployment, &id).await;
            load.flows(5).await;
        }

        let images = load.end().await;
        println!("{images} images through {service}");
        let log = deployment.log();
        assert!(!log.contains("may be cut off"), "{log}");
    }
}

async fn healthy(deployment: &Deployment, id: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let format = "{{.State.Health.Status}}";
    loop {
        let state = deployment.docker().run(["inspect", "--format", format, id]);
        if state.stdout.trim() == "healthy" {
            return;
        }
        assert!(Instant::now() < deadline, "{id} is {}", state.stdout);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_is_restarted_and_docker_needs_nothing_but_its_own_retries() {
    let mut deployment = Deployment::new(&["sqlite"]);
    deployment.up();
    let authority = deployment.authority("nginx");
    deployment.trust(&authority);
    let registry = deployment.registry();
    let docker = Docker::new();
    docker
        .login(&registry, "admin", &deployment.admin_password())
        .expect_success();
    let image = docker.build_with(&format!("{registry}/admin/hello:1"), 100_000_000);

    restarted_while(&deployment, || docker.run(["push", &image.name])).await;
    docker.run(["image", "rm", "--force", &image.name]);
    restarted_while(&deployment, || docker.run(["pull", &image.name])).await;
    docker.pull_and_run(&image);
}

/// The registry is restarted as soon as it is busy.
async fn restarted_while<T>(deployment: &Deployment, transfer: impl FnOnce() -> T + Send) {
    let id = container(deployment, "registry");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(700));
            deployment.docker().run(["restart", "--time", "75", &id]);
        });
        transfer();
    });
    healthy(deployment, &id).await;
}
