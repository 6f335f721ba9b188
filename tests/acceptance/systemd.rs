//! The units, on a machine that systemd runs: installed and changed as their document says, confined, reloaded,
//! drained, and back after a crash.

use std::time::{Duration, Instant};

use acceptance::machine::Machine;
use acceptance::tools::{Layout, Skopeo};
use acceptance::{Blob, Finished, Invocation, Pki, portcullis_binary};
use tempfile::TempDir;
use url::Url;

use crate::documents::{blocks, commands, document, in_place, project};

/// Larger than what the registry answers from memory.
const LARGE: usize = 1 << 20;

const SERVICE: &str = "registry.example.com";

/// A machine where the document's first part was done.
struct Installed {
    machine: Machine,
    password: String,
    skopeo: Skopeo,
    folder: TempDir,
}

impl Installed {
    fn new(text: &str) -> Self {
        let machine = Machine::start();
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("portcullis");
        // Without what only debuggers read: it is copied.
        Invocation::new("strip")
            .args(["--strip-debug", "-o"])
            .args([&program, &portcullis_binary()])
            .run()
            .expect_success();
        machine.copy(&program, "portcullis");
        for part in ["deploy", "nginx"] {
            machine.copy(&project().join(part), part);
        }
        let typed = commands(text);
        let (install, start) = typed.split_at(3);
        for line in install {
            machine.run(line);
        }
        let yaml = blocks(text, "yaml");
        // Its proxy is another document's.
        let realm = [("https://auth.example.com/", "http://127.0.0.1:5001/")];
        put(&machine, "/etc/portcullis/auth.yml", &yaml[0]);
        let registry = in_place(&yaml[1], &realm);
        put(&machine, "/etc/portcullis/registry.yml", &registry);
        let said: String = start.iter().map(|line| machine.run(line)).collect();
        let (_, after) = said.split_once("shown this once:").expect(&said);
        let password = after.split_whitespace().find(|word| word.len() == 32);
        let password = password.expect(&said).to_owned();
        Self {
            machine,
            password,
            skopeo: Skopeo::new(),
            folder,
        }
    }

    fn curl(&self, arguments: &str) -> Invocation {
        let line = format!("curl --silent --show-error --fail {arguments}");
        let shell = Invocation::new("bash").args(["-euo", "pipefail", "-c", &line]);
        self.machine.reaching(shell.current_dir(self.folder.path()))
    }

    fn skopeo(&self, arguments: &[&str]) -> Finished {
        let command = self.skopeo.command(arguments.iter().copied());
        let command = command.input(self.password.as_str());
        self.machine.reaching(command).run().expect_success()
    }

    fn pull(&self) {
        let into = tempfile::tempdir().unwrap();
        let into = format!("dir:{}", into.path().display());
        let copy = ["copy", "--all", "--src-tls-verify=false"];
        self.skopeo(&[&copy[..], &["docker://127.0.0.1:5000/admin/app:1", &into]].concat());
    }

    fn push(&self) {
        let login = ["login", "--tls-verify=false", "--username", "admin"];
        self.skopeo(&[&login[..], &["--password-stdin", "127.0.0.1:5000"]].concat());
        let layout = Layout::new().image("linux", "amd64", &[3_000_000]);
        let copy = ["copy", "--all", "--dest-tls-verify=false"];
        let image = [&layout.finish(), "docker://127.0.0.1:5000/admin/app:1"];
        self.skopeo(&[&copy[..], &image].concat());
    }

    /// `Authorization: …`, to push and pull in this repository.
    fn token(&self, repository: &str) -> String {
        let url = format!(
            "http://127.0.0.1:5001/auth/token?service={SERVICE}&scope=repository:{repository}:pull,push"
        );
        let answer = self.curl(&format!("--user admin:{} '{url}'", self.password));
        let answer = answer.run().expect_success().json();
        let token = answer["token"].as_str().unwrap();
        format!("--header 'Authorization: Bearer {token}'")
    }

    /// Opens an upload; returns where all of this blob is put.
    fn open_upload(&self, repository: &str, token: &str, blob: &Blob) -> Url {
        let url = format!("http://127.0.0.1:5000/v2/{repository}/blobs/uploads/");
        let opened = self.curl(&format!("--request POST --include {token} '{url}'"));
        let opened = opened.run().expect_success().stdout;
        let location = opened.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let named = name.eq_ignore_ascii_case("location");
            named.then(|| value.trim())
        });
        let location = location.expect(&opened);
        let mut url = Url::parse(&url).unwrap().join(location).unwrap();
        url.query_pairs_mut().append_pair("digest", &blob.digest);
        url
    }

    fn push_blob(&self, repository: &str) -> Blob {
        let blob = Blob::random(LARGE);
        std::fs::write(self.folder.path().join("blob"), &blob.bytes).unwrap();
        let token = self.token(repository);
        let url = self.open_upload(repository, &token, &blob);
        let put = format!("--request PUT --data-binary @blob {token} '{url}'");
        self.curl(&put).run().expect_success();
        blob
    }

    fn property(&self, unit: &str, name: &str) -> String {
        let show = format!("systemctl show --property {name} --value {unit}");
        self.machine.run(&show).trim().to_owned()
    }

    fn journal(&self, unit: &str) -> String {
        self.machine
            .run(&format!("journalctl --unit {unit} --output cat"))
    }
}

fn put(machine: &Machine, path: &str, content: &str) {
    let write = machine.shell(&format!("cat > {path} <<'END'\n{content}\nEND"));
    write.run().expect_success();
}

/// As `systemctl edit` does it.
fn drop_in(machine: &Machine, text: &str) {
    let folder = "/etc/systemd/system/portcullis-registry.service.d";
    machine.run(&format!("mkdir -p {folder}"));
    put(machine, &format!("{folder}/override.conf"), text);
    machine.run("systemctl daemon-reload");
}

#[test]
fn units_run_as_their_document_says() {
    let document = document("docs/systemd.md");
    let (first, rest) = document.split_once("\n## Secrets").unwrap();
    let (secrets, proxy) = rest.split_once("\n## A proxy").unwrap();
    let installed = Installed::new(first);

    they_are_ready_when_systemctl_returns(&installed);
    installed.push();
    installed.pull();
    they_are_confined(&installed);
    a_reload_takes_new_settings_over(&installed);
    a_stop_waits_for_who_is_there(&installed);
    one_that_is_killed_comes_back(&installed);
    secrets_of_root_are_handed_over(&installed, secrets);
    nginx_sends_blobs_itself(&installed, proxy);
}

/// The commands have returned, and nobody waits any more.
fn they_are_ready_when_systemctl_returns(installed: &Installed) {
    let registry = installed.journal("portcullis-registry");
    // In this order: there were keys to fetch.
    assert!(registry.contains("trusted keys loaded"), "{registry}");
    assert!(
        !registry.contains("trusted keys cannot be read"),
        "{registry}"
    );
    for unit in ["portcullis-auth", "portcullis-registry"] {
        assert_eq!(installed.property(unit, "Type"), "notify");
        assert_eq!(installed.property(unit, "ActiveState"), "active");
        assert_eq!(installed.property(unit, "NRestarts"), "0");
    }
    for port in [5000, 5001] {
        let ready = installed.curl(&format!("http://127.0.0.1:{port}/readyz"));
        ready.run().expect_success();
    }
}

fn they_are_confined(installed: &Installed) {
    let machine = &installed.machine;
    machine.run("touch ~/secret /home/secret /tmp/secret");
    let mut users = Vec::new();
    for (unit, other) in [
        ("portcullis-auth", "portcullis-registry"),
        ("portcullis-registry", "portcullis-auth"),
    ] {
        let process = installed.property(unit, "MainPID");
        let status = machine.run(&format!("cat /proc/{process}/status"));
        let field = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.expect(&status).to_owned()
        };
        for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{unit} {set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        // Calls are filtered.
        assert_eq!(field("Seccomp"), "2");
        assert_eq!(field("Umask"), "0077");
        let user = field("Uid").split('\t').next().unwrap().to_owned();
        assert_ne!(user, "0");

        // What it sees: with its own rights, and with root's.
        let enter = format!("nsenter --target {process} --mount --setuid {user} --setgid {user}");
        let inside = |root: bool, command: &str| {
            let enter = if root {
                format!("nsenter --target {process} --mount")
            } else {
                enter.clone()
            };
            machine.shell(&format!("{enter} {command}")).run()
        };
        for file in ["/usr/local/bin/x", "/etc/portcullis/x", "/var/log/x"] {
            inside(true, &format!("touch {file}"))
                .expect_failure()
                .expect_says(["Read-only file system"]);
        }
        for folder in ["/root", "/home", "/tmp"] {
            let seen = inside(true, &format!("ls -A {folder}")).expect_success();
            assert_eq!(seen.stdout, "", "{unit} sees {folder}");
        }
        for own in ["", "/keys-of-this-test"] {
            inside(false, &format!("mkdir -p /var/lib/{unit}{own}")).expect_success();
        }
        // Not even its name.
        inside(true, &format!("ls /var/lib/private/{other}"))
            .expect_failure()
            .expect_says(["No such file or directory"]);
        users.push(user);
    }
    assert_ne!(users[0], users[1]);
}

fn a_reload_takes_new_settings_over(installed: &Installed) {
    let machine = &installed.machine;
    let before = installed.property("portcullis-registry", "MainPID");
    machine.run("printf 'log: {level: debug}\\n' >> /etc/portcullis/registry.yml");
    machine.run("systemctl reload portcullis-registry portcullis-auth");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !installed
        .journal("portcullis-registry")
        .contains("new settings are in force settings=\"log.level\"")
    {
        assert!(Instant::now() < deadline, "nothing is read again");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(installed.property("portcullis-registry", "MainPID"), before);
}

fn a_stop_waits_for_who_is_there(installed: &Installed) {
    let token = installed.token("admin/slow");
    let blob = Blob::random(6 << 20);
    std::fs::write(installed.folder.path().join("slow"), &blob.bytes).unwrap();
    let url = installed.open_upload("admin/slow", &token, &blob);
    let upload = installed.curl(&format!(
        "--upload-file slow --limit-rate 2M --header Expect: {token} '{url}'"
    ));
    let upload = std::thread::spawn(move || (upload.run(), Instant::now()));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!upload.is_finished(), "it has ended already");

    installed.machine.run("systemctl stop portcullis-registry");
    let stopped = Instant::now();

    let (uploaded, finished) = upload.join().unwrap();
    uploaded.expect_success();
    assert!(stopped + Duration::from_secs(1) > finished);
    assert_eq!(
        installed.property("portcullis-registry", "Result"),
        "success"
    );
    assert_eq!(
        installed.property("portcullis-registry", "ActiveState"),
        "inactive"
    );
    installed
        .curl("http://127.0.0.1:5000/healthz")
        .run()
        .expect_failure();

    installed.machine.run("systemctl start portcullis-registry");
    let url = format!("http://127.0.0.1:5000/v2/admin/slow/blobs/{}", blob.digest);
    installed
        .curl(&format!("--head {token} {url}"))
        .run()
        .expect_success();
}

fn one_that_is_killed_comes_back(installed: &Installed) {
    installed
        .machine
        .run("systemctl kill --signal KILL portcullis-registry");
    let deadline = Instant::now() + Duration::from_secs(20);
    while installed.property("portcullis-registry", "NRestarts") != "1"
        || installed.property("portcullis-registry", "ActiveState") != "active"
    {
        assert!(Instant::now() < deadline, "it does not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
    installed.pull();
    let journal = installed.journal("portcullis-registry");
    // The access log, of all three processes.
    assert!(
        journal.matches("The registry is ready").count() == 3,
        "{journal}"
    );
    assert!(
        journal.contains("action=\"push\" repository=\"admin/app\""),
        "{journal}"
    );
}

/// The files of the document's drop-in, for root alone, and what uses them.
fn secrets_of_root_are_handed_over(installed: &Installed, text: &str) {
    let machine = &installed.machine;
    let pki = Pki::new();
    let pair = pki.server([SERVICE]).issue();
    let live = format!("/etc/letsencrypt/live/{SERVICE}");
    machine.run(&format!("mkdir -p {live}"));
    machine.copy(&pair.certificate, &format!("{live}/fullchain.pem"));
    machine.copy(&pair.key, &format!("{live}/privkey.pem"));
    machine.run(&format!(
        "printf 'sqlite:elsewhere.sqlite' > /etc/portcullis/database
         chown -R root:root /etc/letsencrypt
         chmod 600 /etc/portcullis/database {live}/privkey.pem"
    ));
    drop_in(machine, &blocks(text, "ini")[0]);
    // The storage would not take another one.
    let records = "cd /var/lib/portcullis-registry; systemctl stop portcullis-registry";
    machine.run(&format!("{records}; mv registry.sqlite elsewhere.sqlite"));
    machine.run("systemctl start portcullis-registry");

    let url = format!("https://{SERVICE}:5000/readyz");
    let root = pki.root();
    let ready = installed.curl(&format!(
        "--cacert {} --resolve {SERVICE}:5000:127.0.0.1 {url}",
        root.display()
    ));
    ready.run().expect_success();
    machine.run(&format!("{records}; mv elsewhere.sqlite registry.sqlite"));

    machine.run(
        "systemctl revert portcullis-registry
         rm -rf /etc/systemd/system/portcullis-registry.service.d
         systemctl daemon-reload
         systemctl restart portcullis-registry",
    );
}

fn nginx_sends_blobs_itself(installed: &Installed, text: &str) {
    let machine = &installed.machine;
    let before = installed.push_blob("admin/app");
    let pki = Pki::new();
    let pair = pki.server(["git.example.com", SERVICE]).issue();
    machine.run("mkdir -p /etc/portcullis/tls");
    for name in ["git.example.com", SERVICE] {
        machine.copy(
            &pair.certificate,
            &format!("/etc/portcullis/tls/{name}.pem"),
        );
        machine.copy(&pair.key, &format!("/etc/portcullis/tls/{name}.key"));
    }
    // As docs/nginx.md has it, which is typed elsewhere.
    machine.run(
        "cp -r nginx/portcullis /etc/nginx/
         sed 's/# include portcullis.sendfile/include portcullis\\/sendfile/' \
             nginx/two-hosts.conf > /etc/nginx/conf.d/portcullis.conf
         systemctl start nginx",
    );
    let settings = "REGISTRY_HTTP_TRUSTEDPROXIES=[loopback]\n\
                    REGISTRY_HTTP_SENDFILE_HEADER=X-Accel-Redirect";
    put(machine, "/etc/portcullis/registry.env", settings);

    let pull = |blob: &Blob| {
        let token = installed.token("admin/app");
        installed.curl(&format!(
            "--cacert {} --resolve {SERVICE}:443:127.0.0.1 {token} --dump-header head \
             --output pulled https://{SERVICE}/v2/admin/app/blobs/{}",
            pki.root().display(),
            blob.digest
        ))
    };
    // The unit as it is keeps its files to itself, and says so.
    machine.run("systemctl restart portcullis-registry");
    pull(&before)
        .run()
        .expect_failure()
        .expect_says(["error: 502"]);

    let typed = commands(text);
    let (user, changes) = typed.split_at(2);
    for line in user {
        machine.run(line);
    }
    drop_in(machine, &blocks(text, "ini")[0]);
    for line in changes {
        machine.run(line);
    }

    let after = installed.push_blob("admin/app");
    for blob in [before, after] {
        pull(&blob).run().expect_success();
        let read = |name: &str| std::fs::read(installed.folder.path().join(name)).unwrap();
        assert!(read("pulled") == blob.bytes);
        // The registry has no dates.
        let head = String::from_utf8(read("head")).unwrap().to_lowercase();
        assert!(head.contains("last-modified"), "{head}");
    }
    // It is still nobody else's.
    machine
        .shell("runuser -u nobody -- ls /var/lib/portcullis-registry")
        .run()
        .expect_failure()
        .expect_says(["Permission denied"]);
}
