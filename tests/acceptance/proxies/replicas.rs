//! Two of each server, on one database each and one folder of blobs, behind the files for that.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use acceptance::proxy::{Front, Kind, Proxy, Variant, own_address};
use acceptance::{
    ADMIN_PASSWORD, Blob, Client, Image, Invocation, Launch, Pki, Process, Ready, Upload,
    fresh_postgres, host,
};
use reqwest::Method;
use tempfile::TempDir;
use url::Url;

use super::{fakes, uploads};
use crate::compose_restarts::Load;

const MIB: usize = 1 << 20;

/// Behind a proxy.
struct Replicas {
    pki: Pki,
    proxy: Proxy,
    auth: [Process; 2],
    registry: [Process; 2],
    blobs: PathBuf,
    /// Goes last.
    folder: TempDir,
}

impl Replicas {
    async fn start(front: Front) -> Self {
        let pki = Pki::new();
        let folder = tempfile::tempdir().unwrap();
        let (accounts, images) = (fresh_postgres(), fresh_postgres());
        let path = folder.path();
        let auth = ["auth-1", "auth-2"].map(|name| auth(path, name, &accounts));
        let [one, two] = auth;
        let auth = [Process::start(one).await, Process::start(two).await];
        let realm = front.realm();
        let registry =
            ["registry-1", "registry-2"].map(|name| registry(path, name, &images, &realm));
        let [one, two] = registry;
        let registry = [Process::start(one).await, Process::start(two).await];
        let proxy = front
            .start_before_replicas(
                &pki,
                auth.each_ref().map(Process::origin),
                registry.each_ref().map(Process::origin),
            )
            .await;
        Self {
            pki,
            proxy,
            auth,
            registry,
            blobs: path.join("blobs/docker/registry/v2/blobs"),
            folder,
        }
    }

    fn admin(&self) -> Client {
        let anonymous = self.proxy.client(&self.pki);
        anonymous.login("admin", ADMIN_PASSWORD)
    }

    /// Where it was.
    async fn start_again(&mut self, name: &str) {
        let server = self.server(name);
        let address = host(server.origin());
        let folder = self.folder.path().to_owned();
        let file = file(&folder, name);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("127.0.0.1:0", &address)).unwrap();
        self.server(name).start_again(launch(&folder, name)).await;
    }

    fn server(&mut self, name: &str) -> &mut Process {
        match name {
            "auth-1" => &mut self.auth[0],
            "auth-2" => &mut self.auth[1],
            "registry-1" => &mut self.registry[0],
            "registry-2" => &mut self.registry[1],
            other => panic!("who is {other}?"),
        }
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.yml"))
}

fn auth(folder: &Path, name: &str, database: &str) -> Launch {
    let keys = folder.join(name);
    let configuration = format!(
        "http: {{addr: '127.0.0.1:0', trustedproxies: [loopback]}}\n\
         database: {{url: '{database}'}}\n\
         keys: {{path: '{}', encryptionkey: {}}}\n",
        keys.display(),
        "0123456789abcdef".repeat(4),
    );
    std::fs::write(file(folder, name), configuration).unwrap();
    launch(folder, name)
}

fn registry(folder: &Path, name: &str, database: &str, realm: &Url) -> Launch {
    let folder_of_all = folder.display();
    let configuration = format!(
        "version: 0.1\n\
         storage: {{filesystem: {{rootdirectory: '{folder_of_all}/blobs'}}}}\n\
         database: {{url: '{database}'}}\n\
         http: {{addr: '127.0.0.1:0', trustedproxies: [loopback]}}\n\
         auth: {{token: {{realm: '{realm}', service: portcullis-registry, \
         issuer: portcullis-auth, rootcertbundle: '{folder_of_all}/auth-1/bundle.pem'}}}}\n"
    );
    std::fs::write(file(folder, name), configuration).unwrap();
    launch(folder, name)
}

fn launch(folder: &Path, name: &str) -> Launch {
    let serve: &[&str] = if name.starts_with("auth") {
        &["auth", "serve", "--config"]
    } else {
        &["registry", "serve"]
    };
    Launch {
        invocation: Invocation::portcullis()
            .args(serve)
            .arg(file(folder, name))
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .current_dir(folder),
        log: folder.join(format!("{name}.log")),
        ready: Ready::Announced,
    }
}

/// Whoever gets anything but what they asked for ends the test.
async fn none_is_missed(kind: Kind) {
    let mut replicas = Replicas::start(Front::new(kind, Variant::TwoHosts)).await;
    let load = Load::start(&replicas.admin(), 4);
    load.flows(4).await;
    for name in ["registry-1", "registry-2", "auth-1", "auth-2"] {
        replicas.server(name).stop().await;
        load.flows(4).await;
        replicas.start_again(name).await;
        load.flows(2).await;
    }
    load.end().await;
    // It had been asked.
    let log = replicas.proxy.error_log();
    assert!(log.contains("Connection refused"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_replicas_ends_under_load_behind_nginx() {
    none_is_missed(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_replicas_ends_under_load_behind_apache() {
    none_is_missed(Kind::Apache).await;
}

#[tokio::test]
async fn one_that_was_killed_is_passed_over_and_found_again() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let mut replicas = Replicas::start(Front::new(kind, variant)).await;
            let repository = replicas.admin().repository("admin/app");
            let image = Image::random();
            repository.push(&image, "before").await;
            for name in ["registry-1", "auth-2"] {
                replicas.server(name).kill();
            }
            for tag in ["1", "2", "3"] {
                let repository = replicas.admin().repository("admin/app");
                repository.expect_image(&image, "before").await;
                repository.push(&Image::random(), tag).await;
            }

            replicas.server("registry-2").kill();
            let status = if kind == Kind::Nginx { 502 } else { 503 };
            let refused = repository.get("manifests/before").send().await;
            let refused = refused.expect_error(status, "UNAVAILABLE");
            assert!(refused.json().to_string().contains("cannot be reached"));
            replicas.start_again("registry-1").await;
            repository.expect_image(&image, "before").await;
        }
    }
}

#[tokio::test]
async fn uploads_and_addresses_are_as_with_one() {
    for kind in Kind::ALL {
        let address = own_address();
        let replicas = Replicas::start(Front::new(kind, Variant::TwoHosts).at(address)).await;
        let repository = replicas.admin().repository("admin/app");
        let blob = Blob::random(24 * MIB);
        let upload = repository.start_upload().await;

        let (sender, body) = uploads::body();
        let patch = tokio::spawn(upload.patch().body(body).send());
        sender.send(blob.bytes.slice(..16 * MIB)).unwrap();
        uploads::arrived_in(&replicas.blobs, "admin/app", 8 * MIB, kind).await;
        sender.send(blob.bytes.slice(16 * MIB..)).unwrap();
        drop(sender);
        let location = patch.await.unwrap().expect(202);
        let upload = Upload::resume(&repository, location.header("location"));
        upload.finish(&blob.digest).await.expect(201);
        repository.expect_blob(&blob).await;

        for _ in 0..2 {
            let newcomer = replicas.admin();
            newcomer.token(&[]).await;
            assert_eq!(newcomer.challenge().await.realm.scheme(), "https");
        }
        let project = format!("{}api/v1/projects/admin%2Fapp", replicas.proxy.auth());
        let asked = replicas.admin().get(&project).send().await;
        asked.expect(401);
        let logs = replicas.auth.each_ref().map(Process::log).concat();
        assert!(
            logs.contains("path=\"/api/v1/projects/admin%2Fapp\""),
            "{logs}"
        );

        for server in replicas.auth.iter().chain(&replicas.registry) {
            let log = server.log();
            let requests = log.lines().filter(|line| line.contains("client="));
            assert!(requests.clone().count() > 0, "{kind:?} spares one: {log}");
            for line in requests {
                assert!(line.contains(&format!("client={address}")), "{line}");
            }
        }
    }
}

/// A refusal arrives, although its connection ends while the client is still sending.
#[tokio::test]
async fn a_refusal_arrives_before_the_body_has() {
    for kind in Kind::ALL {
        let replicas = Replicas::start(Front::new(kind, Variant::TwoHosts)).await;
        for _ in 0..8 {
            let client = replicas.proxy.client(&replicas.pki);
            let call = client.call(Method::PATCH, "/v2/admin/app/blobs/uploads/none");
            let answer = call.body(Blob::random(2 * MIB).bytes).send().await;
            answer.expect_error(401, "UNAUTHORIZED");
        }
    }
}

/// Like a machine that is off: nobody says no.
fn hanging() -> (Url, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // One that nobody is let in from is full.
    let waiting = std::iter::from_fn(|| {
        TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()
    });
    let waiting = waiting.collect();
    (
        format!("http://{address}").parse().unwrap(),
        listener,
        waiting,
    )
}

#[tokio::test]
async fn one_that_hangs_is_passed_over() {
    let (hanging, _listener, _waiting) = hanging();
    let well = fakes::serve(|_| "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell".to_owned());
    for (kind, file, patience, less) in [
        (
            Kind::Nginx,
            "portcullis/proxy.conf",
            "proxy_connect_timeout     5s",
            "proxy_connect_timeout 1s",
        ),
        (
            Kind::Apache,
            "portcullis/replicas.conf",
            "connectiontimeout=5",
            "connectiontimeout=1",
        ),
    ] {
        let pki = Pki::new();
        let front = Front::new(kind, Variant::OneHost).replace(file, patience, less);
        let proxy = front
            .start_before_replicas(&pki, [&hanging, &well], [&hanging, &well])
            .await;
        let client = proxy.client(&pki);
        for path in ["/v2/a/blobs/uploads/1", "/jwt/auth"] {
            for method in [Method::PATCH, Method::GET, Method::POST] {
                let call = client.call(method, path).body("a body");
                assert_eq!(call.send().await.expect(200).body, "well", "{kind:?}");
            }
        }
        let log = proxy.error_log();
        let said = ["upstream timed out", "The timeout specified has expired"];
        assert!(
            said.iter().any(|said| log.contains(said)),
            "{kind:?}: {log}"
        );
    }
}

/// Two servers that take a request and hang up: it may have been done, nobody knows.
fn silent() -> ([Url; 2], Receiver<String>) {
    let (sender, seen) = channel();
    let origins = [sender.clone(), sender].map(|sender| {
        fakes::serve(move |head| {
            let (line, _) = head.split_once('\r').unwrap();
            sender.send(line.to_owned()).unwrap();
            String::new()
        })
    });
    (origins, seen)
}

#[tokio::test]
async fn what_may_have_been_done_is_not_asked_of_the_other_one() {
    let ([one, two], seen) = silent();
    for kind in Kind::ALL {
        let pki = Pki::new();
        let front = Front::new(kind, Variant::OneHost);
        let proxy = front
            .start_before_replicas(&pki, [&one, &two], [&one, &two])
            .await;
        for path in ["/v2/a/blobs/uploads/1", "/api/v1/projects"] {
            for http1 in [true, false] {
                for (method, body) in [
                    (Method::POST, ""),
                    (Method::POST, "a body"),
                    (Method::PATCH, "a body"),
                    (Method::PUT, "a body"),
                    (Method::PUT, ""),
                    (Method::DELETE, ""),
                    (Method::GET, ""),
                ] {
                    // A connection of its own: Apache ends one that is used again without a word.
                    let client =
                        proxy.client_with(
                            &pki,
                            |builder| {
                                if http1 { builder.http1_only() } else { builder }
                            },
                        );
                    let answer = client.call(method.clone(), path).body(body).send().await;
                    // 502, or over HTTP/2 by Apache 500.
                    assert!(
                        [500, 502].contains(&answer.status.as_u16()),
                        "{kind:?}: {answer}"
                    );
                    let line = format!("{method} {path} HTTP/1.1");
                    let times = seen.try_iter().filter(|seen| *seen == line).count();
                    // These nginx may ask of the other one: once or twice, their effect is the same.
                    let again = kind == Kind::Nginx
                        && [Method::PUT, Method::DELETE, Method::GET].contains(&method);
                    assert!(
                        times == 1 || again && times == 2,
                        "{kind:?}: {times} times {line} with {body:?}"
                    );
                }
            }
        }
    }
}
