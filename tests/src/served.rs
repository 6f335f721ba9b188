//! A server of its own configuration file, for what the file may say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use url::Url;

use crate::process::{Launch, Process, Ready};
use crate::{Client, Invocation, host};

/// How to serve a configuration that is written into a folder.
#[derive(Debug)]
pub struct Configured {
    folder: TempDir,
    command: &'static [&'static str],
    environment: Vec<(String, String)>,
}

/// A server that runs on one.
#[derive(Debug)]
pub struct Served {
    process: Process,
    folder: TempDir,
}

/// A registry that lets everybody in, on any free port.
pub const OPEN_REGISTRY: &str = "version: 0.1
storage:
  filesystem:
    rootdirectory: blobs
http:
  addr: 127.0.0.1:0
auth: none
";

impl Configured {
    /// `registry serve config.yml`
    pub fn registry(text: &str) -> Self {
        Self::new(&["registry", "serve", "config.yml"], text)
    }

    /// The configuration inside our image, which people override by variables.
    pub fn image() -> Self {
        let image = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/image/config.yml");
        Self::registry(&std::fs::read_to_string(image).unwrap())
    }

    /// `auth serve --config config.yml`
    pub fn auth(text: &str) -> Self {
        Self::new(&["auth", "serve", "--config", "config.yml"], text)
    }

    fn new(command: &'static [&'static str], text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yml"), text).unwrap();
        Self {
            folder,
            command,
            environment: Vec::new(),
        }
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a file beside the configuration.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What is run, for one that does not start.
    pub fn invocation(&self) -> Invocation {
        let command = Invocation::portcullis()
            .args(self.command.iter().copied())
            .current_dir(self.folder.path());
        let variables = self.environment.iter();
        variables.fold(command, |command, (name, value)| command.env(name, value))
    }

    pub async fn start(self) -> Served {
        let launch = Launch {
            invocation: self.invocation(),
            log: self.folder.path().join("log"),
            ready: Ready::Announced,
        };
        Served {
            process: Process::start(launch).await,
            folder: self.folder,
        }
    }
}

impl Served {
    pub fn origin(&self) -> &Url {
        self.process.origin()
    }

    pub fn host(&self) -> String {
        host(self.origin())
    }

    pub fn client(&self) -> Client {
        Client::new(self.origin())
    }

    /// Somebody who asks for no token: an open registry looks at none.
    pub fn anybody(&self) -> Client {
        self.client().with_token("none")
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes another configuration, and asks for it to be read: `kill -HUP`.
    pub fn reload(&self, text: &str) {
        std::fs::write(self.path("config.yml"), text).unwrap();
        self.process.signal(Signal::HUP);
    }

    /// Waits until the log has a line with all of this.
    pub async fn logs(&self, parts: &[&str]) -> String {
        for _ in 0..400 {
            let log = self.log();
            let line = log
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = line {
                return line.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no line with {parts:?} in\n{}", self.log());
    }

    /// Waits until a path is answered so.
    pub async fn answers(&self, path: &str, status: u16) {
        for _ in 0..400 {
            if self.client().get(path).send().await.status == status {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} is never answered {status}:\n{}", self.log());
    }
}
