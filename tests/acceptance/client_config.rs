//! `portcullis client-config`: what it prints is given to the programs that it is for, in front of a
//! registry with TLS by a private authority, on an address that is not this machine's loopback
//! (Docker would do without TLS there).

mod typed;

use std::path::{Path, PathBuf};

use acceptance::proxy::{Front, Kind, Proxy, Variant, own_address};
use acceptance::tools::{Docker, EngineTrust, Layout, Podman, Skopeo};
use acceptance::{ADMIN_PASSWORD, Databases, Finished, Invocation, Pki, Portcullis};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A registry with TLS, an image in it, and a deploy token that may pull it.
struct World {
    pki: Pki,
    proxy: Proxy,
    portcullis: Portcullis,
    folder: TempDir,
    user: String,
    token: String,
}

impl World {
    async fn start() -> Self {
        let pki = Pki::new();
        let front = Front::new(Kind::Nginx, Variant::OneHost).at(own_address());
        let portcullis = front.servers(Databases::Sqlite).start().await;
        let proxy = front.start(&pki, &portcullis).await;

        let image = format!("docker://{}/admin/app:1", proxy.host());
        let layout = Layout::new().image("linux", "amd64", &[1_000, 2_000]);
        layout.finish();
        let skopeo = Skopeo::new();
        skopeo
            .login(&proxy.host(), "admin", ADMIN_PASSWORD)
            .expect_success();
        let from = format!("oci:{}", layout.path().display());
        skopeo.copy(&from, &image).expect_success();

        let create = [
            "auth",
            "deploy-token",
            "create",
            "pull",
            "--project",
            "admin/app",
            "--output",
            "json",
        ];
        let created = portcullis.accounts(create).run().expect_success().json();
        let text = |field: &str| created[field].as_str().unwrap().to_owned();
        Self {
            pki,
            proxy,
            portcullis,
            folder: tempfile::tempdir().unwrap(),
            user: text("username"),
            token: text("token"),
        }
    }

    fn host(&self) -> String {
        self.proxy.host()
    }

    fn image(&self) -> String {
        format!("{}/admin/app:1", self.host())
    }

    /// With the deploy token.
    fn login(&self, format: &str, options: &[&str]) -> Finished {
        client_config(format, &self.host())
            .args(["--user", &self.user, "--password-stdin"])
            .args(options)
            .input(format!("{}\n", self.token))
            .run()
            .expect_success()
    }

    /// With the certificate authority.
    fn trust(&self, format: &str) -> Finished {
        client_config(format, &self.host())
            .arg("--ca-file")
            .arg(self.pki.root())
            .run()
            .expect_success()
    }

    /// A file of the test's own.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn client_config(format: &str, host: &str) -> Invocation {
    Invocation::portcullis().args(["client-config", format, "--registry", host])
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_with_the_printed_files_and_not_without() {
    let world = World::start().await;
    let image = world.image();
    let docker = Docker::new();
    docker
        .command(["pull", &image])
        .run()
        .expect_failure()
        .expect_says(["certificate"]);

    let authority = world.trust("certs.d");
    assert!(authority.stderr.contains("/etc/docker/certs.d/"));
    let _trust = EngineTrust::new(&world.host(), &authority.stdout);
    docker
        .command(["pull", &image])
        .run()
        .expect_failure()
        .expect_says(["denied"]);

    let config = world.login("docker", &[]).stdout;
    std::fs::write(docker.home().join("config.json"), &config).unwrap();
    docker.run(["pull", &image]);
    docker.run(["image", "rm", &image]);
    let kaniko = world.login("kaniko", &[]);
    assert_eq!(kaniko.stdout, config);
    assert!(kaniko.stderr.contains("/kaniko/.docker/config.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_docker_auth_config_alone_pulls() {
    let world = World::start().await;
    let image = world.image();
    let _trust = EngineTrust::new(&world.host(), &world.trust("certs.d").stdout);
    let variable = world.login("docker-auth-config", &[]).stdout;
    assert_eq!(variable.lines().count(), 1, "a variable is one line");
    // What a job of GitLab does before it pulls by itself.
    let job = |script: &str| {
        let home = tempfile::tempdir().unwrap();
        Invocation::new("sh")
            .args(["-ec", script])
            .env("HOME", home.path())
            .env("DOCKER_HOST", std::env::var("DOCKER_HOST").unwrap())
            .env("DOCKER_AUTH_CONFIG", variable.trim_end())
            .env("IMAGE", &image)
            .run()
    };

    job("docker pull \"$IMAGE\"").expect_failure();
    job(
        "mkdir -p ~/.docker && printf %s \"$DOCKER_AUTH_CONFIG\" > ~/.docker/config.json
         docker pull \"$IMAGE\" && docker image rm \"$IMAGE\"",
    )
    .expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_and_skopeo_pull_with_auth_json_and_registries_conf() {
    let world = World::start().await;
    let image = world.image();
    let authority = world.write("certs/ca.crt", &world.trust("certs.d").stdout);
    let certificates = authority.parent().unwrap().to_str().unwrap();
    let auth = world.write("auth.json", &world.login("podman", &[]).stdout);
    let auth = auth.to_str().unwrap();
    let registries = world.write("registries.conf", &world.trust("crio").stdout);

    let source = format!("docker://{image}");
    let inspect = ["inspect", "--cert-dir", certificates, &source];
    let skopeo = Skopeo::new();
    skopeo
        .command(inspect)
        .run()
        .expect_failure()
        .expect_says(["unauthorized"]);
    skopeo.run([&inspect[..], &["--authfile", auth]].concat());

    let podman = Podman::new();
    let pull = |registries: &Path, options: &[&str]| {
        podman
            .command(["pull", "--authfile", auth])
            .args(options)
            .arg(&image)
            .env("CONTAINERS_REGISTRIES_CONF", registries)
            .run()
    };
    pull(&registries, &["--cert-dir", certificates]).expect_success();
    // It is this file that podman goes by: it does not do without the authority, and would
    // elsewhere.
    podman.run(["image", "rm", &image]);
    pull(&registries, &[])
        .expect_failure()
        .expect_says(["certificate"]);
    let text = std::fs::read_to_string(&registries).unwrap();
    let careless = text.replace("insecure = false", "insecure = true");
    assert_ne!(text, careless);
    let careless = world.write("careless.conf", &careless);
    pull(&careless, &[]).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_by_the_printed_hosts_toml() {
    let world = World::start().await;
    let folder = world.folder.path();
    let socket = folder.join("containerd.sock");
    let config = world.write("config.toml", "version = 2\n");
    let containerd = Invocation::new("containerd")
        .arg("--config")
        .arg(config)
        .arg("--address")
        .arg(&socket)
        .arg("--root")
        .arg(folder.join("root"))
        .arg("--state")
        .arg(folder.join("state"));
    let _containerd = Daemon::start(&containerd, &socket);
    let pull = |hosts: &Path, options: &[&str]| {
        Invocation::new("ctr")
            .arg("--address")
            .arg(&socket)
            .args(["images", "pull", "--snapshotter", "native", "--hosts-dir"])
            .arg(hosts)
            .args(options)
            .arg(world.image())
            .run()
    };
    let login = format!("{}:{}", world.user, world.token);
    let login = ["--user", login.as_str()];

    let printed = world.trust("containerd");
    assert!(printed.stderr.contains("/etc/containerd/certs.d/"));
    let host = world.host();
    world.write(&format!("bare/{host}/hosts.toml"), &printed.stdout);
    pull(&folder.join("bare"), &login).expect_failure();
    world.write(&format!("certs.d/{host}/hosts.toml"), &printed.stdout);
    world.write(
        &format!("certs.d/{host}/ca.crt"),
        &world.trust("certs.d").stdout,
    );
    pull(&folder.join("certs.d"), &[]).expect_failure();
    pull(&folder.join("certs.d"), &login).expect_success();

    // Trusted by everybody, it needs no more than its name.
    let public = client_config("containerd", "registry.example.com").run();
    let public = public.expect_success().stdout;
    assert!(!public.contains("ca = "), "{public}");
}

/// A program that serves on a Unix socket; killed at the end.
struct Daemon(std::process::Child);

impl Daemon {
    fn start(invocation: &Invocation, socket: &Path) -> Self {
        let null = std::process::Stdio::null;
        let mut command = invocation.command();
        let child = command.stdout(null()).stderr(null()).spawn().unwrap();
        let daemon = Self(child);
        for _ in 0..300 {
            if std::os::unix::net::UnixStream::connect(socket).is_ok() {
                return daemon;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{invocation} does not listen");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const HOST: &str = "registry.example.com";

fn with_password(format: &str, password: &str) -> Invocation {
    client_config(format, HOST)
        .args(["--user", "alice", "--password-stdin"])
        .input(format!("{password}\n"))
}

fn decoded(base64: &Value) -> String {
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn kubectl_reads_the_secret_and_the_patch() {
    // Names that are no strings to who reads YAML without care.
    for (name, namespace) in [
        ("registry-credentials", "team"),
        ("on", "1e3"),
        ("0x1", "null"),
    ] {
        let secret = with_password("kubernetes", "ptc_token")
            .args(["--name", name, "--namespace", namespace])
            .run()
            .expect_success();
        let read = Invocation::new("kubectl")
            .args(["label", "--local", "--filename", "-", "seen=yes"])
            .args(["--output", "json"])
            .input(secret.stdout.clone())
            .run()
            .expect_success()
            .json();
        assert_eq!(read["kind"], "Secret");
        assert_eq!(read["type"], "kubernetes.io/dockerconfigjson");
        assert_eq!(read["metadata"]["name"], name);
        assert_eq!(read["metadata"]["namespace"], namespace);
        let config: Value =
            serde_json::from_str(&decoded(&read["data"][".dockerconfigjson"])).unwrap();
        assert_eq!(decoded(&config["auths"][HOST]["auth"]), "alice:ptc_token");

        let patch = secret.stdout.split("--patch '").nth(1).unwrap();
        let patch = patch.split('\'').next().unwrap();
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"},
        });
        let patched = Invocation::new("kubectl")
            .args(["patch", "--local", "--filename", "-", "--patch", patch])
            .args(["--output", "json"])
            .input(account.to_string())
            .run()
            .expect_success()
            .json();
        assert_eq!(patched["imagePullSecrets"], json!([{"name": name}]));
        let pod = secret.stdout.split("imagePullSecrets: ").nth(1).unwrap();
        assert!(pod.starts_with(&format!("[{{name: {name}}}]")), "{pod}");

        let as_json = with_password("kubernetes", "ptc_token")
            .args(["--name", name, "--namespace", namespace, "--output", "json"])
            .run()
            .expect_success()
            .json();
        assert_eq!(as_json["data"], read["data"]);
        assert_eq!(as_json["metadata"]["namespace"], namespace);
    }
}

#[test]
fn a_password_in_a_file_is_warned_of_and_a_token_is_not() {
    for format in [
        "docker",
        "docker-auth-config",
        "kubernetes",
        "podman",
        "kaniko",
    ] {
        let password = with_password(format, "correct horse")
            .run()
            .expect_success();
        for words in ["warning", "alice", "deploy-token"] {
            assert!(
                password.stderr.contains(words),
                "{format}: {}",
                password.stderr
            );
        }
        assert!(!password.stdout.contains("warning"), "{}", password.stdout);
        let token = with_password(format, "ptc_token").run().expect_success();
        assert!(
            !token.stderr.contains("warning"),
            "{format}: {}",
            token.stderr
        );
        // Said once, where it belongs, and nowhere else.
        for finished in [&password, &token] {
            let shown = format!("{}{}", finished.stdout, finished.stderr);
            assert!(!shown.contains("correct horse") && !shown.contains("ptc_token"));
        }
    }
}

#[test]
fn what_no_client_could_use_is_refused() {
    let login = ["--user", "alice", "--password-stdin"];
    for (host, words) in [
        ("https://registry.example.com", "without `https://`"),
        ("registry.example.com/team", "without a path"),
        ("registry example.com", "registry.example.com"),
        ("registry.example.com:99999", "a port"),
        ("registry", "Docker Hub"),
        ("", "registry.example.com"),
    ] {
        for format in ["docker", "kubernetes"] {
            client_config(format, host)
                .args(login)
                .input("ptc_token\n")
                .run()
                .expect_code(2)
                .expect_says([words]);
        }
        client_config("containerd", host).run().expect_code(2);
    }
    for input in ["", "\n"] {
        client_config("docker", HOST)
            .args(login)
            .input(input)
            .run()
            .expect_code(2)
            .expect_says(["password"]);
    }
    client_config("docker", HOST)
        .args(["--user", "a:b", "--password-stdin"])
        .run()
        .expect_code(2)
        .expect_says(["colon"]);
    client_config("docker", HOST)
        .run()
        .expect_code(2)
        .expect_says(["--user"]);
    for name in ["Team", "a_b", ""] {
        with_password("kubernetes", "ptc_token")
            .args(["--namespace", name])
            .run()
            .expect_code(2);
    }
}

#[test]
fn what_is_no_authority_is_refused() {
    let pki = Pki::new();
    let server = pki.server([HOST]).issue();
    let certs = |file: &Path| {
        client_config("certs.d", HOST)
            .arg("--ca-file")
            .arg(file)
            .run()
    };
    certs(&pki.root()).expect_success();
    // It would be on every node.
    certs(&server.key)
        .expect_code(2)
        .expect_says(["private key"]);
    certs(Path::new("/nowhere/ca.pem"))
        .expect_code(2)
        .expect_says(["/nowhere/ca.pem"]);
    let none = tempfile::NamedTempFile::new().unwrap();
    certs(none.path()).expect_code(2);
    with_password("docker", "ptc_token")
        .arg("--ca-file")
        .arg(&server.key)
        .run()
        .expect_code(2)
        .expect_says(["private key"]);
    client_config("certs.d", HOST)
        .run()
        .expect_code(2)
        .expect_says(["--ca-file"]);
}

#[test]
fn help_says_where_everything_belongs() {
    for (format, place) in [
        ("docker", "~/.docker/config.json"),
        ("docker-auth-config", "GitLab"),
        ("kubernetes", "imagePullSecrets"),
        ("podman", "containers/auth.json"),
        ("containerd", "/etc/containerd/certs.d/HOST/hosts.toml"),
        ("crio", "/etc/containers/registries.conf.d"),
        ("certs.d", "/etc/docker/certs.d/HOST/ca.crt"),
        ("kaniko", "/kaniko/.docker/config.json"),
    ] {
        Invocation::portcullis()
            .args(["client-config", format, "--help"])
            .run()
            .expect_success()
            .expect_says([place]);
    }
}
