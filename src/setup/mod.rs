//! `setup`: makes what a deployment needs and does not have yet, and leaves alone what is there.
//!
//! One folder for each consumer, so that a container can be given its own and nothing else:
//!
//! | folder | holds | for |
//! |---|---|---|
//! | `ca/` | the private authority | this command alone |
//! | `tls/` | certificate and key of the servers, the authority's certificate | the proxy |
//! | `auth/`, `registry/` | database URL; keys and the first password | the servers |
//! | `postgres/` | passwords of the database's users | the database |
//!
//! - [`hosts`]: the names that clients use. [`folder`]: files with their modes.
//! - [`authority`], [`certificate`]: what is made with a signature. [`secrets`]: what is random.

mod authority;
mod certificate;
mod folder;
mod hosts;
mod secrets;

use std::path::PathBuf;

use auth_server::clock::Clock;
use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;

use self::folder::{Entry, Folder, SetupError};
use self::hosts::HostName;
use crate::auth::OutputFormat;
use crate::cli::Output;
use crate::failure::Failure;
use crate::output;

/// Make what a deployment needs and does not have yet: certificates, keys, passwords
///
/// Whatever exists stays as it is, so it can run at every start. A certificate of your own goes
/// into `tls/fullchain.pem` and `tls/privkey.pem`. Those that this command has made are renewed
/// when they end soon or when the host names have changed.
#[derive(Debug, Args)]
pub struct Setup {
    /// The folder to make it in
    #[arg(long, value_name = "DIR", env = "PORTCULLIS_SETUP_DIR", default_value = "/setup",
          value_hint = ValueHint::DirPath)]
    dir: PathBuf,

    /// The name by which clients reach the auth-server
    #[arg(
        long,
        value_name = "NAME",
        env = "PORTCULLIS_AUTH_HOST",
        default_value = "auth.localhost"
    )]
    auth_host: HostName,

    /// The name by which clients reach the registry
    #[arg(
        long,
        value_name = "NAME",
        env = "PORTCULLIS_REGISTRY_HOST",
        default_value = "registry.localhost"
    )]
    registry_host: HostName,

    /// The port by which clients reach both
    #[arg(
        long,
        value_name = "PORT",
        env = "PORTCULLIS_HTTPS_PORT",
        default_value = "443",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    https_port: u16,

    /// Where the servers keep their records
    #[arg(
        long,
        value_enum,
        env = "PORTCULLIS_DATABASE",
        default_value = "postgres"
    )]
    database: Database,

    #[command(flatten)]
    format: OutputFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Database {
    /// A server that is called `postgres`
    Postgres,
    /// A file beside the data of each server
    Sqlite,
}

/// What is there now, and what to do with it.
#[derive(Debug, Serialize)]
struct Report {
    files: Vec<Entry>,
    warnings: Vec<String>,
    next: Vec<Step>,
}

/// What somebody may want to do now.
#[derive(Debug, Serialize)]
struct Step {
    purpose: &'static str,
    text: String,
}

/// `setup`
pub fn run(setup: &Setup) -> Result<(), Failure> {
    if setup.auth_host == setup.registry_host {
        return Err(Failure::usage(format!(
            "the auth-server and the registry are both called {}: each needs a host name of its own",
            setup.auth_host
        )));
    }
    let report = prepare(setup, &Clock::system())?;
    match setup.format.output {
        Output::Json => output::json(&report)?,
        Output::Table => show(&report)?,
    }
    Ok(())
}

fn prepare(setup: &Setup, clock: &Clock) -> Result<Report, SetupError> {
    let hosts = [setup.auth_host.clone(), setup.registry_host.clone()];
    let mut folder = Folder::open(&setup.dir)?;
    let warnings = certificate::ensure(&mut folder, &hosts, clock)?;
    secrets::ensure(&mut folder, setup.database, clock)?;
    let next = next_steps(setup, &folder);
    Ok(Report {
        files: folder.into_entries(),
        warnings,
        next,
    })
}

fn next_steps(setup: &Setup, folder: &Folder) -> Vec<Step> {
    let registry = match setup.https_port {
        443 => setup.registry_host.to_string(),
        port => format!("{}:{port}", setup.registry_host),
    };
    let step = |purpose, text| Step { purpose, text };
    let mut steps = vec![
        step(
            "see the first password of admin",
            format!("read {}", folder.path(secrets::ADMIN_PASSWORD).display()),
        ),
        step(
            "log in",
            format!("docker login {registry} --username admin"),
        ),
    ];
    if folder.holds(certificate::AUTHORITY) {
        steps.push(step(
            "let a client trust the authority",
            format!(
                "copy {} to /etc/docker/certs.d/{registry}/ca.crt",
                folder.path(certificate::AUTHORITY).display()
            ),
        ));
    }
    steps
}

fn show(report: &Report) -> Result<(), Failure> {
    output::table(
        ["FILE", "STATE", "WHAT IT IS"],
        report.files.iter().map(Entry::cells),
    )?;
    output::line("")?;
    output::table(
        [],
        report
            .next
            .iter()
            .map(|step| vec![format!("To {}:", step.purpose), step.text.clone()]),
    )?;
    for warning in &report.warnings {
        output::note(&format!("warning: {warning}"))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
