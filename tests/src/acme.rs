//! An ACME authority that checks who asks, as Let's Encrypt does: pebble, by the same people. It looks
//! names up in a DNS of its own, in which all of them are one address.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;

use serde_json::json;

use crate::{Invocation, Launch, Pki, Process, Ready};

/// Where it looks at whoever wants a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    pub http: u16,
    pub tls: u16,
    /// How long its certificates last, in seconds.
    pub validity: u32,
}

#[derive(Debug)]
pub struct Authority {
    pki: Pki,
    address: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
    _dns: Process,
    pebble: Option<Process>,
}

/// A port that was free a moment ago.
fn free(address: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.local_addr().unwrap()
}

impl Authority {
    /// It is at this address, and so is every name. Nothing answers yet.
    pub async fn new(address: IpAddr) -> Self {
        let pki = Pki::new();
        let [own, management, dns, commands] = std::array::from_fn(|_| free(address));
        let server = Invocation::new("pebble-challtestsrv")
            .args(["-dns01", &dns.to_string()])
            .args(["-management", &commands.to_string()])
            .args(["-defaultIPv4", &address.to_string()])
            .args([
                "-defaultIPv6",
                "",
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
            ]);
        let launch = Launch {
            invocation: server,
            log: pki.folder().join("dns.log"),
            ready: Ready::Answers(format!("http://{commands}").parse().unwrap()),
        };
        Self {
            pki,
            address: own,
            management,
            dns,
            _dns: Process::start(launch).await,
            pebble: None,
        }
    }

    /// What clients of ACME are told.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// What they have to trust to ask it.
    pub fn trust(&self) -> PathBuf {
        self.pki.root()
    }

    /// Begins anew: with another root, and without the accounts of before.
    pub async fn start(&mut self, checks: Checks) {
        self.stop();
        let pair = self.pki.server([self.address.ip().to_string().as_str()]);
        let pair = pair.issued_by_root().issue();
        let configuration = json!({"pebble": {
            "listenAddress": self.address.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": pair.certificate,
            "privateKey": pair.key,
            "httpPort": checks.http,
            "tlsPort": checks.tls,
            "certificateValidityPeriod": checks.validity,
        }});
        let file = self.pki.folder().join("pebble.json");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let launch = Launch {
            invocation: Invocation::new("pebble")
                .args(["-dnsserver", &self.dns.to_string()])
                .arg("-config")
                .arg(&file)
                .env("PEBBLE_VA_NOSLEEP", "1"),
            log: self.pki.folder().join("pebble.log"),
            ready: Ready::Answers(self.directory().parse().unwrap()),
        };
        self.pebble = Some(Process::start(launch).await);
    }

    pub fn stop(&mut self) {
        self.pebble = None;
    }

    /// What those have to trust who are shown its certificates: PEM.
    pub async fn root(&self) -> String {
        let http = self.pki.trusting().build().unwrap();
        let url = format!("https://{}/roots/0", self.management);
        let answer = http.get(url).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }
}
