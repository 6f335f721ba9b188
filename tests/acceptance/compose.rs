//! `docker compose up`, from nothing to images that are pulled, on a real engine; and what becomes of it
//! when it is stopped, changed, and started again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use acceptance::Client;
use acceptance::compose::Deployment;
use acceptance::content::unique;
use acceptance::pki::Pki;
use acceptance::tools::Docker;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::doctor::containers;

/// Whether a client who trusts only this root is served, and by whom.
async fn is_trusted(deployment: &Deployment, root: &str) -> bool {
    let call = deployment.client(root).get("/v2/");
    call.try_send().await.is_ok()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn signing_keys(deployment: &Deployment) -> Vec<String> {
    let list = ["key", "list", "--output", "json"];
    let keys = deployment.accounts(list).run().expect_success().json();
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| key["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn from_nothing_to_images_and_everything_is_there_after_a_restart() {
    let mut deployment = Deployment::new(&[]);
    deployment.up();
    let registry = deployment.registry();
    let password = deployment.admin_password();
    let docker = Docker::new();

    // Nobody vouches for the certificate yet, and this is no loopback that Docker would forgive.
    docker
        .login(&registry, "admin", &password)
        .expect_failure()
        .expect_says(["certificate signed by unknown authority"]);
    let authority = deployment.authority("nginx");
    deployment.trust(&authority);
    docker.login(&registry, "admin", &password).expect_success();
    let image = docker.build(&format!("{registry}/admin/hello:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);
    a_pipeline_builds_with_nothing_but_its_variable(&deployment);
    names_and_plain_http_are_answered_as_the_proxy_is_told_to(&deployment, &authority).await;
    nobody_has_more_than_they_need(&deployment);
    let keys = signing_keys(&deployment);
    containers::the_doctor_works_in_them(&deployment);

    deployment.run(["down", "--timeout", "20"]);
    deployment.up();

    assert_eq!(deployment.admin_password(), password);
    assert_eq!(deployment.authority("nginx"), authority);
    assert_eq!(signing_keys(&deployment), keys);
    docker.pull_and_run(&image);
    Docker::new()
        .login(&registry, "admin", &password)
        .expect_success();
}

/// As GitLab's runner does it: an image is pulled and pushed with the variable `DOCKER_AUTH_CONFIG`.
fn a_pipeline_builds_with_nothing_but_its_variable(deployment: &Deployment) {
    let run = |arguments: &[&str]| {
        let accounts = deployment.accounts(arguments.iter().copied());
        accounts.run().expect_success()
    };
    run(&["project", "create", "team"]);
    let create = "deploy-token create ci --project team --actions pull,push --output json";
    let token = run(&create.split(' ').collect::<Vec<_>>()).json();
    let (name, token) = (&token["username"], &token["token"]);
    let basic = format!("{}:{}", name.as_str().unwrap(), token.as_str().unwrap());
    let registry = deployment.registry();
    let variable = json!({"auths": {registry.clone(): {"auth": BASE64_STANDARD.encode(basic)}}});

    let job = Docker::new();
    fs::write(job.home().join("config.json"), variable.to_string()).unwrap();
    let image = job.build(&format!("{registry}/team/app:{}", unique()));
    job.run(["push", &image.name]);
    job.pull_and_run(&image);
    let foreign = format!("{registry}/admin/hello:1");
    job.command(["pull", &foreign]).run().expect_failure();
}

async fn names_and_plain_http_are_answered_as_the_proxy_is_told_to(
    deployment: &Deployment,
    authority: &str,
) {
    let plain = Client::new(&deployment.http_origin());
    let answer = plain.get("/v2/?a=b").send().await.expect(308);
    let location = format!("{}v2/?a=b", deployment.origin());
    assert_eq!(answer.header("location"), location);

    let client = deployment.client(authority);
    // HTTP/1.1, since HTTP/2 has the name in the URL alone.
    let root = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([root]);
    let stranger = Client::with_http(&deployment.origin(), http.http1_only());
    let stranger = stranger.get("/v2/").header("host", "other.example.com");
    stranger.send().await.expect(421);
    let challenge = client.get("/v2/").send().await.expect(401);
    challenge.expect_header("strict-transport-security", "max-age=31536000");
}

/// The proxy cannot read the authority's key, nor the registry the passwords of the auth-server.
fn nobody_has_more_than_they_need(deployment: &Deployment) {
    let ids = deployment.run(["ps", "--all", "--quiet"]).stdout;
    for id in ids.lines() {
        let inspected = deployment.docker().run(["inspect", id]).json();
        let container = &inspected[0];
        let service = container["Config"]["Labels"]["com.docker.compose.service"]
            .as_str()
            .unwrap();
        let folders: Vec<&str> = container["Mounts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|mount| mount["Type"] == "volume")
            .map(|mount| {
                let name = mount["Name"].as_str().unwrap();
                // A volume that an image asks for has no name of its own.
                name.split_once('_').map_or("unnamed", |(_, name)| name)
            })
            .collect();
        let may: &[&str] = match service {
            "setup" => &[
                "ca",
                "tls",
                "auth-secrets",
                "registry-secrets",
                "postgres-secrets",
            ],
            "postgres" => &["postgres-data", "postgres-secrets"],
            "auth" => &["auth-data", "auth-secrets"],
            "registry" => &["registry-data", "registry-secrets"],
            "nginx" => &["tls", "acme"],
            other => panic!("what is {other}?"),
        };
        assert!(
            folders.iter().all(|name| may.contains(name)),
            "{service}: {folders:?}"
        );
        let host = &container["HostConfig"];
        assert_eq!(host["CapDrop"], json!(["ALL"]), "{service}");
        assert_eq!(
            host["SecurityOpt"],
            json!(["no-new-privileges:true"]),
            "{service}"
        );
        assert_eq!(
            host["ReadonlyRootfs"],
            json!(service != "setup"),
            "{service}"
        );
        if matches!(service, "auth" | "registry") {
            assert_eq!(container["Config"]["User"], "65532:65532", "{service}");
        }
    }
    // Each server's user at the database sees its own.
    let query = "SELECT count(*) FROM pg_tables";
    let connect = |user: &str, database: &str| {
        let url = format!(
            "PGPASSWORD=$(cat /run/portcullis/{user}-password) \
             psql --host 127.0.0.1 --username {user} {database} --command '{query}'"
        );
        deployment
            .compose(["exec", "-T", "postgres", "sh", "-c", &url])
            .run()
    };
    connect("registry", "registry").expect_success();
    connect("registry", "auth")
        .expect_failure()
        .expect_says(["permission denied for database"]);
}

#[tokio::test]
async fn apache_follows_servers_that_come_back_with_another_address() {
    let mut deployment = Deployment::new(&["apache"]);
    deployment.up();
    let registry = deployment.registry();
    let authority = deployment.authority("apache");
    deployment.trust(&authority);
    let docker = Docker::new();
    docker
        .login(&registry, "admin", &deployment.admin_password())
        .expect_success();
    let image = docker.build(&format!("{registry}/admin/hello:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);
    let plain = Client::new(&deployment.http_origin());
    let answer = plain.get("/v2/").send().await.expect(308);
    assert_eq!(
        answer.header("location"),
        format!("{}v2/", deployment.origin())
    );

    servers_swap_their_addresses(&deployment);

    let client = deployment.client(&authority);
    eventually("the proxy still asks the old addresses", async || {
        let registry = client.get("/v2/").send().await.status == 401;
        registry && docker.command(["pull", &image.name]).run().status.success()
    })
    .await;
    docker.pull_and_run(&image);
}

/// Stops both and starts them in the other order, so that each has what was the other's.
fn servers_swap_their_addresses(deployment: &Deployment) {
    let address = |service: &str| {
        let id = deployment.run(["ps", "--quiet", service]).stdout;
        let format = "{{range $name, $network := .NetworkSettings.Networks}}{{$name}}={{.IPAddress}} {{end}}";
        let said = deployment
            .docker()
            .run(["inspect", "--format", format, id.trim()]);
        let mut networks = said.stdout.split_whitespace().map(str::to_owned);
        networks
            .find(|network| network.contains("_servers="))
            .unwrap()
    };
    let before = (address("auth"), address("registry"));
    deployment.run(["rm", "--stop", "--force", "auth", "registry"]);
    deployment.run(["up", "--detach", "--no-deps", "registry"]);
    deployment.run(["up", "--detach", "--no-deps", "auth"]);
    assert_eq!((address("registry"), address("auth")), before);
}

#[tokio::test]
async fn sqlite_and_a_certificate_of_your_own() {
    let (mut deployment, pki) = (Deployment::new(&["sqlite", "own-certificate"]), Pki::new());
    let hosts = [deployment.auth_host(), deployment.registry_host()];
    let names = || hosts.iter().map(String::as_str);
    let folder = deployment.path().join("certificates");
    fs::create_dir(&folder).unwrap();
    let put = |pki: &Pki| {
        let pair = pki.server(names()).issue();
        fs::copy(&pair.key, folder.join("privkey.pem")).unwrap();
        fs::copy(&pair.certificate, folder.join("fullchain.pem")).unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join("privkey.pem"), private).unwrap();
    };

    // Half of it: a sentence, and nothing starts.
    put(&pki);
    fs::remove_file(folder.join("privkey.pem")).unwrap();
    let refused = deployment.compose(["up", "--detach", "--wait"]).run();
    refused.expect_failure().expect_says(["setup"]);
    let log = deployment.log();
    assert!(log.contains("fullchain.pem is there and"), "{log}");

    put(&pki);
    deployment.up();
    deployment.trust(pki.root_pem());
    let registry = deployment.registry();
    let docker = Docker::new();
    docker
        .login(&registry, "admin", &deployment.admin_password())
        .expect_success();
    let image = docker.build(&format!("{registry}/admin/hello:1"));
    docker.run(["push", &image.name]);
    docker.pull_and_run(&image);
    let services = deployment.run(["ps", "--all", "--services"]).stdout;
    assert!(!services.contains("postgres"), "{services}");
    assert!(!deployment.run(["logs", "setup"]).stdout.contains("ca.pem"));

    // Renewed by somebody: served without a restart.
    let other = Pki::new();
    assert!(!is_trusted(&deployment, other.root_pem()).await);
    put(&other);
    eventually("the new certificate is not served", async || {
        is_trusted(&deployment, other.root_pem()).await
    })
    .await;

    deployment.run(["down"]);
    deployment.up();
    deployment.trust(other.root_pem());
    docker.pull_and_run(&image);
}

#[tokio::test]
async fn other_host_names_need_a_change_in_one_file() {
    let mut deployment = Deployment::new(&["sqlite"]);
    deployment.up();
    let authority = deployment.authority("nginx");
    // The names change places: both exist in the test environment.
    let (auth, registry) = (deployment.auth_host(), deployment.registry_host());
    deployment = deployment
        .set("PORTCULLIS_AUTH_HOST", &registry)
        .set("PORTCULLIS_REGISTRY_HOST", &auth);

    deployment.up();

    let client = deployment.client(&authority);
    // What was the registry is the auth-server now.
    client.get("/v2/").send().await.expect(404);
    client
        .get("/.well-known/jwks.json")
        .send()
        .await
        .expect(200);
    assert_eq!(deployment.authority("nginx"), authority);
}

#[test]
fn what_is_wrong_with_the_settings_is_said() {
    let up = ["up", "--detach", "--wait"];
    let deployment = Deployment::new(&["sqlite"])
        .set("PORTCULLIS_REGISTRY_HOST", "https://registry.example.com");
    deployment.compose(up).run().expect_failure();
    let log = deployment.log();
    assert!(
        log.contains("write the host name alone, without `https://`"),
        "{log}"
    );

    let deployment = Deployment::new(&["sqlite"])
        .set("PORTCULLIS_AUTH_HOST", "registry.example.com")
        .set("PORTCULLIS_REGISTRY_HOST", "registry.example.com");
    deployment.compose(up).run().expect_failure();
    let log = deployment.log();
    assert!(log.contains("each needs a host name of its own"), "{log}");

    let deployment = Deployment::new(&["sqlite"]).set("PORTCULLIS_HTTPS_PORT", "https");
    let refused = deployment.compose(up).run().expect_failure();
    refused.expect_says(["https"]);

    let deployment = Deployment::new(&["letsencrypt"]);
    let refused = deployment.compose(["config"]).run().expect_failure();
    refused.expect_says(["PORTCULLIS_ACME_EMAIL"]);

    let deployment = Deployment::new(&["sqlite"]);
    let address = std::env::var("PORTCULLIS_TEST_ADDRESS").unwrap();
    let _taken = TcpListener::bind((address, deployment.https_port())).unwrap();
    let refused = deployment.compose(up).run().expect_failure();
    refused.expect_says(["address already in use"]);
}

/// Who has no `.env` gets names that work on this machine.
#[test]
fn every_setting_of_the_compose_files_has_a_default_that_the_example_shows() {
    let deployment = Deployment::new(&[]);
    let example = fs::read_to_string(deployment.path().join(".env.example")).unwrap();
    fs::remove_file(deployment.path().join(".env")).unwrap();
    let config = deployment.run(["config", "--format", "json"]).json();
    let registry = &config["services"]["registry"]["environment"];
    assert_eq!(
        registry["REGISTRY_AUTH_TOKEN_REALM"],
        "https://auth.localhost/auth/token"
    );

    let files = fs::read_dir(deployment.path().join("compose")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    for file in files.chain([deployment.path().join("docker-compose.yml")]) {
        let text = fs::read_to_string(&file).unwrap();
        for used in text.split("${").skip(1) {
            let name: String = used
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                .collect();
            if !name.starts_with("PORTCULLIS_") || name == "PORTCULLIS_COMMIT" {
                continue;
            }
            assert!(
                example.contains(&format!("{name}=")),
                "{name} of {}",
                file.display()
            );
        }
    }
    // What is added fits what it is added to.
    for added in [
        &["apache"][..],
        &["sqlite"],
        &["replicas"],
        &["own-certificate"],
        &["letsencrypt"],
        &["apache", "letsencrypt"],
    ] {
        let names: Vec<String> = added
            .iter()
            .map(|name| format!("compose/{name}.yml"))
            .collect();
        let last = names.last().unwrap();
        assert!(example.contains(&format!(":{last}")), "{added:?}");
        let files = names.iter().flat_map(|name| ["--file", name.as_str()]);
        let merged = ["--file", "docker-compose.yml"].into_iter().chain(files);
        let needed = ["AUTH_HOST", "REGISTRY_HOST", "ACME_EMAIL"];
        let check = deployment.compose(merged.chain(["config", "--quiet"]));
        let check = needed.iter().fold(check, |check, name| {
            check.env(format!("PORTCULLIS_{name}"), "given")
        });
        check.run().expect_success();
    }
}

/// The image without a compose file, in the place of `registry:2`.
#[test]
fn the_image_is_called_as_registry_2_is() {
    let deployment = Deployment::new(&[]);
    let image = image_name(&deployment);
    let docker = deployment.docker();
    let name = unique();
    let serve = |command: &[&str]| {
        let run = [
            "run",
            "--detach",
            "--name",
            &name,
            "--network",
            "none",
            "--read-only",
        ];
        let anonymous = ["--env", "REGISTRY_AUTH=none", &image];
        docker.run(
            run.into_iter()
                .chain(anonymous)
                .chain(command.iter().copied()),
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        let probe = ["exec", &name, "portcullis", "healthcheck"];
        while !docker.command(probe).run().status.success() {
            assert!(
                Instant::now() < deadline,
                "{command:?}: {}",
                docker.run(["logs", &name])
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        docker.run(["rm", "--force", "--volumes", &name]);
    };
    let file = "/etc/docker/registry/config.yml";
    serve(&[]);
    serve(&[file]);
    serve(&["serve", file]);
    serve(&["registry", "serve", file]);

    // Without a word about who may come in, nobody does.
    let closed = docker
        .command(["run", "--rm", "--network", "none", &image])
        .run();
    closed.expect_code(2).expect_says(["auth"]);
    let version = [
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "registry",
    ];
    docker
        .run(version.into_iter().chain([image.as_str(), "--version"]))
        .expect_says(["portcullis-registry"]);
    let inspected = docker.run(["image", "inspect", &image]).json();
    let config = &inspected[0]["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert!(config["Volumes"]["/var/lib/registry"].is_object());
    assert!(config["ExposedPorts"]["5000/tcp"].is_object());
}

fn image_name(deployment: &Deployment) -> String {
    setting(deployment.path(), "PORTCULLIS_IMAGE")
}

fn setting(folder: &Path, name: &str) -> String {
    let text = fs::read_to_string(folder.join(".env")).unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}=")));
    value.unwrap().to_owned()
}
