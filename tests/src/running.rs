//! [`Running`]: a program that goes on beside a test, listened to and spoken to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::Invocation;

/// Longer than any answer takes, on a machine that runs other tests beside.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that goes on; killed at the end.
#[derive(Debug)]
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Its lines as they come.
    pub fn start(invocation: &Invocation) -> (Self, Receiver<String>) {
        let mut child = invocation
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        (Self(child), lines)
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// A session with a `PostgreSQL` database in which these statements have been run.
    pub fn psql(database: &str, statements: &str) -> Self {
        let psql = Invocation::new("psql").args(["--no-psqlrc", "--quiet", database]);
        let (mut session, answers) = Self::start(&psql);
        session.say(statements);
        session.say("\\echo done");
        while !answers.recv_timeout(PATIENCE).unwrap().contains("done") {}
        session
    }

    /// `strace` at work on a process, with these arguments besides: what it injects takes effect from
    /// now on.
    pub fn strace(process: u32, arguments: &str) -> Self {
        let script = format!("exec strace --follow-forks --attach={process} {arguments} 2>&1");
        let (strace, lines) = Self::start(&Invocation::new("bash").args(["-c", &script]));
        while !lines.recv_timeout(PATIENCE).unwrap().contains("attached") {}
        std::thread::spawn(move || while lines.recv().is_ok() {});
        strace
    }
}
