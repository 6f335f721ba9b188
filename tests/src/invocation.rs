//! Running a program to its end, with failures that can be read.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// A program about to run, in an environment that holds only what the test gives it.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    input: Vec<u8>,
}

impl Invocation {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut invocation = Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            input: Vec::new(),
        };
        // `HOME` and settings of the person who runs the tests stay out.
        for name in ["PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                invocation = invocation.env(name, value);
            }
        }
        invocation
    }

    /// The program under test: `PORTCULLIS_BIN`, or what `cargo build` put beside this test.
    pub fn portcullis() -> Self {
        Self::new(portcullis_binary())
    }

    /// What is run: its name, or its path.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What the program reads from its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// The same, started by another program that takes it behind its own arguments.
    #[must_use]
    pub fn started_by<S: AsRef<OsStr>>(
        mut self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let started = std::mem::replace(&mut self.program, program.into());
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        let before: Vec<OsString> = arguments.chain([started]).collect();
        self.arguments.splice(0..0, before);
        self
    }

    /// The same, at a time that is this much later: `10m`, `9d`.
    #[must_use]
    pub fn later(self, offset: &str) -> Self {
        self.shifted(&format!("+{offset}"))
    }

    /// The same, at a time that is this much later or earlier: `+10m`, `-3600`.
    #[must_use]
    pub fn shifted(self, offset: &str) -> Self {
        // What the command `faketime` does, without its process around: that would leave the program
        // behind when it is killed. The loader puts the machine's folder in the place of `$LIB`.
        self.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
            .env("FAKETIME", offset)
            // What waits must not wait longer.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// The same as another user, who may not be allowed to look where the program is.
    #[must_use]
    pub fn as_user(mut self, id: u32) -> Self {
        const SCRIPT: &str = "exec 3< \"$0\"; user=$1; shift; exec setpriv --reuid=\"$user\" \
                              --regid=\"$user\" --clear-groups /proc/self/fd/3 \"$@\"";
        let program = std::mem::replace(&mut self.program, "bash".into());
        let arguments = ["-c".into(), SCRIPT.into(), program, id.to_string().into()];
        self.arguments.splice(0..0, arguments);
        self
    }

    /// The command, for who wants to start it and go on.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self) -> Finished {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run `{self}`: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input.clone();
        let writer = std::thread::spawn(move || {
            // A program may well end without reading what it is offered.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Finished {
            line: self.to_string(),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        for argument in &self.arguments {
            write!(f, " {}", argument.to_string_lossy())?;
        }
        Ok(())
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Finished {
    line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    #[track_caller]
    pub fn expect_failure(self) -> Self {
        assert!(!self.status.success(), "should have failed: {self}");
        self
    }

    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// Checks that all of it appears in what the program said, on either stream.
    #[track_caller]
    pub fn expect_says<'a>(self, parts: impl IntoIterator<Item = &'a str>) -> Self {
        for part in parts {
            assert!(
                self.stdout.contains(part) || self.stderr.contains(part),
                "should say {part:?}: {self}"
            );
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {}\n--- stdout\n{}\n--- stderr\n{}",
            self.line, self.status, self.stdout, self.stderr
        )
    }
}

/// `PORTCULLIS_BIN`, or what `cargo build` put beside this test.
pub fn portcullis_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PORTCULLIS_BIN") {
        return path.into();
    }
    // target/<profile>/deps/<this test>, or target/<profile>/<this program>
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().unwrap();
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap()
    } else {
        folder
    };
    let path = folder.join("portcullis");
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --bin portcullis`, or set PORTCULLIS_BIN",
        path.display()
    );
    path
}
