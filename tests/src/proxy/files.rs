//! The files of a proxy under test: those of the repository with what this machine has in the place of
//! names, ports and paths, and around them what Debian's own files come to.

use std::path::Path;

use super::{Front, Kind, Replicas};
use crate::Invocation;
use crate::pki::ServerCertificate;

impl Front {
    /// Copies the configuration, with the edits and what this machine has.
    pub(super) fn write(
        &self,
        to: &Path,
        certificate: &ServerCertificate,
        auth: &str,
        registry: &str,
    ) {
        let from = self.kind.configuration();
        std::fs::create_dir_all(to.join("portcullis")).unwrap();
        let mut edited = 0;
        let snippets = std::fs::read_dir(from.join("portcullis")).unwrap();
        let snippets = snippets.map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            format!("portcullis/{name}")
        });
        for file in snippets.chain([self.variant.file().to_owned()]) {
            let mut text = std::fs::read_to_string(from.join(&file)).unwrap();
            for edit in self.edits.iter().filter(|edit| edit.file == file) {
                let changed = (edit.change)(&text);
                assert_ne!(text, changed, "the edit of {file} changes nothing");
                text = changed;
                edited += 1;
            }
            let text = self.substitute(&text, certificate, auth, registry);
            std::fs::write(to.join(&file), text).unwrap();
        }
        assert_eq!(
            edited,
            self.edits.len(),
            "an edit is for a file that is not there"
        );
    }

    /// Puts names, ports, certificates and servers of the test in the place of those in the file.
    fn substitute(
        &self,
        text: &str,
        pair: &ServerCertificate,
        auth: &str,
        registry: &str,
    ) -> String {
        let kept = text
            .lines()
            // Not every machine that runs tests has IPv6.
            .filter(|line| !line.trim_start().starts_with("listen [::]"));
        let mut text = lines(kept.map(str::to_owned));
        for place in [&self.auth, &self.registry] {
            let path = format!("/etc/portcullis/tls/{}", place.written);
            text = text
                .replace(
                    &format!("{path}.pem"),
                    &pair.certificate.display().to_string(),
                )
                .replace(&format!("{path}.key"), &pair.key.display().to_string());
        }
        if let Some(blobs) = &self.blobs {
            text = text
                .replace(
                    "# include portcullis/sendfile",
                    "include portcullis/sendfile",
                )
                .replace(
                    "# Include portcullis/sendfile",
                    "Include portcullis/sendfile",
                )
                .replace(BLOBS, &blobs.display().to_string());
        }
        if let Some(replicas) = &self.replicas {
            text = substitute_replicas(&text, replicas);
        }
        let listen = match self.kind {
            Kind::Nginx => "listen 443 ",
            Kind::Apache => "<VirtualHost *:443>",
        };
        // Where there are two hosts, the auth-server's comes first.
        for place in [&self.auth, &self.registry] {
            let ours = listen.replace("443", &place.port.to_string());
            text = text.replacen(listen, &ours, 1);
        }
        let http = self.http.to_string();
        let secure = format!(":{}", self.registry.port);
        text = text
            .replace("listen 80;", &format!("listen {http};"))
            .replace("<VirtualHost *:80>", &format!("<VirtualHost *:{http}>"))
            .replace("https://$host$", &format!("https://$host{secure}$"))
            .replace(
                "https://%{SERVER_NAME}%",
                &format!("https://%{{SERVER_NAME}}{secure}%"),
            )
            .replace("127.0.0.1:5001", auth)
            .replace("127.0.0.1:5000", registry);
        for place in [&self.auth, &self.registry] {
            if place.name != place.written {
                text = text.replace(place.written, &place.name);
            }
        }
        text
    }

    /// What Debian's own files around ours come to, in a folder of the test.
    pub(super) fn apache(&self, folder: &Path) -> Invocation {
        std::fs::create_dir(folder.join("run")).unwrap();
        let mut ports = vec![self.http, self.auth.port, self.registry.port];
        ports.dedup();
        let listen = lines(ports.iter().map(|port| format!("Listen {port}")));
        let for_replicas: &[&str] = match self.replicas {
            Some(_) => &["slotmem_shm", "proxy_balancer", "lbmethod_byrequests"],
            None => &[],
        };
        let modules = APACHE_MODULES
            .iter()
            .chain(for_replicas)
            .flat_map(|module| ["load", "conf"].map(|kind| format!("{module}.{kind}")))
            .map(|file| format!("IncludeOptional /etc/apache2/mods-available/{file}"));
        let modules = lines(modules);
        let configuration = format!(
            "ServerRoot {folder}
ServerName localhost
Define APACHE_RUN_DIR {folder}/run
DefaultRuntimeDir {folder}/run
PidFile {folder}/run/apache2.pid
{modules}User www-data
Group www-data
ErrorLog {folder}/error.log
LogLevel info
LogFormat \"%h \\\"%r\\\" %>s %O\" short
CustomLog {folder}/access.log short
{listen}Include {file}
",
            folder = folder.display(),
            file = self.variant.file(),
        );
        std::fs::write(folder.join("apache2.conf"), configuration).unwrap();
        Invocation::new("apache2")
            .arg("-d")
            .arg(folder)
            .args(["-f", "apache2.conf", "-D", "FOREGROUND"])
            .current_dir(folder)
    }
}

/// The second include in the place of the first, and addresses in the place of those in the file.
fn substitute_replicas(text: &str, replicas: &Replicas) -> String {
    let mut text = text.to_owned();
    for include in ["include", "Include"] {
        text = text
            .replace(
                &format!("\n{include} portcullis/servers.conf"),
                &format!("\n# {include} portcullis/servers.conf"),
            )
            .replace(
                &format!("# {include} portcullis/replicas.conf"),
                &format!("{include} portcullis/replicas.conf"),
            );
    }
    for (address, place) in [("10.0.0.11", 0), ("10.0.0.12", 1)] {
        text = text
            .replace(&format!("{address}:5001"), &replicas.auth[place])
            .replace(&format!("{address}:5000"), &replicas.registry[place]);
    }
    text
}

/// The folder of blobs in our files.
const BLOBS: &str = "/var/lib/registry/docker/registry/v2/blobs";

/// Those of a Debian installation that matter here, and those that our files ask for.
const APACHE_MODULES: [&str; 18] = [
    "mpm_event",
    "authz_core",
    "alias",
    "dir",
    "mime",
    "env",
    "filter",
    "deflate",
    "reqtimeout",
    "setenvif",
    "socache_shmcb",
    "ssl",
    "http2",
    "headers",
    "rewrite",
    "proxy",
    "proxy_http",
    "xsendfile",
];

pub(super) fn nginx(folder: &Path, file: &str) -> Invocation {
    std::fs::create_dir(folder.join("temp")).unwrap();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {}/temp/{kind};\n", folder.display()))
        .concat();
    let configuration = format!(
        "user root;
worker_processes 1;
pid nginx.pid;
error_log stderr info;
events {{}}
http {{
    access_log access.log;
    gzip on;
{temp}    include {file};
}}
"
    );
    std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
    Invocation::new("nginx")
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf", "-g", "daemon off;"])
        .current_dir(folder)
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}
