//! A machine of its own that systemd runs: a container of the test environment's engine, with a network that
//! consists of a loopback.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::content::unique;
use crate::tools::Docker;
use crate::{Invocation, images};

/// Where commands are typed.
const FOLDER: &str = "/usr/src/portcullis";

/// Gone when dropped.
#[derive(Debug)]
pub struct Machine {
    docker: Docker,
    name: String,
    /// Its systemd, as this machine sees it.
    process: String,
}

impl Machine {
    pub fn start() -> Self {
        let (docker, name) = (Docker::new(), unique());
        let image = images::systemd();
        docker.run([
            "run",
            "--detach",
            "--name",
            &name,
            "--network",
            "none",
            // What systemd takes away from units it must have. SYS_RESOURCE it can do without, and not every
            // machine that runs tests has it to give.
            "--cap-add=ALL",
            "--cap-drop=SYS_RESOURCE",
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
            "--security-opt=systempaths=unconfined",
            "--cgroupns=host",
            "--volume=/sys/fs/cgroup:/sys/fs/cgroup",
            "--tmpfs=/run",
            "--tmpfs=/tmp",
            &format!("--workdir={FOLDER}"),
            &image,
        ]);
        let inspected = docker.run(["inspect", "--format", "{{.State.Pid}}", &name]);
        let machine = Self {
            docker,
            name,
            process: inspected.stdout.trim().to_owned(),
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            // Before there is a systemd to ask, it does not wait.
            let state = machine.shell("systemctl is-system-running --wait").run();
            if state.stdout.trim() == "running" {
                return machine;
            }
            assert!(Instant::now() < deadline, "{state}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Lines of shell that root types there, up to the first that fails.
    pub fn shell(&self, script: &str) -> Invocation {
        let shell = ["bash", "-euo", "pipefail", "-c", script];
        let exec = ["exec", &self.name];
        self.docker.command(exec.into_iter().chain(shell))
    }

    /// The same, and it works.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        self.shell(script).run().expect_success().stdout
    }

    /// Copies a file or a folder into it; a relative path is that of a command.
    #[track_caller]
    pub fn copy(&self, from: &Path, to: &str) {
        let to = format!("{}:{}", self.name, Path::new(FOLDER).join(to).display());
        self.docker.run(["cp", from.to_str().unwrap(), &to]);
    }

    /// A program of this machine in the network of that one.
    pub fn reaching(&self, program: Invocation) -> Invocation {
        program.started_by("nsenter", ["--net", "--target", &self.process])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = self.shell("journalctl --no-pager --lines 200").run();
            eprintln!("--- journal of the machine\n{}", journal.stdout);
        }
        let removed = self.docker.command(["rm", "--force", &self.name]).run();
        if !removed.status.success() {
            eprintln!("the machine is not removed: {removed}");
        }
    }
}
