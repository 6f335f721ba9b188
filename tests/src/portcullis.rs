//! The program under test as servers: all in one, or its two servers apart.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tempfile::TempDir;
use url::Url;

use crate::content::unique;
use crate::process::{Launch, Process, Ready};
use crate::{Client, Invocation};

/// The password of `admin` in every test.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// Where the two servers apart keep their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Databases {
    Sqlite,
    Postgres,
}

/// A registry with its gatekeeper, running.
#[derive(Debug)]
pub struct Portcullis {
    registry: Process,
    /// A process of its own when the two run apart.
    auth: Option<Process>,
    setup: Setup,
    /// Removed at the end; none when the test brought a folder.
    _folder: Option<TempDir>,
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    folder: Option<PathBuf>,
    apart: Option<Databases>,
    /// Of `up`, or of `registry serve`.
    environment: Vec<(String, String)>,
    auth_environment: Vec<(String, String)>,
    /// For a second start on the ports of the first.
    addresses: Option<(String, String)>,
    /// The URLs of the databases when they run apart.
    databases: Option<(String, String)>,
}

impl Setup {
    /// `portcullis up`.
    pub fn up() -> Self {
        Self::default()
    }

    /// `portcullis auth serve` and `portcullis registry serve`.
    pub fn apart(databases: Databases) -> Self {
        Self {
            apart: Some(databases),
            ..Self::default()
        }
    }

    /// A variable of `up`, or of `registry serve`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable of `up`, or of `auth serve`.
    #[must_use]
    pub fn auth_env(mut self, name: &str, value: &str) -> Self {
        self.auth_environment
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps all data here, and leaves it there at the end.
    #[must_use]
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    pub async fn start(mut self) -> Portcullis {
        let temporary = self.folder.is_none().then(|| tempfile::tempdir().unwrap());
        if let Some(folder) = &temporary {
            self.folder = Some(folder.path().to_owned());
        }
        let (auth, registry) = self.processes().await;
        Portcullis {
            registry,
            auth,
            setup: self,
            _folder: temporary,
        }
    }

    async fn processes(&mut self) -> (Option<Process>, Process) {
        let (auth_address, registry_address) = self
            .addresses
            .clone()
            .unwrap_or_else(|| ("127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()));
        let Some(databases) = self.apart else {
            let up = self.launch_up(&registry_address);
            return (None, Process::start(up).await);
        };
        self.databases.get_or_insert_with(|| match databases {
            Databases::Sqlite => {
                let folder = self.folder.as_ref().unwrap().display();
                (
                    format!("sqlite:{folder}/auth.sqlite"),
                    format!("sqlite:{folder}/registry.sqlite"),
                )
            }
            Databases::Postgres => (fresh_postgres(), fresh_postgres()),
        });
        let auth = Process::start(self.launch_auth(&auth_address)).await;
        let registry = self.launch_registry(&registry_address, auth.origin());
        let registry = Process::start(registry).await;
        (Some(auth), registry)
    }

    fn path(&self) -> &Path {
        self.folder.as_deref().unwrap()
    }

    fn launch(&self, invocation: Invocation, log: &str) -> Launch {
        Launch {
            invocation: invocation.current_dir(self.path()),
            log: self.path().join(log),
            ready: Ready::Announced,
        }
    }

    fn launch_up(&self, address: &str) -> Launch {
        let mut up = Invocation::portcullis()
            .args(["up", "--listen", address, "--data-dir"])
            .arg(self.path().join("data"))
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD);
        for (name, value) in self.environment.iter().chain(&self.auth_environment) {
            up = up.env(name, value);
        }
        self.launch(up, "up.log")
    }

    fn launch_auth(&self, address: &str) -> Launch {
        let (database, _) = self.databases.as_ref().unwrap();
        let keys = self.path().join("keys");
        let configuration = format!(
            "http:\n  addr: {address}\ndatabase:\n  url: {database}\nkeys:\n  path: {}\n",
            keys.display()
        );
        let file = self.path().join("auth.yml");
        std::fs::write(&file, configuration).unwrap();
        let mut serve = Invocation::portcullis()
            .args(["auth", "serve", "--config"])
            .arg(file)
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD);
        for (name, value) in &self.auth_environment {
            serve = serve.env(name, value);
        }
        self.launch(serve, "auth.log")
    }

    fn launch_registry(&self, address: &str, auth: &Url) -> Launch {
        let (_, database) = self.databases.as_ref().unwrap();
        let configuration = registry_configuration(&Registry {
            address,
            folder: self.path(),
            database,
            realm: &format!("{auth}auth/token"),
            service: "portcullis-registry",
            issuer: "portcullis-auth",
            key_setting: "rootcertbundle",
            keys: &self.path().join("keys/bundle.pem"),
        });
        let file = self.path().join("registry.yml");
        std::fs::write(&file, configuration).unwrap();
        let mut serve = Invocation::portcullis()
            .args(["registry", "serve"])
            .arg(file);
        for (name, value) in &self.environment {
            serve = serve.env(name, value);
        }
        self.launch(serve, "registry.log")
    }
}

impl Portcullis {
    /// `portcullis up` on a folder of its own.
    pub async fn up() -> Self {
        Setup::up().start().await
    }

    /// The two servers as two processes.
    pub async fn apart(databases: Databases) -> Self {
        Setup::apart(databases).start().await
    }

    /// Where the registry is.
    pub fn origin(&self) -> &Url {
        self.registry.origin()
    }

    /// Where the token realm and the admin API are.
    pub fn auth_origin(&self) -> &Url {
        self.auth.as_ref().unwrap_or(&self.registry).origin()
    }

    /// `127.0.0.1:<port>`: what image names begin with.
    pub fn host(&self) -> String {
        host(self.origin())
    }

    /// Where the data is: of `up`, or of both servers.
    pub fn folder(&self) -> PathBuf {
        match self.setup.apart {
            None => self.setup.path().join("data"),
            Some(_) => self.setup.path().to_owned(),
        }
    }

    /// Where blobs are, by distribution's layout.
    pub fn blob_folder(&self) -> PathBuf {
        let root = match self.setup.apart {
            None => self.folder(),
            Some(_) => self.folder().join("blobs"),
        };
        root.join("docker/registry/v2/blobs")
    }

    /// The file of the blob with this digest.
    pub fn blob_file(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').unwrap();
        let folder = self.blob_folder().join(algorithm);
        folder.join(&hex[..2]).join(hex).join("data")
    }

    /// How many bytes the files of unfinished uploads have.
    pub fn bytes_of_uploads(&self) -> u64 {
        let repositories = self.blob_folder().with_file_name("repositories");
        let du = Invocation::new("find")
            .arg(repositories)
            .args(["-path", "*/_uploads/*", "-name", "data", "-printf", "%s\\n"])
            .run()
            .expect_success();
        du.stdout
            .lines()
            .map(|size| size.parse::<u64>().unwrap())
            .sum()
    }

    /// The URL of the registry's database, where the servers run apart.
    pub fn registry_database(&self) -> &str {
        let (_, registry) = self.setup.databases.as_ref().unwrap();
        registry
    }

    /// The registry's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.registry
    }

    /// What the registry printed.
    pub fn log(&self) -> String {
        self.registry.log()
    }

    pub fn anonymous(&self) -> Client {
        Client::new(self.origin())
    }

    pub fn admin(&self) -> Client {
        self.user("admin", ADMIN_PASSWORD)
    }

    pub fn user(&self, name: &str, password: &str) -> Client {
        self.anonymous().login(name, password)
    }

    /// Makes a user and comes back as them. They own what is below their name.
    pub fn new_user(&self, name: &str) -> Client {
        let password = unique();
        self.accounts(["auth", "user", "create", name, "--password-stdin"])
            .input(format!("{password}\n"))
            .run()
            .expect_success();
        self.user(name, &password)
    }

    pub fn new_project(&self, path: &str, visibility: &str) {
        self.accounts([
            "auth",
            "project",
            "create",
            path,
            "--visibility",
            visibility,
        ])
        .run()
        .expect_success();
    }

    /// A command on this one's accounts.
    pub fn accounts<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        let command = Invocation::portcullis().args(arguments);
        match self.setup.apart {
            None => command.arg("--data-dir").arg(self.folder()),
            Some(_) => command.arg("--config").arg(self.folder().join("auth.yml")),
        }
    }

    /// Ends the registry at once, as a power cut would.
    pub fn kill(&mut self) {
        self.registry.kill();
    }

    /// Asks the registry to end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.registry.stop().await
    }

    /// Starts the registry again where it was, on the data it left.
    pub async fn start_again(&mut self) {
        let launch = match &self.auth {
            None => self.setup.launch_up(&self.host()),
            Some(auth) => self.setup.launch_registry(&self.host(), auth.origin()),
        };
        self.registry.start_again(launch).await;
    }
}

/// `portcullis registry serve` alone, behind somebody else's gatekeeper.
#[derive(Debug)]
pub struct LoneRegistry {
    process: Process,
    folder: TempDir,
}

impl LoneRegistry {
    /// Believes `issuer` when its tokens are for `service` and signed by a key in the bundle.
    pub async fn with_bundle(issuer: &str, service: &str, bundle: &Path) -> Self {
        Self::start(issuer, service, "rootcertbundle", bundle).await
    }

    /// The same with the keys in a JWKS.
    pub async fn with_jwks(issuer: &str, service: &str, jwks: &Path) -> Self {
        Self::start(issuer, service, "jwks", jwks).await
    }

    async fn start(issuer: &str, service: &str, key_setting: &str, keys: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = registry_configuration(&Registry {
            address: "127.0.0.1:0",
            folder: folder.path(),
            database: &format!("sqlite:{}/registry.sqlite", folder.path().display()),
            realm: "https://gitlab.example.com/jwt/auth",
            service,
            issuer,
            key_setting,
            keys,
        });
        let file = folder.path().join("registry.yml");
        std::fs::write(&file, configuration).unwrap();
        let process = Process::start(Self::launch(folder.path())).await;
        Self { process, folder }
    }

    fn launch(folder: &Path) -> Launch {
        Launch {
            invocation: Invocation::portcullis()
                .args(["registry", "serve"])
                .arg(folder.join("registry.yml")),
            log: folder.join("registry.log"),
            ready: Ready::Announced,
        }
    }

    /// Starts it again, on the data it left, in a future that begins this much later.
    pub async fn start_again_later(&mut self, offset: &str) {
        self.process.stop().await;
        let mut launch = Self::launch(self.folder.path());
        launch.invocation = launch.invocation.later(offset);
        self.process.start_again(launch).await;
    }

    pub fn origin(&self) -> &Url {
        self.process.origin()
    }

    /// Someone with this token.
    pub fn with_token(&self, token: &str) -> Client {
        Client::new(self.origin()).with_token(token)
    }
}

/// What a registry's configuration file must say.
struct Registry<'a> {
    address: &'a str,
    folder: &'a Path,
    database: &'a str,
    realm: &'a str,
    service: &'a str,
    issuer: &'a str,
    /// `rootcertbundle` or `jwks`.
    key_setting: &'a str,
    keys: &'a Path,
}

fn registry_configuration(registry: &Registry<'_>) -> String {
    let Registry {
        address,
        folder,
        database,
        realm,
        service,
        issuer,
        key_setting,
        keys,
    } = registry;
    format!(
        "version: 0.1
storage:
  filesystem:
    rootdirectory: {}/blobs
  delete:
    enabled: true
database:
  url: {database}
http:
  addr: {address}
auth:
  token:
    realm: {realm}
    service: {service}
    issuer: {issuer}
    {key_setting}: {}
",
        folder.display(),
        keys.display()
    )
}

/// `127.0.0.1:<port>`
pub fn host(origin: &Url) -> String {
    format!(
        "{}:{}",
        origin.host_str().unwrap(),
        origin.port_or_known_default().unwrap()
    )
}

/// An empty database on the server that the test environment runs.
pub fn fresh_postgres() -> String {
    let server = std::env::var("PORTCULLIS_TEST_POSTGRES").expect(
        "PORTCULLIS_TEST_POSTGRES is not set: run the tests through `make test`, or through \
         `tests/environment/with`",
    );
    let name = format!("acceptance_{}", unique());
    Invocation::new("psql")
        .args(["--no-psqlrc", "--quiet", "--command"])
        .arg(format!("CREATE DATABASE {name}"))
        .arg(&server)
        .run()
        .expect_success();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    url.into()
}
