//! The image for arm64, built here: nothing in it is of another processor, and it serves. Its program runs on an
//! emulated one, which is put into the container.

use std::path::Path;
use std::time::{Duration, Instant};

use acceptance::content::unique;
use acceptance::peers::free_address;
use acceptance::tools::{Docker, Layout, Skopeo};
use acceptance::{Invocation, images};
use serde_json::json;

/// `e_machine` of what runs on arm64.
const AARCH64: u16 = 183;

const QEMU: &str = "/usr/bin/qemu-aarch64-static";

/// A container of the image, gone when dropped.
struct Container {
    docker: Docker,
    name: String,
}

impl Container {
    /// With these options, `portcullis` with these arguments.
    fn new(image: &str, options: &[&str], arguments: &[&str]) -> Self {
        let (docker, name) = (Docker::new(), unique());
        let emulated = format!("--volume={QEMU}:{QEMU}:ro");
        let entry = format!("--entrypoint={QEMU}");
        let create = [
            "create",
            "--platform=linux/arm64",
            "--name",
            &name,
            "--network=host",
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            // The engine would have the machine's own processor run it.
            "--no-healthcheck",
            &emulated,
            &entry,
        ];
        let command = [&[image, "/usr/bin/portcullis"], arguments].concat();
        docker.run([&create[..], options, &command].concat());
        Self { docker, name }
    }

    fn run(&self, verb: &str) -> String {
        let ran = self.docker.run([verb, &self.name]);
        ran.stdout + &ran.stderr
    }

    fn exec(&self, arguments: &[&str]) -> Invocation {
        let exec = ["exec", &self.name, QEMU, "/usr/bin/portcullis"];
        self.docker.command([&exec[..], arguments].concat())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.docker.run(["rm", "--force", "--volumes", &self.name]);
    }
}

/// The processors of all programs and libraries below a folder, by path.
fn processors(folder: &Path) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap();
        if kind.is_dir() {
            found.extend(processors(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.starts_with(b"\x7fELF") {
                let machine = u16::from_le_bytes([bytes[18], bytes[19]]);
                found.push((path.display().to_string(), machine));
            }
        }
    }
    found
}

#[test]
fn that_for_arm64_holds_nothing_else_and_serves() {
    let image = images::arm64(&images::arm64_program());
    let docker = Docker::new();
    let inspected = docker.run(["image", "inspect", &image]).json();
    let inspected = &inspected[0];
    assert_eq!(inspected["Os"], "linux");
    assert_eq!(inspected["Architecture"], "arm64");
    assert_eq!(inspected["Config"]["User"], "65532:65532");
    assert_eq!(inspected["Config"]["Entrypoint"], json!(["portcullis"]));

    let version = Container::new(&image, &[], &["--version"]);
    everything_is_for_arm64(&version);
    let said = version
        .docker
        .run(["start", "--attach", &version.name])
        .stdout;
    assert!(said.starts_with("portcullis "), "{said}");

    it_serves(&image);
}

fn everything_is_for_arm64(container: &Container) {
    let folder = tempfile::tempdir().unwrap();
    let export = format!(
        "set -o pipefail; docker export {} | tar --extract --exclude=dev --directory '{}'",
        container.name,
        folder.path().display()
    );
    container.docker.shell(&export).run().expect_success();
    let found = processors(folder.path());
    assert!(
        found.iter().all(|(_, processor)| *processor == AARCH64),
        "{found:?}"
    );
    for needed in [
        "/usr/bin/portcullis",
        "/libc.so.6",
        "/ld-linux-aarch64.so.1",
    ] {
        assert!(
            found.iter().any(|(path, _)| path.ends_with(needed)),
            "{needed}: {found:?}"
        );
    }
}

/// As it would replace `registry:2`, with a file of passwords.
fn it_serves(image: &str) {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("htpasswd");
    let line = Invocation::new("htpasswd")
        .args(["-nbB", "-C", "4", "alice", "secret"])
        .run();
    std::fs::write(&passwords, line.expect_success().stdout).unwrap();
    let host = free_address();
    let options = [
        format!("--env=REGISTRY_HTTP_ADDR={host}"),
        "--env=REGISTRY_AUTH_HTPASSWD_REALM=registry".to_owned(),
        "--env=REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd".to_owned(),
        format!("--volume={}:/htpasswd:ro", passwords.display()),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let registry = Container::new(image, &options, &["/etc/docker/registry/config.yml"]);
    registry.run("start");
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let log = registry.run("logs");
        if log.contains("The registry is ready") {
            break;
        }
        assert!(Instant::now() < deadline, "it does not start: {log}");
        std::thread::sleep(Duration::from_millis(100));
    }
    registry.exec(&["healthcheck"]).run().expect_success();

    let skopeo = Skopeo::new();
    skopeo.login(&host, "alice", "secret").expect_success();
    let layout = Layout::new().image("linux", "arm64", &[1_000, 3_000_000]);
    let name = format!("docker://{host}/app:1");
    skopeo.copy(&layout.finish(), &name).expect_success();
    let pulled = format!("dir:{}", folder.path().join("pulled").display());
    skopeo.copy(&name, &pulled).expect_success();

    registry.run("stop");
    let format = "{{.State.ExitCode}}";
    let code = registry
        .docker
        .run(["inspect", "--format", format, &registry.name]);
    assert_eq!(code.stdout.trim(), "0", "{}", registry.run("logs"));
}
