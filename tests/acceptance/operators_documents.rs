//! What the documents for operators say to type and to write works as written.

use std::path::Path;

use acceptance::collector::Collector;
use acceptance::gitlab::{GitLab, PASSWORD, USER};
use acceptance::peers::free_address;
use acceptance::served::{Configured, Served};
use acceptance::tools::Layout;
use acceptance::tools::Skopeo;
use acceptance::{Finished, Invocation, Launch, Process, Ready, Setup, host};

use crate::documents::{blocks, commands, document, in_place, project};

fn bash(line: &str, folder: &Path) -> Finished {
    Invocation::new("bash")
        .args(["-c", line])
        .current_dir(folder)
        .run()
        .expect_success()
}

/// The variables of a compose file's service.
fn variables(block: &str) -> Vec<(String, String)> {
    let lines = block
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let ours = lines.filter(|(name, _)| name.starts_with("REGISTRY_"));
    ours.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// Serves what a document writes into `registry.yml`, by the command that it types.
async fn registry_of(text: &str, configuration: &str, folder: &Path) -> Process {
    std::fs::write(folder.join("registry.yml"), configuration).unwrap();
    let line = "portcullis registry serve registry.yml";
    assert!(commands(text).iter().any(|command| command == line));
    Process::start(Launch {
        invocation: Invocation::portcullis()
            .args(line.split(' ').skip(1))
            .current_dir(folder),
        log: folder.join("log"),
        ready: Ready::Announced,
    })
    .await
}

async fn in_image(variables: &[(String, String)], files: &[(&str, &Path)]) -> Served {
    let configured = variables
        .iter()
        .fold(Configured::image(), |configured, (name, value)| {
            configured.env(name, value)
        })
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "data");
    for (name, source) in files {
        std::fs::copy(source, configured.folder().join(name)).unwrap();
    }
    configured.start().await
}

#[tokio::test]
async fn registry_2_is_replaced_as_its_document_says() {
    let text = document("docs/replace-registry-2.md");
    let yaml = blocks(&text, "yaml");
    let folder = tempfile::tempdir().unwrap();
    let typed = commands(&text);
    let made = typed
        .iter()
        .find(|line| line.starts_with("htpasswd"))
        .unwrap();
    bash(made, folder.path());

    // The compose file, by its variables.
    let variables = variables(&yaml[0].replace("/auth/htpasswd", "htpasswd"));
    assert_eq!(variables.len(), 3);
    let users = folder.path().join("htpasswd");
    let in_compose = in_image(&variables, &[("htpasswd", &users)]).await;
    // The file of one's own.
    let data = folder.path().join("data").display().to_string();
    let configuration = in_place(
        &yaml[1],
        &[("/var/lib/registry", &data), (":5000", "127.0.0.1:0")],
    );
    let by_hand = registry_of(&text, &configuration, folder.path()).await;

    let skopeo = Skopeo::new();
    let hosts = [in_compose.host(), host(by_hand.origin())];
    for host in &hosts {
        skopeo.login(host, "alice", "wonderland").expect_success();
    }
    let layout = Layout::new().image("linux", "amd64", &[1_000]);
    let image = format!("docker://{}/team/app:1", hosts[0]);
    skopeo.copy(&layout.finish(), &image).expect_success();
    let copy = typed
        .iter()
        .find(|line| line.starts_with("skopeo copy"))
        .unwrap();
    let copy = in_place(
        copy,
        &[
            ("old.example.com:5000", &hosts[0]),
            ("new.example.com:5000", &hosts[1]),
            (
                "--all",
                "--all --src-tls-verify=false --dest-tls-verify=false",
            ),
        ],
    );
    skopeo.run(copy.split(' ').skip(1));
    let image = format!("docker://{}/team/app:1", hosts[1]);
    skopeo.run(["inspect", "--raw", "--tls-verify=false", &image]);
}

#[tokio::test]
async fn gitlab_is_paired_as_its_document_says() {
    let text = document("docs/gitlab.md");
    let yaml = blocks(&text, "yaml");
    let gitlab = GitLab::start("gitlab-issuer", "container_registry");
    let certificate = gitlab.issuer.certificate();
    let folder = tempfile::tempdir().unwrap();
    for line in commands(&text)
        .iter()
        .filter(|line| line.starts_with("openssl"))
    {
        // Smaller keys are made sooner.
        bash(&in_place(line, &[("rsa:4096", "rsa:2048")]), folder.path());
        assert!(folder.path().join("registry.crt").exists());
    }
    std::fs::copy(&certificate, folder.path().join("registry.crt")).unwrap();

    let compose = in_place(
        &yaml[0],
        &[
            ("https://git.example.com/jwt/auth", &gitlab.realm()),
            ("/certs/registry.crt", "registry.crt"),
        ],
    );
    let in_compose = in_image(&variables(&compose), &[("registry.crt", &certificate)]).await;
    let data = folder.path().join("data").display().to_string();
    let configuration = in_place(
        &yaml[1],
        &[
            ("https://git.example.com/jwt/auth", &gitlab.realm()),
            ("/var/lib/registry", &data),
            (":5000", "127.0.0.1:0"),
        ],
    );
    let by_hand = registry_of(&text, &configuration, folder.path()).await;

    for host in [in_compose.host(), host(by_hand.origin())] {
        let skopeo = Skopeo::new();
        skopeo.login(&host, USER, PASSWORD).expect_success();
        let layout = Layout::new().image("linux", "amd64", &[1_000]);
        let image = format!("docker://{host}/group/app:1");
        skopeo.copy(&layout.finish(), &image).expect_success();
        skopeo.run(["delete", "--tls-verify=false", &image]);
    }
}

#[tokio::test]
async fn it_is_watched_as_its_document_says() {
    let text = document("docs/monitoring.md");
    let debug = free_address();
    let yaml = in_place(&blocks(&text, "yaml")[0], &[("127.0.0.1:5100", &debug)]);
    let addr = yaml
        .lines()
        .find_map(|line| line.trim().strip_prefix("addr: "))
        .unwrap();
    let portcullis = Setup::up()
        .env("REGISTRY_HTTP_DEBUG_ADDR", addr)
        .env("REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED", "true")
        .start()
        .await;
    portcullis.admin().token(&[]).await;
    let mut watched = 0;
    for line in commands(&text) {
        if line.starts_with("curl") {
            let line = in_place(
                &line,
                &[("127.0.0.1:5100", &debug), ("curl ", "curl -sSf ")],
            );
            bash(&line, &project());
        } else if line.starts_with("promtool") {
            bash(&line, &project());
        } else {
            let collector = Collector::start();
            let folder = tempfile::tempdir().unwrap();
            let (variable, command) = line.split_once(" portcullis ").unwrap();
            let (name, value) = variable.split_once('=').unwrap();
            let process = Process::start(Launch {
                invocation: Invocation::portcullis()
                    .args(command.replace(":5000", ":0").split(' '))
                    .current_dir(folder.path())
                    .env(
                        name,
                        in_place(value, &[("http://127.0.0.1:4318", &collector.endpoint())]),
                    )
                    .env("OTEL_BSP_SCHEDULE_DELAY", "100"),
                log: folder.path().join("log"),
                ready: Ready::Announced,
            })
            .await;
            acceptance::Client::new(process.origin())
                .get("/v2/")
                .send()
                .await;
            collector.until(|span| span.name == "GET base").await;
        }
        watched += 1;
    }
    assert_eq!(watched, 4);
}
