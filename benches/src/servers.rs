//! The three servers, each on its own folder and port, with the same content.

use std::path::{Path, PathBuf};

use acceptance::content::{Blob, Image};
use acceptance::{Client, Invocation, Launch, Process, Repository};
use url::Url;

use crate::machine::Stopwatch;
use crate::{Result, machine};

/// The repository of everything that is measured.
pub const REPOSITORY: &str = "admin/bench";

/// The tag of [`Servers::image`].
pub const TAG: &str = "latest";

/// Bytes of a large layer.
pub const LARGE: usize = 200 << 20;

/// Bytes of a small blob, the size of an image's configuration.
pub const SMALL: usize = 4 << 10;

/// The administrator's.
pub const PASSWORD: &str = "correct horse battery staple";

/// One server under load.
#[derive(Debug)]
pub struct Server {
    pub name: &'static str,
    process: Process,
    /// Where its data is.
    folder: PathBuf,
}

impl Server {
    pub fn origin(&self) -> &Url {
        self.process.origin()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts counting its processor time, its workers' included.
    pub fn watch(&self) -> Result<Stopwatch> {
        Stopwatch::start(machine::family(self.id())?)
    }
}

/// All three, with [`Servers::image`] in each.
#[derive(Debug)]
pub struct Servers {
    pub portcullis: Server,
    pub nginx: Server,
    pub distribution: Server,
    pub image: Image,
}

impl Servers {
    pub async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let image = Image::of(vec![Blob::random(SMALL), Blob::random(LARGE)]);
        let portcullis = portcullis(program, folder.join("portcullis")).await?;
        let servers = Self {
            nginx: nginx(folder.join("nginx"), &image).await?,
            distribution: distribution(folder.join("distribution"), &portcullis).await?,
            portcullis,
            image,
        };
        for server in [&servers.portcullis, &servers.distribution] {
            let repository = servers.repository(server).await;
            repository.push(&servers.image, TAG).await;
        }
        Ok(servers)
    }

    /// The repository at one of the two registries, with a fresh token.
    pub async fn repository(&self, server: &Server) -> Repository {
        let token = token(&self.portcullis).await;
        Client::new(server.origin())
            .with_token(&token)
            .repository(REPOSITORY)
    }
}

/// A token for everything in [`REPOSITORY`].
pub async fn token(portcullis: &Server) -> String {
    let scope = format!("repository:{REPOSITORY}:pull,push,delete");
    Client::new(portcullis.origin())
        .login("admin", PASSWORD)
        .token(&[&scope])
        .await
}

/// The program to measure: an optimised build, as `cargo run --release` makes its sibling.
pub fn portcullis_program(given: Option<&Path>) -> Result<PathBuf> {
    let program = match given {
        Some(program) => std::path::absolute(program)?,
        None => std::env::current_exe()?.with_file_name("portcullis"),
    };
    if cfg!(debug_assertions) && given.is_none() {
        return Err("measure an optimised build: `cargo run --release -p bench`".into());
    }
    if !program.is_file() {
        return Err(format!(
            "{} is missing: `cargo build --release --bin portcullis`, or name one with --portcullis",
            program.display()
        )
        .into());
    }
    Ok(program)
}

/// `portcullis up` with an empty data folder.
pub async fn portcullis(program: &Path, folder: PathBuf) -> Result<Server> {
    std::fs::create_dir_all(&folder)?;
    let invocation = pinned(program)
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.join("data"))
        .env("AUTH_ADMIN_PASSWORD", PASSWORD)
        .env("REGISTRY_LOG_LEVEL", "error")
        .env("REGISTRY_LOG_ACCESSLOG_DISABLED", "true")
        .current_dir(&folder);
    let process = Process::start(Launch {
        invocation,
        log: folder.join("log"),
        ready: acceptance::Ready::Announced,
    })
    .await;
    Ok(Server {
        name: "portcullis",
        process,
        folder,
    })
}

/// nginx with the image's manifest and blobs as files, at the registry's own paths.
async fn nginx(folder: PathBuf, image: &Image) -> Result<Server> {
    let root = folder.join("www").join("v2").join(REPOSITORY);
    std::fs::create_dir_all(root.join("manifests"))?;
    std::fs::create_dir_all(root.join("blobs"))?;
    std::fs::write(root.join("manifests").join(TAG), &image.manifest.bytes)?;
    for blob in image.blobs() {
        std::fs::write(root.join("blobs").join(&blob.digest), &blob.bytes)?;
    }
    let address = acceptance::peers::free_address();
    // Temporary folders are named because the defaults belong to the system's own nginx.
    let configuration = format!(
        "daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log;
events {{ worker_connections 1024; }}
http {{
    sendfile on;
    tcp_nopush on;
    access_log off;
    keepalive_requests 100000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen {address};
        root {folder}/www;
    }}
}}
",
        folder = folder.display()
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    readable_by_all(&folder)?;
    let invocation = pinned("nginx").arg("-e").arg(folder.join("log")).arg("-c");
    start("nginx", invocation.arg(file), folder, &address).await
}

/// Started by root, nginx serves as somebody else, who must get at the files.
fn readable_by_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    for folder in folder.ancestors().take(2) {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Debian's `docker-registry`, believing Portcullis's tokens.
async fn distribution(folder: PathBuf, issuer: &Server) -> Result<Server> {
    std::fs::create_dir_all(&folder)?;
    let address = acceptance::peers::free_address();
    let configuration = format!(
        "version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {data}
  delete:
    enabled: true
http:
  addr: {address}
auth:
  token:
    realm: {realm}auth/token
    service: portcullis-registry
    issuer: portcullis-auth
    rootcertbundle: {bundle}
",
        data = folder.join("data").display(),
        realm = issuer.origin(),
        bundle = issuer.folder().join("data/keys/bundle.pem").display(),
    );
    let file = folder.join("config.yml");
    std::fs::write(&file, configuration)?;
    let invocation = pinned("docker-registry").arg("serve").arg(file);
    start("distribution", invocation, folder, &address).await
}

async fn start(
    name: &'static str,
    invocation: Invocation,
    folder: PathBuf,
    address: &str,
) -> Result<Server> {
    let process = Process::start(Launch {
        invocation,
        log: folder.join("output"),
        ready: acceptance::Ready::Answers(Url::parse(&format!("http://{address}"))?),
    })
    .await;
    Ok(Server {
        name,
        process,
        folder,
    })
}

/// A program on the servers' core. `taskset` becomes the program, so its process id is the server's.
pub fn pinned(program: impl AsRef<std::ffi::OsStr>) -> Invocation {
    Invocation::new("taskset")
        .args(["--cpu-list", &machine::SERVER_CORE.to_string()])
        .arg(program)
}
