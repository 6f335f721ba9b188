//! Real clients, each with credentials and storage of its own.

use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::content::{Blob, Manifest, media, random_bytes, unique};
use crate::{Finished, Invocation};

/// The Docker engine of the test environment, and a client with a configuration of its own.
#[derive(Debug)]
pub struct Docker {
    home: TempDir,
    host: String,
    plugins: bool,
}

impl Docker {
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            host: std::env::var("DOCKER_HOST").expect(
                "DOCKER_HOST is not set: run the tests through `make test`, or through \
                 `tests/environment/with`",
            ),
            plugins: false,
        }
    }

    /// The same with `docker compose`, and with `BuildKit`.
    pub fn with_compose() -> Self {
        let mut docker = Self::new();
        docker.plugins = true;
        let plugins = docker.home.path().join("cli-plugins");
        let folder = std::env::var("PORTCULLIS_TEST_DOCKER_PLUGINS").expect(
            "PORTCULLIS_TEST_DOCKER_PLUGINS is not set: run the tests through `make test`, or through \
             `tests/environment/with`",
        );
        std::os::unix::fs::symlink(folder, plugins).unwrap();
        docker
    }

    /// The folder of the client's configuration.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.set_up(Invocation::new("docker").args(arguments))
    }

    fn set_up(&self, invocation: Invocation) -> Invocation {
        invocation
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", self.home.path())
            .env("HOME", self.home.path())
            // Newer clients have BuildKit as a plugin, and build with what the engine has only when asked.
            .env("DOCKER_BUILDKIT", if self.plugins { "1" } else { "0" })
    }

    /// A line of a shell, in which `docker` is this one.
    pub fn shell(&self, line: &str) -> Invocation {
        self.set_up(Invocation::new("bash").args(["-c", line]))
    }

    #[track_caller]
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Finished {
        self.command(arguments).run().expect_success()
    }

    pub fn login(&self, host: &str, name: &str, password: &str) -> Finished {
        self.command(["login", "--username", name, "--password-stdin", host])
            .input(password)
            .run()
    }

    /// Builds an image of a few layers on the base image, with files nobody has seen before.
    pub fn build(&self, image: &str) -> BuiltImage {
        self.build_with(image, 10_000)
    }

    /// The same with a layer of this many random bytes.
    pub fn build_with(&self, image: &str, bytes: usize) -> BuiltImage {
        let folder = tempfile::tempdir().unwrap();
        let greeting = unique();
        std::fs::write(folder.path().join("greeting"), &greeting).unwrap();
        write_random(&folder.path().join("payload"), bytes);
        std::fs::write(
            folder.path().join("Dockerfile"),
            "FROM debian:bookworm-slim\nCOPY greeting /greeting\nCOPY payload /payload\n\
             RUN sha256sum /payload > /checksum\n",
        )
        .unwrap();
        self.run([
            "build",
            "--quiet",
            "--network",
            "none",
            "--tag",
            image,
            folder.path().to_str().unwrap(),
        ]);
        BuiltImage {
            name: image.to_owned(),
            greeting,
        }
    }

    /// An image of one layer with a file nobody has seen before. There is nothing in it to run.
    pub fn build_small(&self, image: &str) {
        let folder = tempfile::tempdir().unwrap();
        write_random(&folder.path().join("payload"), 100_000);
        let dockerfile = folder.path().join("Dockerfile");
        std::fs::write(dockerfile, "FROM scratch\nCOPY payload /payload\n").unwrap();
        let folder = folder.path().to_str().unwrap();
        self.run(["build", "--quiet", "--tag", image, folder]);
    }

    /// Removes the image here, pulls it, and runs it.
    #[track_caller]
    pub fn pull_and_run(&self, image: &BuiltImage) {
        self.run(["image", "rm", "--force", &image.name]);
        self.run(["pull", &image.name]);
        let ran = self.run([
            "run",
            "--rm",
            "--network",
            "none",
            &image.name,
            "sh",
            "-c",
            "cat /greeting && sha256sum --check --quiet /checksum",
        ]);
        assert_eq!(ran.stdout, image.greeting);
    }
}

impl Default for Docker {
    fn default() -> Self {
        Self::new()
    }
}

/// Has the Docker engine trust an authority for one registry, `HOST:PORT`, until it is dropped.
#[derive(Debug)]
pub struct EngineTrust(PathBuf);

impl EngineTrust {
    pub fn new(host: &str, root_pem: &str) -> Self {
        let folder = Path::new("/etc/docker/certs.d").join(host);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ca.crt"), root_pem).unwrap();
        Self(folder)
    }
}

impl Drop for EngineTrust {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An image in the engine.
#[derive(Debug)]
pub struct BuiltImage {
    pub name: String,
    /// What its `/greeting` says.
    pub greeting: String,
}

/// skopeo, with a file of credentials of its own.
#[derive(Debug, Default)]
pub struct Skopeo {
    home: Home,
}

impl Skopeo {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.home.set_up(
            Invocation::new("skopeo")
                .arg("--insecure-policy")
                .args(arguments),
        )
    }

    #[track_caller]
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Finished {
        self.command(arguments).run().expect_success()
    }

    pub fn login(&self, host: &str, name: &str, password: &str) -> Finished {
        self.command([
            "login",
            "--tls-verify=false",
            "--username",
            name,
            "--password-stdin",
            host,
        ])
        .input(password)
        .run()
    }

    /// Copies between anything; registries are asked over HTTP.
    pub fn copy(&self, from: &str, to: &str) -> Finished {
        self.command([
            "copy",
            "--all",
            // Layers are not to be compressed on their way.
            "--preserve-digests",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ])
        .args([from, to])
        .run()
    }
}

/// podman, with storage of its own.
#[derive(Debug, Default)]
pub struct Podman {
    home: Home,
}

impl Podman {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        let home = self.home.0.path();
        let command = Invocation::new("podman")
            .arg("--root")
            .arg(home.join("storage"))
            .arg("--runroot")
            .arg(home.join("run"))
            .arg("--tmpdir")
            .arg(home.join("tmp"))
            .args(["--storage-driver", "vfs", "--events-backend", "none"])
            .args(arguments);
        self.home.set_up(command)
    }

    #[track_caller]
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Finished {
        self.command(arguments).run().expect_success()
    }

    /// Builds an image of two layers from nothing; returns its id.
    pub fn build(&self, image: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        write_random(&folder.path().join("small"), 1000);
        write_random(&folder.path().join("large"), 1_000_000);
        std::fs::write(
            folder.path().join("Dockerfile"),
            "FROM scratch\nCOPY small /small\nCOPY large /large\n",
        )
        .unwrap();
        let folder = folder.path().to_str().unwrap();
        let built = self.run([
            "build",
            "--quiet",
            "--layers",
            "--isolation=chroot",
            "--tag",
            image,
            folder,
        ]);
        built.stdout.trim().to_owned()
    }

    pub fn login(&self, host: &str, name: &str, password: &str) -> Finished {
        self.command([
            "login",
            "--tls-verify=false",
            "--username",
            name,
            "--password-stdin",
            host,
        ])
        .input(password)
        .run()
    }
}

/// A home folder for tools of the containers/image family.
#[derive(Debug)]
struct Home(TempDir);

impl Default for Home {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        // podman wants the file to be there before the first login.
        std::fs::write(folder.path().join("auth.json"), "{}").unwrap();
        std::fs::write(
            folder.path().join("policy.json"),
            json!({"default": [{"type": "insecureAcceptAnything"}]}).to_string(),
        )
        .unwrap();
        Self(folder)
    }
}

impl Home {
    fn set_up(&self, invocation: Invocation) -> Invocation {
        invocation
            .env("HOME", self.0.path())
            .env("XDG_RUNTIME_DIR", self.0.path())
            .env("REGISTRY_AUTH_FILE", self.0.path().join("auth.json"))
    }
}

/// An OCI layout on disk, with layers that really are archives: what skopeo and podman read.
#[derive(Debug)]
pub struct Layout {
    folder: TempDir,
    manifests: Vec<serde_json::Value>,
}

impl Layout {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        std::fs::write(
            folder.path().join("oci-layout"),
            r#"{"imageLayoutVersion": "1.0.0"}"#,
        )
        .unwrap();
        Self {
            folder,
            manifests: Vec::new(),
        }
    }

    /// Adds an image for a platform, with layers of so many random bytes.
    #[must_use]
    pub fn image(mut self, os: &str, architecture: &str, layers: &[usize]) -> Self {
        let archives: Vec<Blob> = layers.iter().map(|bytes| archive(*bytes)).collect();
        let config = Blob::new(
            json!({
                "os": os,
                "architecture": architecture,
                "config": {},
                "rootfs": {
                    "type": "layers",
                    "diff_ids": archives.iter().map(|a| &a.digest).collect::<Vec<_>>(),
                },
                "history": archives.iter().map(|_| json!({"created_by": "test"}))
                    .collect::<Vec<_>>(),
            })
            .to_string(),
        );
        let layer_type = "application/vnd.oci.image.layer.v1.tar";
        let manifest = Manifest::from_json(&json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": config.descriptor(media::OCI_CONFIG),
            "layers": archives.iter().map(|a| a.descriptor(layer_type)).collect::<Vec<_>>(),
        }));
        for blob in archives.iter().chain([&config]) {
            self.write(&blob.digest, &blob.bytes);
        }
        self.write(&manifest.digest, &manifest.bytes);
        self.manifests
            .push(manifest.descriptor_for(os, architecture));
        self
    }

    /// Finishes it with one index of all images. Returns what skopeo calls it.
    pub fn finish(&self) -> String {
        let index = Manifest::index(self.manifests.clone());
        self.write(&index.digest, &index.bytes);
        let mut top = index.descriptor();
        top["annotations"] = json!({"org.opencontainers.image.ref.name": "test"});
        let top = json!({"schemaVersion": 2, "manifests": [top]});
        std::fs::write(self.folder.path().join("index.json"), top.to_string()).unwrap();
        format!("oci:{}:test", self.folder.path().display())
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, digest: &str, bytes: &[u8]) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        std::fs::write(self.blob(hex), bytes).unwrap();
    }

    fn blob(&self, hex: &str) -> PathBuf {
        self.folder.path().join("blobs/sha256").join(hex)
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}

/// A tar archive with one file of random bytes.
fn archive(bytes: usize) -> Blob {
    let folder = tempfile::tempdir().unwrap();
    let name = unique();
    write_random(&folder.path().join(&name), bytes);
    let tar = folder.path().join("layer.tar");
    Invocation::new("tar")
        .current_dir(folder.path())
        .arg("--create")
        .arg("--file")
        .arg(&tar)
        .arg(&name)
        .run()
        .expect_success();
    Blob::new(std::fs::read(tar).unwrap())
}

fn write_random(path: &Path, bytes: usize) {
    std::fs::write(path, random_bytes(bytes)).unwrap();
}
