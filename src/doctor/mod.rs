//! `doctor`: finds out what is wrong with a deployment. Reads arguments, hands what it has read to
//! the crate of the same name, and prints what that finds.
//!
//! [`configuration`]: what of the servers' settings matters. [`shown`]: the report on a terminal.

mod configuration;
mod shown;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueHint};
use doctor::certificate::{Certificate, read_pem};
use doctor::inside::{self, Inside};
use doctor::machine::{self, Machine};
use doctor::token::Belief;
use doctor::trust::Trust;
use doctor::{Credentials, Outside, Report, Status, outside};
use url::Url;

use crate::cli::Output;
use crate::failure::Failure;
use crate::{output, password};

/// Set in our image. There are other marks of containers, which whole machines bear too.
const IN_CONTAINER: &str = "PORTCULLIS_IN_CONTAINER";

/// Find out what is wrong with a deployment, and what to change
///
/// Checks one thing after the other, a line each: `ok`, `warning`, `FAILURE`, or `-` with the reason
/// why it was skipped. Causes come before consequences, and the last line says what to mend first.
/// What is to be changed is named by its setting.
///
/// From outside, with --registry, it looks as clients do: name, port, certificates, challenge, token
/// realm; with --user also at a token, a push and a pull. Any registry will do, with any token server:
/// distribution, GitLab, Docker Hub.
///
/// From inside, on the machine of the servers, it reads their configuration: certificates in the
/// wrong place, names and keys that must be equal on both sides, the storage, the databases.
///
/// Both at once tell most. Nothing is changed: the push is cancelled, though a token server that makes
/// a project for whoever pushes makes one for the scratch repository. No password is shown, and none
/// goes over a connection that is not trusted.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).multiple(true).args([
        "registry", "registry_config", "auth_config", "data_dir",
    ])),
    after_help = "Try it:\n  \
        portcullis doctor --registry https://registry.example.com\n  \
        portcullis doctor --registry https://registry.example.com --user alice\n  \
        portcullis doctor --registry-config registry.yml --auth-config auth.yml\n\n\
        Exit codes: 0 all is well, 1 something fails, 2 wrong usage, 3 nothing fails but there are \
        warnings."
)]
pub struct Doctor {
    /// The registry as clients see it, such as `https://registry.example.com`
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub registry: Option<String>,

    /// Log in as this user, and push to a scratch repository
    #[arg(long, value_name = "NAME", requires = "registry")]
    pub user: Option<String>,

    /// Read the user's password or token from standard input (its first line) instead of asking
    #[arg(long, requires = "user")]
    pub password_stdin: bool,

    /// Trust these authorities too, as clients do that have them installed (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,

    /// The repository to push to, which need not exist [default: USER/portcullis-doctor]
    #[arg(long, value_name = "NAME", requires = "registry")]
    pub repository: Option<String>,

    /// This machine is the registry's host: what it cannot reach, the registry cannot
    #[arg(long, requires = "registry")]
    pub from_registry: bool,

    /// Configuration file of `registry serve`, with `REGISTRY_…` over it; without FILE, the usual
    /// places and the environment
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_hint = ValueHint::FilePath)]
    #[expect(
        clippy::option_option,
        reason = "clap's way to say: an option, perhaps with a value"
    )]
    pub registry_config: Option<Option<PathBuf>>,

    /// Configuration file of `auth serve`, with `AUTH_…` over it; without FILE, the environment
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_hint = ValueHint::FilePath)]
    #[expect(
        clippy::option_option,
        reason = "clap's way to say: an option, perhaps with a value"
    )]
    pub auth_config: Option<Option<PathBuf>>,

    /// The data folder of `portcullis up`, in the place of both configurations
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["registry_config", "auth_config"],
        value_hint = ValueHint::DirPath
    )]
    pub data_dir: Option<PathBuf>,

    /// Where Docker is told about registries
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc/docker/certs.d",
        hide_default_value = true
    )]
    pub docker_certs: PathBuf,

    /// Where containerd is told about registries
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc/containerd/certs.d",
        hide_default_value = true
    )]
    pub containerd_certs: PathBuf,

    /// A line for each check for people, or JSON for scripts
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// The same as `--output json`
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
}

/// `doctor`
pub async fn run(options: &Doctor) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let registry = options.registry.as_deref().map(registry_url).transpose()?;
    let credentials = credentials(options)?;
    let trust = Trust::system_and(authorities(options)?);
    let chain = match &registry {
        Some(registry) => outside::certificates(registry).await,
        None => Vec::new(),
    };
    let belief = look_inside(options, &trust, &chain, &mut report).await?;
    if let Some(registry) = registry {
        let outside = Outside {
            registry: registry.clone(),
            credentials,
            repository: options.repository.clone(),
            trust,
            from_registry: options.from_registry || belief.is_some(),
            belief,
            clock: now,
        };
        outside::examine(&outside, &mut report).await;
        let machine = Machine {
            docker: options.docker_certs.clone(),
            containerd: options.containerd_certs.clone(),
            registry,
            chain,
            now: now(),
        };
        machine::examine(&machine, &mut report);
    }
    if options.json || options.output == Output::Json {
        output::json(&shown::json(&report))?;
    } else {
        shown::print(&report)?;
    }
    Ok(match report.worst() {
        Status::Ok | Status::Skipped => ExitCode::SUCCESS,
        Status::Failure => ExitCode::from(1),
        Status::Warning => ExitCode::from(3),
    })
}

/// What the configurations tell, if there are any to read.
async fn look_inside(
    options: &Doctor,
    trust: &Trust,
    chain: &[Certificate],
    report: &mut Report,
) -> Result<Option<Belief>, Failure> {
    let sides = configuration::read(options, report)?;
    if sides.registry.is_none() && sides.auth.is_none() {
        return Ok(None);
    }
    let served = chain.first().map(|leaf| {
        let place = options.registry.as_deref().unwrap_or_default();
        (format!("shown at {place}"), leaf.clone())
    });
    let inside = Inside {
        registry: sides.registry,
        auth: sides.auth,
        served: served.into_iter().collect(),
        trust: trust.clone(),
        clock: now,
        try_realm: options.registry.is_none(),
        in_container: std::env::var_os(IN_CONTAINER).is_some(),
    };
    Ok(inside::examine(&inside, report).await)
}

fn authorities(options: &Doctor) -> Result<Vec<Certificate>, Failure> {
    let Some(path) = &options.ca_file else {
        return Ok(Vec::new());
    };
    let shown = path.display();
    let file = read_pem(path)
        .map_err(|problem| Failure::usage(format!("--ca-file: {shown} {problem}")))?;
    if file.certificates.is_empty() {
        return Err(Failure::usage(format!(
            "--ca-file: {shown} holds no certificate"
        )));
    }
    Ok(file.certificates)
}

fn now() -> chrono::DateTime<chrono::Utc> {
    auth_server::clock::Clock::system().now()
}

/// A host alone is meant as clients mean it: with TLS, unless it is this machine.
fn registry_url(text: &str) -> Result<Url, Failure> {
    let wrong = |reason: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "--registry {text}: {reason}; expected a URL such as https://registry.example.com"
        ))
    };
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&with_scheme).map_err(|error| wrong(&error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(&"not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage(
            "--registry must hold no password: use --user and --password-stdin",
        ));
    }
    Ok(url)
}

fn credentials(options: &Doctor) -> Result<Option<Credentials>, Failure> {
    let Some(user) = &options.user else {
        return Ok(None);
    };
    Ok(Some(Credentials {
        user: user.clone(),
        password: password::existing(options.password_stdin)?,
    }))
}

#[cfg(test)]
mod tests;
