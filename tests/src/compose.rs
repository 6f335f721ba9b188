//! The compose file of the repository, on the Docker engine of the test environment.
//!
//! A [`Deployment`] is a folder as somebody has it who cloned the repository, and an `.env` of its own.
//! What is typed there is what the documents type. The official images have stand-ins; see
//! `tests/environment/images.sh`.
//!
//! The names of the servers are in /etc/hosts, at an address that Docker does not take for the loopback:
//! it talks to them only when it trusts their certificate.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use url::Url;

use crate::content::unique;
use crate::tools::Docker;
use crate::{Client, Finished, Invocation, images};

#[derive(Debug)]
pub struct Deployment {
    folder: TempDir,
    docker: Docker,
    domain: String,
    https: u16,
    http: u16,
    /// The folder below /etc/docker/certs.d that makes Docker trust the authority.
    trust: Option<PathBuf>,
}

impl Deployment {
    /// With these files of `compose/` added, `sqlite` for example. Nothing runs yet.
    pub fn new(added: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        clone_into(folder.path());
        let address = variable("PORTCULLIS_TEST_ADDRESS");
        let free_port = || {
            let listener = TcpListener::bind((address.as_str(), 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let deployment = Self {
            folder,
            docker: Docker::with_compose(),
            domain: variable("PORTCULLIS_TEST_DOMAIN"),
            https: free_port(),
            http: free_port(),
            trust: None,
        };
        let files = added
            .iter()
            .fold("docker-compose.yml".to_owned(), |files, name| {
                format!("{files}:compose/{name}.yml")
            });
        let mut settings = images::of_compose_file();
        for (name, value) in [
            ("COMPOSE_PROJECT_NAME", unique()),
            ("COMPOSE_FILE", files),
            ("PORTCULLIS_AUTH_HOST", deployment.auth_host()),
            ("PORTCULLIS_REGISTRY_HOST", deployment.registry_host()),
            ("PORTCULLIS_HTTPS_PORT", deployment.https.to_string()),
            ("PORTCULLIS_HTTP_PORT", deployment.http.to_string()),
            ("PORTCULLIS_BIND", address.clone()),
        ] {
            writeln!(settings, "{name}={value}").unwrap();
        }
        fs::write(deployment.path().join(".env"), settings).unwrap();
        deployment
    }

    /// The folder that commands are typed in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Another value of a setting in `.env`.
    #[must_use]
    pub fn set(self, name: &str, value: &str) -> Self {
        let file = self.path().join(".env");
        let text = fs::read_to_string(&file).unwrap();
        let other = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{name}=")));
        let mut text = other.collect::<Vec<_>>().join("\n");
        write!(text, "\n{name}={value}\n").unwrap();
        fs::write(file, text).unwrap();
        self
    }

    pub fn auth_host(&self) -> String {
        format!("auth.{}", self.domain)
    }

    pub fn registry_host(&self) -> String {
        format!("registry.{}", self.domain)
    }

    /// What image names begin with.
    pub fn registry(&self) -> String {
        format!("{}:{}", self.registry_host(), self.https)
    }

    pub fn origin(&self) -> Url {
        Url::parse(&format!("https://{}", self.registry())).unwrap()
    }

    /// Where plain HTTP is answered.
    pub fn http_origin(&self) -> Url {
        Url::parse(&format!("http://{}:{}", self.registry_host(), self.http)).unwrap()
    }

    pub fn https_port(&self) -> u16 {
        self.https
    }

    pub fn http_port(&self) -> u16 {
        self.http
    }

    /// A client of the deployment's engine that nobody has logged in with. `docker compose` is there.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// `docker compose …`
    pub fn compose<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.docker
            .command(["compose"].into_iter().chain(arguments))
            .current_dir(self.path())
    }

    #[track_caller]
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Finished {
        self.compose(arguments).run().expect_success()
    }

    /// Starts all of it, and has Docker trust its authority if it has one of its own.
    #[track_caller]
    pub fn up(&mut self) {
        self.run(["up", "--detach", "--wait"]);
    }

    /// `portcullis …` in the container of the auth-server, with what it reads.
    #[track_caller]
    pub fn accounts<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        let exec = ["exec", "--no-TTY", "auth", "portcullis", "auth"];
        self.compose(exec.into_iter().chain(arguments))
    }

    /// A file of a container.
    #[track_caller]
    pub fn read(&self, service: &str, path: &str) -> String {
        let copy = self.path().join(unique());
        let from = format!("{service}:{path}");
        self.run(["cp", &from, copy.to_str().unwrap()]);
        fs::read_to_string(copy).unwrap()
    }

    pub fn admin_password(&self) -> String {
        self.read("auth", "/run/portcullis/admin-password")
    }

    /// The authority that vouches for the servers, as clients get it.
    pub fn authority(&self, proxy: &str) -> String {
        self.read(proxy, "/etc/portcullis/tls/ca.pem")
    }

    /// Puts an authority where Docker looks for those of this registry.
    pub fn trust(&mut self, authority: &str) {
        let folder = Path::new("/etc/docker/certs.d").join(self.registry());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ca.crt"), authority).unwrap();
        self.trust = Some(folder);
    }

    /// Someone who trusts this authority alone.
    pub fn client(&self, authority: &str) -> Client {
        let root = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([root]);
        Client::with_http(&self.origin(), http)
    }

    /// Everything that the containers said.
    pub fn log(&self) -> String {
        let said = self.compose(["logs", "--no-color"]).run();
        said.stdout + &said.stderr
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- logs of the deployment\n{}", self.log());
        }
        let down = ["down", "--volumes", "--remove-orphans", "--timeout", "1"];
        let down = self.compose(down).run();
        if !down.status.success() {
            eprintln!("the deployment is not removed: {down}");
        }
        if let Some(folder) = &self.trust {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The working tree as Git sees it.
fn clone_into(folder: &Path) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = "git ls-files --cached --others --exclude-standard -z | \
                 xargs --null cp --parents --no-dereference --target-directory";
    Invocation::new("bash")
        .args([
            "-c",
            &format!("set -o pipefail; {files} '{}'", folder.display()),
        ])
        .current_dir(project)
        .run()
        .expect_success();
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests through `make test`, or `tests/environment/with`")
    })
}
