//! A server as a process: started, watched, killed, started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use url::Url;

use crate::Invocation;

/// Longer than any healthy start takes, on a machine that runs other tests beside.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a server, and how to tell that it listens.
#[derive(Clone, Debug)]
pub struct Launch {
    pub invocation: Invocation,
    /// Where its output goes.
    pub log: PathBuf,
    pub ready: Ready,
}

#[derive(Clone, Debug)]
pub enum Ready {
    /// It prints a line with its origin once it accepts connections.
    Announced,
    /// It says nothing; this origin answers once it accepts connections.
    Answers(Url),
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Child,
    origin: Url,
}

impl Process {
    /// Starts it and waits until it serves.
    pub async fn start(launch: Launch) -> Self {
        let child = spawn(&launch);
        let mut process = Self {
            origin: Url::parse("http://0.0.0.0").unwrap(),
            launch,
            child,
        };
        process.origin = process.wait_until_ready().await;
        process
    }

    /// `http://127.0.0.1:<port>/`
    pub fn origin(&self) -> &Url {
        &self.origin
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far, of all its lives.
    pub fn log(&self) -> String {
        read(&self.launch.log)
    }

    /// Ends it the way a power cut does, as far as a process can tell.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited().await
    }

    /// Asks it to end if it still runs, and waits no longer than this: for one that must clean up
    /// after itself before it is dropped.
    pub fn try_end(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        while let Ok(None) = self.child.try_wait()
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it ends by itself.
    pub async fn exited(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "does not end: `{}`",
                self.launch.invocation
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it again after its end; `launch` says how, for a start that differs from the last.
    pub async fn start_again(&mut self, launch: Launch) {
        assert!(
            self.child.try_wait().unwrap().is_some(),
            "still runs: kill or stop it first"
        );
        self.launch = launch;
        self.child = spawn(&self.launch);
        self.origin = self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) -> Url {
        let deadline = Instant::now() + PATIENCE;
        let before = self.log().len();
        loop {
            let found = match &self.launch.ready {
                Ready::Announced => announced(self.log().get(before..).unwrap_or_default()),
                Ready::Answers(origin) => answers(origin).await.then(|| origin.clone()),
            };
            if let Some(origin) = found {
                return origin;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "`{}` ended at its start with {status}:\n{}",
                    self.launch.invocation,
                    self.log()
                );
            }
            assert!(
                Instant::now() < deadline,
                "`{}` did not get ready:\n{}",
                self.launch.invocation,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of `{}`\n{}", self.launch.invocation, self.log());
        }
    }
}

fn spawn(launch: &Launch) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(&launch.log)
        .unwrap();
    launch
        .invocation
        .command()
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", launch.invocation))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The origin in a whole line that says so: `… http://127.0.0.1:40123`.
fn announced(log: &str) -> Option<Url> {
    let (lines, _) = log.rsplit_once('\n')?;
    lines
        .lines()
        .filter(|line| line.to_lowercase().contains("ready"))
        .flat_map(|line| line.split([' ', '"', ',']))
        .find(|word| word.starts_with("http://") || word.starts_with("https://"))
        .and_then(|word| Url::parse(word.trim_end_matches('.')).ok())
}

async fn answers(origin: &Url) -> bool {
    let address = format!(
        "{}:{}",
        origin.host_str().unwrap(),
        origin.port_or_known_default().unwrap()
    );
    tokio::net::TcpStream::connect(address).await.is_ok()
}
