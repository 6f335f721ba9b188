//! The servers of a lap, on disks of their own: `up` on `SQLite`, or the two apart on `PostgreSQL`.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acceptance::{ADMIN_PASSWORD, Databases, Finished, Invocation, Launch, Process, Ready};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use rustix::process::Signal;
use url::Url;

use crate::client::Person;
use crate::disk::Disk;
use crate::plan::Victim;
use crate::postgres::Postgres;
use crate::report::Report;
use crate::weather::Trouble;
use crate::world::World;

/// Room for a lap, and little enough that a full disk is full.
const DATA_MEBIBYTES: u64 = 128;
const BLOBS_MEBIBYTES: u64 = 1024;

#[derive(Debug)]
pub struct Deployment {
    pub world: Arc<World>,
    pub database: Databases,
    pub postgres: Option<Postgres>,
    // Processes end before their disks do.
    registry: Option<Process>,
    auth: Option<Process>,
    // The one is mounted in the other.
    pub blobs: Disk,
    pub data: Disk,
    folder: PathBuf,
    starts: usize,
    /// The furthest that the clock has been.
    pub latest: i64,
}

impl Deployment {
    /// Disks and databases, nothing running yet. Logs and configurations stay in the folder.
    pub async fn new(folder: &Path, database: Databases, report: Arc<Report>) -> Self {
        let mount = folder.join("data");
        std::fs::create_dir_all(&mount).unwrap();
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        let data = Disk::new(&folder.join("data.img"), &mount, DATA_MEBIBYTES);
        std::fs::create_dir(mount.join("docker")).unwrap();
        rustix::fs::sync();
        let blobs = Disk::new(
            &folder.join("blobs.img"),
            &mount.join("docker"),
            BLOBS_MEBIBYTES,
        );
        let address = address();
        let postgres = match database {
            Databases::Sqlite => None,
            Databases::Postgres => Some(Postgres::start(address).await),
        };
        let origin = |port: u16| Url::parse(&format!("http://{address}:{port}/")).unwrap();
        let registry = origin(5000);
        let auth = match database {
            Databases::Sqlite => registry.clone(),
            Databases::Postgres => origin(5001),
        };
        let deployment = Self {
            world: Arc::new(World::new(registry, auth, report)),
            database,
            postgres,
            registry: None,
            auth: None,
            blobs,
            data,
            folder: folder.to_owned(),
            starts: 0,
            latest: 0,
        };
        deployment.configure();
        deployment.world.weather.begin(Trouble::Down);
        deployment
    }

    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// For the two apart.
    fn configure(&self) {
        let Some(postgres) = &self.postgres else {
            return;
        };
        let data = self.data_folder();
        let data = data.display();
        let [auth, registry] = &postgres.urls;
        std::fs::write(
            self.folder.join("auth.yml"),
            format!(
                "http: {{addr: '{}'}}\ndatabase: {{url: '{auth}'}}\nkeys: {{path: '{data}/keys'}}\n",
                acceptance::host(&self.world.auth),
            ),
        )
        .unwrap();
        std::fs::write(
            self.folder.join("registry.yml"),
            format!(
                "version: 0.1\n\
                 storage: {{filesystem: {{rootdirectory: '{data}'}}, delete: {{enabled: true}}}}\n\
                 database: {{url: '{registry}'}}\n\
                 http: {{addr: '{}'}}\n\
                 auth:\n  token:\n    realm: '{}auth/token'\n    service: portcullis-registry\n    \
                 issuer: portcullis-auth\n    rootcertbundle: '{data}/keys/bundle.pem'\n",
                acceptance::host(&self.world.registry),
                self.world.auth,
            ),
        )
        .unwrap();
    }

    /// The program at the servers' time, with what every command of theirs is given.
    fn portcullis<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        let command = Invocation::portcullis()
            .args(arguments)
            .current_dir(&self.folder)
            .env("RUST_BACKTRACE", "1")
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD)
            // Often enough to notice what is wrong while it is.
            .env("REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL", "300ms");
        match self.world.offset() {
            0 => command,
            offset => command.shifted(&format!("{offset:+}")),
        }
    }

    fn up(&self, port: u16) -> Invocation {
        let listen = format!("{}:{port}", self.world.registry.host_str().unwrap());
        self.portcullis(["up", "--listen", &listen, "--data-dir"])
            .arg(self.data_folder())
    }

    /// Starts whatever does not run, and says that it is there.
    pub async fn start(&mut self) -> Result<(), String> {
        self.starts += 1;
        if self.postgres.is_some() && self.auth.is_none() {
            let serve = self.portcullis(["auth", "serve", "--config", "auth.yml"]);
            self.auth = Some(self.launch(serve, "auth").await?);
        }
        if self.registry.is_none() {
            let serve = match self.database {
                Databases::Sqlite => self.up(5000),
                Databases::Postgres => self.portcullis(["registry", "serve", "registry.yml"]),
            };
            self.registry = Some(self.launch(serve, "registry").await?);
        }
        self.world.weather.end(Trouble::Down);
        Ok(())
    }

    async fn launch(&self, invocation: Invocation, name: &str) -> Result<Process, String> {
        let log = self.logs().join(format!("{:03}-{name}.log", self.starts));
        let launch = Launch {
            invocation,
            log,
            ready: Ready::Announced,
        };
        let started = AssertUnwindSafe(Process::start(launch)).catch_unwind();
        started.await.map_err(|panic| message(&*panic))
    }

    pub fn kill(&mut self, victim: Victim) {
        self.world.weather.begin(Trouble::Down);
        // Both at the same time: a power cut does not wait for the first to be gone.
        if matches!(victim, Victim::Auth | Victim::Both)
            && let Some(mut auth) = self.auth.take()
        {
            auth.kill();
        }
        if (victim != Victim::Auth || self.database == Databases::Sqlite)
            && let Some(mut registry) = self.registry.take()
        {
            registry.kill();
        }
    }

    /// Asks both to end.
    pub async fn stop(&mut self) {
        self.world.weather.begin(Trouble::Down);
        for process in [self.registry.take(), self.auth.take()] {
            let Some(mut process) = process else {
                continue;
            };
            let stopped = AssertUnwindSafe(process.stop()).catch_unwind().await;
            match stopped {
                Ok(status) if status.success() => {}
                Ok(status) => self.finding("a server does not end well", &status),
                Err(panic) => self.finding("a server does not end", &message(&*panic)),
            }
        }
    }

    pub fn reload(&self) {
        for process in [&self.registry, &self.auth].into_iter().flatten() {
            process.signal(Signal::HUP);
        }
    }

    /// A server on the same data, at another port. True if it was refused.
    pub async fn second_start(&mut self) -> bool {
        const PATIENCE: Duration = Duration::from_secs(30);
        self.starts += 1;
        let log = self.logs().join(format!("{:03}-second.log", self.starts));
        let output = std::fs::File::create(&log).unwrap();
        let mut child = self
            .up(5002)
            .command()
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return !status.success();
            }
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains("http://") || Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `registry sweep`, beside the servers or without them.
    pub async fn sweep(&self, older_than: Duration) {
        let age = format!("{}s", older_than.as_secs());
        let sweep = self.portcullis(["registry", "sweep", "--older-than", &age]);
        let sweep = match self.database {
            Databases::Sqlite => sweep.arg("--data-dir").arg(self.data_folder()),
            Databases::Postgres => sweep.arg("registry.yml"),
        };
        self.world.model().sweep_begins(older_than);
        let swept = run(sweep).await;
        let (now, tick) = (self.world.server_time(), self.world.tick());
        self.world.model().sweep_ends(older_than, now, tick);
        if !swept.status.success() {
            self.finding("a sweep fails", &swept);
        }
    }

    /// Users, each with a personal token for everything.
    pub async fn people(&self, count: usize) -> Vec<Person> {
        join_all((0..count).map(|number| self.person(number))).await
    }

    async fn person(&self, number: usize) -> Person {
        let name = format!("user{number}");
        let password = format!("horse battery staple {number} correct");
        let create = self.on_accounts(["auth", "user", "create", &name, "--password-stdin"]);
        run(create.input(format!("{password}\n")))
            .await
            .expect_success();
        let mut create = self.on_accounts(["auth", "token", "create", "soak"]);
        create = create.args(["--user", &name, "--output", "json"]);
        for scope in ["read_registry", "write_registry", "delete_registry", "api"] {
            create = create.args(["--scope", scope]);
        }
        let created = run(create).await.expect_success().json();
        Person {
            name,
            password,
            token: created["token"].as_str().unwrap().to_owned(),
        }
    }

    fn on_accounts<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        let command = self.portcullis(arguments);
        match self.database {
            Databases::Sqlite => command.arg("--data-dir").arg(self.data_folder()),
            Databases::Postgres => command.args(["--config", "auth.yml"]),
        }
    }

    pub fn finding(&self, what: &str, details: &impl std::fmt::Display) {
        self.world.report.finding(what, details);
    }
}

/// Beside everything else.
async fn run(invocation: Invocation) -> Finished {
    tokio::task::spawn_blocking(move || invocation.run())
        .await
        .unwrap()
}

/// What a panic said.
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// A loopback address that hardly anybody else uses, where ports are free again after a kill.
fn address() -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let random: u8 = rand::random_range(1..250);
    Ipv4Addr::new(127, 64 + high % 128, low, random).into()
}
