//! This machine as a test may change it: what is written below `/etc`, `/var` and `/run` is gone
//! afterwards, and the network consists of a loopback with all ports free.
//!
//! For what documents say to type as root, and for configurations as they are shipped, with the
//! paths and ports that are in them. Needs root, as the Docker engine of the environment does.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Invocation, Launch, Process, Ready};

/// Runs first inside of it, then stays until its input ends, which it does with the test, however
/// that ends. It takes along whatever runs in there.
const SET_UP: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1"
for folder in etc var; do
    mkdir -p "$1/$folder/new" "$1/$folder/work"
    mount -t overlay overlay \
        -o "lowerdir=/$folder,upperdir=$1/$folder/new,workdir=$1/$folder/work" "/$folder"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
ip link set lo up
touch "$2"
exec cat
"#;

/// Ended when dropped, with all that was started in it.
#[derive(Debug)]
pub struct Sandbox {
    holder: Child,
    /// The first process inside.
    inside: String,
    variables: Vec<(String, String)>,
    folder: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layers = folder.path().join("layers");
        std::fs::create_dir(&layers).unwrap();
        let ready = folder.path().join("ready");
        let mut holder = Invocation::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["bash", "-c", SET_UP, "sandbox"])
            .arg(&layers)
            .arg(&ready)
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ready.exists() {
            let ended = holder.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the sandbox does not get ready: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let children = Invocation::new("pgrep")
            .args(["--parent", &holder.id().to_string()])
            .run()
            .expect_success();
        Self {
            holder,
            inside: children.stdout.trim().to_owned(),
            variables: vec![("HOME".to_owned(), "/root".to_owned())],
            folder,
        }
    }

    /// A variable of everything that is run from now on.
    pub fn set(&mut self, name: &str, value: impl AsRef<Path>) {
        let value = value.as_ref().to_str().unwrap().to_owned();
        self.variables.push((name.to_owned(), value));
    }

    /// A folder that both sides see.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same program inside, in this folder.
    pub fn enter(&self, folder: &Path, command: &[&str]) -> Invocation {
        let enter = Invocation::new("nsenter")
            .args(["--target", &self.inside, "--mount", "--net", "--pid"])
            .arg(format!("--wd={}", folder.display()))
            .args(command);
        let variables = self.variables.iter();
        variables.fold(enter, |enter, (name, value)| enter.env(name, value))
    }

    /// Lines of shell, up to the first that fails.
    pub fn shell(&self, folder: &Path, script: &str) -> Invocation {
        self.enter(folder, &["bash", "-euo", "pipefail", "-c", script])
    }

    /// A server that tells when it is ready.
    pub async fn serve(&self, name: &str, command: &[&str]) -> Process {
        Process::start(Launch {
            invocation: self.enter(self.folder.path(), command),
            log: self.folder.path().join(format!("{name}.log")),
            ready: Ready::Announced,
        })
        .await
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
