//! A file of passwords in the place of tokens, as small installations of `registry:2` have it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use acceptance::tools::{Docker, Layout, Podman, Skopeo};
use acceptance::{Client, Invocation, Launch, Process, Ready, host};
use rustix::process::Signal;
use tempfile::TempDir;

struct Registry {
    process: Process,
    folder: TempDir,
}

impl Registry {
    async fn with_users(users: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("htpasswd"), users).unwrap();
        Self::start(folder).await
    }

    async fn start(folder: TempDir) -> Self {
        Self {
            process: Process::start(Launch {
                invocation: serve(folder.path()),
                log: folder.path().join("log"),
                ready: Ready::Announced,
            })
            .await,
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("htpasswd")
    }

    fn host(&self) -> String {
        host(self.process.origin())
    }

    async fn base(&self, credentials: Option<(&str, &str)>) -> reqwest::Response {
        let url = self.process.origin().join("v2/").unwrap();
        let mut request = reqwest::Client::new().get(url);
        if let Some((user, password)) = credentials {
            request = request.basic_auth(user, Some(password));
        }
        request.send().await.unwrap()
    }

    /// Waits until these credentials are answered so.
    async fn until(&self, user: &str, password: &str, status: u16) {
        for _ in 0..300 {
            if self.base(Some((user, password))).await.status() == status {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{user}:{password} is never answered {status}:\n{}",
            self.process.log()
        );
    }
}

fn serve(folder: &Path) -> Invocation {
    let file = "version: 0.1\nstorage: {filesystem: {rootdirectory: blobs}}\n";
    std::fs::write(folder.join("config.yml"), file).unwrap();
    Invocation::portcullis()
        .args(["registry", "serve", "config.yml"])
        .current_dir(folder)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        // As the documents of `registry:2` have it.
        .env("REGISTRY_AUTH", "htpasswd")
        .env("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm")
        .env("REGISTRY_AUTH_HTPASSWD_PATH", "htpasswd")
}

#[tokio::test]
async fn clients_are_asked_for_a_password_and_may_do_everything_with_one() {
    let registry = Registry::with_users(&htpasswd("alice", "secret")).await;

    let stranger = registry.base(None).await;
    assert_eq!(stranger.status(), 401);
    let challenge = stranger.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(challenge, "Basic realm=\"Registry Realm\"");
    for wrong in [("alice", "wrong"), ("nobody", "secret"), ("", "")] {
        let answer = registry.base(Some(wrong)).await;
        assert_eq!(answer.status(), 401, "{wrong:?}");
        assert!(answer.headers().contains_key("www-authenticate"));
    }
    let token = Client::new(registry.process.origin()).with_token("secret");
    token.get("/v2/").send().await.expect(401);

    assert_eq!(registry.base(Some(("alice", "secret"))).await.status(), 200);
}

/// One line of a file, made by the tool that people make it with.
fn htpasswd(user: &str, password: &str) -> String {
    let made = Invocation::new("htpasswd")
        .args(["-nbB", "-C", "5", user, password])
        .run()
        .expect_success();
    format!("{}\n", made.stdout.trim())
}

#[tokio::test]
async fn docker_logs_in_pushes_and_pulls() {
    let registry = Registry::with_users(&htpasswd("alice", "secret")).await;
    let (docker, host) = (Docker::new(), registry.host());

    docker
        .login(&host, "alice", "wrong")
        .expect_failure()
        .expect_says(["401 Unauthorized"]);
    docker
        .login(&host, "alice", "secret")
        .expect_success()
        .expect_says(["Login Succeeded"]);
    let image = docker.build(&format!("{host}/team/hello:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);

    docker.run(["logout", &host]);
    docker.run(["image", "rm", "--force", &image.name]);
    docker.command(["pull", &image.name]).run().expect_failure();
}

#[tokio::test]
async fn skopeo_and_podman_log_in_push_and_pull() {
    let registry = Registry::with_users(&htpasswd("alice", "secret")).await;
    let host = registry.host();

    let skopeo = Skopeo::new();
    skopeo.login(&host, "alice", "wrong").expect_failure();
    skopeo.login(&host, "alice", "secret").expect_success();
    let layout = Layout::new().image("linux", "amd64", &[1_000, 100_000]);
    let source = layout.finish();
    let image = format!("docker://{host}/team/app:1");
    skopeo.copy(&source, &image).expect_success();
    let tags = ["list-tags", "--tls-verify=false"];
    let listed = skopeo
        .command(tags)
        .arg(format!("docker://{host}/team/app"));
    listed.run().expect_success().expect_says(["\"1\""]);
    let remove = ["delete", "--tls-verify=false"];
    // As in distribution, nobody deletes unless the configuration says so.
    skopeo.command(remove).arg(&image).run().expect_failure();

    let podman = Podman::new();
    let name = format!("{host}/team/built:1");
    podman.login(&host, "alice", "secret").expect_success();
    let built = podman.build(&name);
    podman.run(["push", "--tls-verify=false", &name]);
    podman.run(["image", "rm", "--force", &name]);
    podman.run(["pull", "--tls-verify=false", &name]);
    let pulled = podman.run(["image", "inspect", "--format", "{{.Id}}", &name]);
    assert!(built.contains(pulled.stdout.trim()), "{built} {pulled}");
}

#[tokio::test]
async fn whoever_is_added_comes_in_and_whoever_is_removed_stays_out() {
    let registry = Registry::with_users(&htpasswd("alice", "secret")).await;
    assert_eq!(registry.base(Some(("alice", "secret"))).await.status(), 200);

    std::fs::write(registry.file(), htpasswd("bob", "other")).unwrap();

    registry.until("bob", "other", 200).await;
    registry.until("alice", "secret", 401).await;

    // Half a file lets the old one stand, and whoever asks is told at once.
    std::fs::write(registry.file(), "bob").unwrap();
    registry.process.signal(Signal::HUP);
    for _ in 0..100 {
        if registry.process.log().contains("line 1 is not name:hash") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = registry.process.log();
    assert!(
        log.contains("the old file of passwords stays in use"),
        "{log}"
    );
    assert_eq!(registry.base(Some(("bob", "other"))).await.status(), 200);
    assert!(!log.contains("secret") && !log.contains("$2y$"), "{log}");
}

#[tokio::test]
async fn a_missing_file_is_made_with_a_password_that_is_shown_once() {
    let registry = Registry::start(tempfile::tempdir().unwrap()).await;
    let log = registry.process.log();
    let (_, after) = log
        .split_once("The password of the user docker, shown this once:")
        .unwrap_or_else(|| panic!("no password in:\n{log}"));
    let password = after.split_whitespace().next().unwrap();

    assert_eq!(
        registry.base(Some(("docker", password))).await.status(),
        200
    );
    let kept = std::fs::read_to_string(registry.file()).unwrap();
    assert!(kept.starts_with("docker:$2y$") && !kept.contains(password));
}

#[tokio::test]
async fn other_hashes_are_named_by_line_and_what_is_no_such_file_is_refused() {
    let users = format!("{}carol:$apr1$u8vH$2wPq3\n", htpasswd("alice", "secret"));
    let registry = Registry::with_users(&users).await;
    let log = registry.process.log();
    for part in ["line=2", "carol", "MD5", "htpasswd -B"] {
        assert!(log.contains(part), "no {part} in\n{log}");
    }
    assert_eq!(registry.base(Some(("alice", "secret"))).await.status(), 200);

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("htpasswd"), "# users\nalice\n").unwrap();
    let refused = serve(folder.path()).run().expect_failure();
    refused.expect_says(["auth.htpasswd.path", "line 2", "name:hash"]);
}

/// Its password would be shown to nobody who starts a server.
#[test]
fn housekeeping_makes_no_user() {
    let folder = tempfile::tempdir().unwrap();
    // Writes the configuration.
    let _ = serve(folder.path());
    Invocation::portcullis()
        .args(["registry", "sweep", "config.yml"])
        .current_dir(folder.path())
        .env("REGISTRY_AUTH", "htpasswd")
        .env("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm")
        .env("REGISTRY_AUTH_HTPASSWD_PATH", "htpasswd")
        .run()
        .expect_success();
    assert!(!folder.path().join("htpasswd").exists());
}
