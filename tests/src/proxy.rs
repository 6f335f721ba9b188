//! Real reverse proxies in front of our servers: nginx and Apache, with the configurations of the
//! repository.
//!
//! A [`Front`] is what will stand in front: it has its names and ports before anything runs, since
//! the servers behind must know their own URLs. [`Front::start`] runs it.
//!
//! ```ignore
//! let pki = Pki::new();
//! let front = Front::new(Kind::Nginx, Variant::TwoHosts);
//! let portcullis = front.servers(Databases::Sqlite).start().await;
//! let proxy = front.start(&pki, &portcullis).await;
//! let admin = proxy.client(&pki).login("admin", ADMIN_PASSWORD);
//! ```
//!
//! The names are those of the files, and [`Proxy::client`] knows where they are. Other programs do
//! not: [`Front::at`] takes an address in the place of names, with a port for each of the two hosts.

mod files;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use url::Url;

use crate::pki::{Pki, ServerCertificate};
use crate::process::{Launch, Process, Ready};
use crate::{Client, Databases, Invocation, Portcullis, Setup, host};

/// The program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Apache,
}

/// The file that is started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    TwoHosts,
    OneHost,
    PathPrefix,
}

/// A proxy that is about to be: its names and ports are decided.
pub struct Front {
    kind: Kind,
    variant: Variant,
    auth: Place,
    registry: Place,
    http: u16,
    edits: Vec<Edit>,
    certificate: Option<ServerCertificate>,
    /// The folder of blobs that it sends by itself.
    blobs: Option<PathBuf>,
    sends_blobs: bool,
    /// Two of each server.
    replicas: Option<Replicas>,
    /// Keeps the ports until they are needed.
    reserved: Vec<TcpListener>,
}

/// A host that clients ask.
#[derive(Clone, Debug)]
struct Place {
    /// In the file of the repository.
    written: &'static str,
    name: String,
    port: u16,
}

/// `HOST:PORT` of two auth-servers and of two registries.
#[derive(Clone, Debug)]
struct Replicas {
    auth: [String; 2],
    registry: [String; 2],
}

struct Edit {
    file: String,
    change: Rc<dyn Fn(&str) -> String>,
}

/// A running proxy. Ended when dropped; what it logged is shown when the test failed.
#[derive(Debug)]
pub struct Proxy {
    kind: Kind,
    process: Process,
    auth: Url,
    registry: Url,
    http: Url,
    /// Names that exist nowhere but here.
    names: Vec<String>,
    folder: TempDir,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Nginx, Self::Apache];

    /// Its folder in the repository.
    pub fn configuration(self) -> PathBuf {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        project.join(match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache",
        })
    }
}

impl Variant {
    pub const ALL: [Self; 3] = [Self::TwoHosts, Self::OneHost, Self::PathPrefix];

    pub fn file(self) -> &'static str {
        match self {
            Self::TwoHosts => "two-hosts.conf",
            Self::OneHost => "one-host.conf",
            Self::PathPrefix => "path-prefix.conf",
        }
    }

    /// The names of the auth-server and of the registry in the file.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::TwoHosts => ("git.example.com", "registry.example.com"),
            Self::OneHost => ("registry.example.com", "registry.example.com"),
            Self::PathPrefix => ("example.com", "example.com"),
        }
    }
}

impl Front {
    /// The names as they are in the file, on one port.
    pub fn new(kind: Kind, variant: Variant) -> Self {
        let reserved = [reserve(), reserve(), reserve()];
        let [http, shared, _] = reserved.each_ref().map(port);
        let (auth, registry) = variant.names();
        let place = |written: &'static str| Place {
            written,
            name: written.to_owned(),
            port: shared,
        };
        Self {
            kind,
            variant,
            auth: place(auth),
            registry: place(registry),
            http,
            edits: Vec::new(),
            certificate: None,
            blobs: None,
            sends_blobs: false,
            replicas: None,
            reserved: reserved.into(),
        }
    }

    /// An address instead of names, for programs that look names up elsewhere. Two hosts differ by
    /// their ports then.
    #[must_use]
    pub fn at(mut self, address: IpAddr) -> Self {
        self.auth.name = address.to_string();
        self.registry.name = address.to_string();
        if self.variant == Variant::TwoHosts {
            self.auth.port = port(&self.reserved[2]);
        }
        self
    }

    /// Changes a file before the start, on purpose: `portcullis/proxy.conf`, or
    /// [`Variant::file`]. The text is that of the repository.
    #[must_use]
    pub fn edit(mut self, file: &str, change: impl Fn(&str) -> String + 'static) -> Self {
        self.edits.push(Edit {
            file: file.to_owned(),
            change: Rc::new(change),
        });
        self
    }

    /// Replaces a text in a file.
    #[must_use]
    pub fn replace(self, file: &str, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.edit(file, move |text| text.replace(&from, &to))
    }

    /// A certificate other than a good one for all names.
    #[must_use]
    pub fn certificate(mut self, certificate: ServerCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Has it send blobs in the registry's place, as its file describes.
    #[must_use]
    pub fn sending_blobs(mut self) -> Self {
        self.sends_blobs = true;
        self
    }

    /// The same with a folder of blobs that is no registry's.
    #[must_use]
    pub fn sending_blobs_of(mut self, folder: &Path) -> Self {
        self.blobs = Some(folder.to_owned());
        self
    }

    /// What clients ask for tokens.
    pub fn auth(&self) -> Url {
        let path = match self.variant {
            Variant::PathPrefix => "portcullis/",
            Variant::TwoHosts | Variant::OneHost => "",
        };
        self.auth.url(path)
    }

    /// The host of all image names.
    pub fn registry(&self) -> Url {
        self.registry.url("")
    }

    /// The token endpoint, for the registry's setting.
    pub fn realm(&self) -> Url {
        self.auth().join("jwt/auth").unwrap()
    }

    /// The two servers, knowing what is in front of them.
    pub fn servers(&self, databases: Databases) -> Setup {
        let setup = match self.kind {
            _ if !self.sends_blobs => Setup::apart(databases),
            Kind::Nginx => {
                Setup::apart(databases).env("REGISTRY_HTTP_SENDFILE_HEADER", "X-Accel-Redirect")
            }
            Kind::Apache => {
                Setup::apart(databases).env("REGISTRY_HTTP_SENDFILE_HEADER", "X-Sendfile")
            }
        };
        setup
            .env("REGISTRY_AUTH_TOKEN_REALM", self.realm().as_str())
            .env("REGISTRY_HTTP_TRUSTEDPROXIES", "[loopback]")
            .auth_env("AUTH_HTTP_TRUSTEDPROXIES", "[loopback]")
    }

    /// Starts it in front of these servers.
    pub async fn start(mut self, pki: &Pki, portcullis: &Portcullis) -> Proxy {
        if self.sends_blobs {
            // Apache's workers are not root.
            readable(&portcullis.folder());
            self.blobs = Some(portcullis.blob_folder());
        }
        self.start_before(pki, portcullis.auth_origin(), portcullis.origin())
            .await
    }

    /// Starts it in front of two of each, with the file for that.
    pub async fn start_before_replicas(
        mut self,
        pki: &Pki,
        auth: [&Url; 2],
        registry: [&Url; 2],
    ) -> Proxy {
        self.replicas = Some(Replicas {
            auth: auth.map(host),
            registry: registry.map(host),
        });
        self.start_before(pki, auth[0], registry[0]).await
    }

    /// Starts it in front of these origins, whatever is there.
    pub async fn start_before(self, pki: &Pki, auth: &Url, registry: &Url) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        // Apache's workers are not root, and may have to read below.
        readable(folder.path());
        let certificate = self.certificate.clone().unwrap_or_else(|| {
            let names = [self.auth.name.as_str(), self.registry.name.as_str()];
            pki.server(names).issue()
        });
        self.write(folder.path(), &certificate, &host(auth), &host(registry));
        let invocation = match self.kind {
            Kind::Nginx => files::nginx(folder.path(), self.variant.file()),
            Kind::Apache => self.apache(folder.path()),
        };
        let answers = format!("https://127.0.0.1:{}", self.registry.port);
        let http = format!("http://{}:{}", self.registry.name, self.http);
        let names = [&self.auth.name, &self.registry.name];
        let names = names
            .into_iter()
            .filter(|name| name.parse::<IpAddr>().is_err());
        let (names, auth, registry) = (names.cloned().collect(), self.auth(), self.registry());
        let kind = self.kind;
        // From here on the ports are the proxy's.
        drop(self.reserved);
        let process = Process::start(Launch {
            invocation,
            log: folder.path().join("error.log"),
            ready: Ready::Answers(Url::parse(&answers).unwrap()),
        })
        .await;
        Proxy {
            kind,
            process,
            auth,
            registry,
            http: Url::parse(&http).unwrap(),
            names,
            folder,
        }
    }
}

impl Proxy {
    /// The registry as clients see it.
    pub fn registry(&self) -> &Url {
        &self.registry
    }

    /// The auth-server as clients see it, with the prefix if there is one.
    pub fn auth(&self) -> &Url {
        &self.auth
    }

    /// Where plain HTTP is answered.
    pub fn http(&self) -> &Url {
        &self.http
    }

    /// What image names begin with: `HOST:PORT`.
    pub fn host(&self) -> String {
        host(&self.registry)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where its configuration is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything it complained about so far.
    pub fn error_log(&self) -> String {
        self.process.log()
    }

    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    /// Someone unknown who trusts the authority and knows where the names are.
    pub fn client(&self, pki: &Pki) -> Client {
        self.client_with(pki, |builder| builder)
    }

    /// The same with other ways.
    pub fn client_with(
        &self,
        pki: &Pki,
        change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Client {
        Client::with_http(&self.registry, change(self.resolving(pki.trusting())))
    }

    /// Knows where the names are.
    pub fn resolving(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        // Port 0: that of the URL.
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let names = self.names.iter();
        names.fold(builder, |builder, name| builder.resolve(name, here))
    }

    /// Has it read its configuration and certificates again, as `nginx -s reload` does.
    pub fn reload(&self) {
        self.process.signal(match self.kind {
            Kind::Nginx => Signal::HUP,
            Kind::Apache => Signal::USR1,
        });
    }

    /// Ends it, workers included.
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Killed, the master would leave its workers behind, on the ports.
        self.process.try_end(Duration::from_secs(5));
    }
}

impl Place {
    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("https://{}:{}/{path}", self.name, self.port)).unwrap()
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("kind", &self.kind)
            .field("variant", &self.variant)
            .finish_non_exhaustive()
    }
}

/// An address of this machine that is not the loopback: there, Docker does not insist on TLS.
pub fn own_address() -> IpAddr {
    let addresses = Invocation::new("hostname").arg("-I").run().expect_success();
    addresses
        .stdout
        .split_whitespace()
        .filter_map(|address| address.parse().ok())
        .find(|address: &IpAddr| address.is_ipv4() && !address.is_loopback())
        .expect("this machine has no address but the loopback")
}

fn reserve() -> TcpListener {
    TcpListener::bind("0.0.0.0:0").unwrap()
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

fn readable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
