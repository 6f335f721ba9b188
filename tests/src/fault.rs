//! System calls of a running process that fail, as with a disk that does.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// As long as this lives.
#[derive(Debug)]
pub struct Fault(Child);

impl Fault {
    /// Has a call fail on these files, in all threads.
    pub fn inject(process: u32, call: &str, error: &str, paths: &[PathBuf]) -> Self {
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-o", "/dev/null", "-p", &process.to_string()])
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error={error}")]);
        for path in paths {
            strace.arg("-P").arg(path);
        }
        let mut child = strace
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "strace has ended");
        }
        // It goes on talking, of each thread that begins.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(child)
    }
}

impl Drop for Fault {
    /// The process goes on by itself, with calls that work.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
