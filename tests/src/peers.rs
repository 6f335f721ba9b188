//! Other people's servers, to pair ours with.

use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;
use url::Url;

use crate::Invocation;
use crate::process::{Launch, Process, Ready};

/// Debian's `docker-registry`: distribution 2.8.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Process,
    _folder: TempDir,
}

impl DockerRegistry {
    /// Believes tokens signed by who is in the bundle.
    pub async fn with_token_auth(realm: &Url, service: &str, issuer: &str, bundle: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let configuration = format!(
            "version: 0.1
log:
  level: debug
storage:
  filesystem:
    rootdirectory: {}
  delete:
    enabled: true
http:
  addr: {address}
auth:
  token:
    realm: {realm}
    service: {service}
    issuer: {issuer}
    rootcertbundle: {}
",
            folder.path().join("data").display(),
            bundle.display(),
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, configuration).unwrap();
        let process = Process::start(Launch {
            invocation: Invocation::new("docker-registry").arg("serve").arg(file),
            log: folder.path().join("log"),
            ready: Ready::Answers(Url::parse(&format!("http://{address}")).unwrap()),
        })
        .await;
        Self {
            process,
            _folder: folder,
        }
    }

    pub fn origin(&self) -> &Url {
        self.process.origin()
    }
}

/// An address that nobody listens on at this moment, for a server that cannot choose by itself.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
