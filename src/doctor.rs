//! `doctor`: finds out what is wrong with a deployment. Reads arguments and configuration, hands
//! them to the crate of the same name, and prints what it finds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueHint};
use doctor::certificate::read_pem;
use doctor::trust::Trust;
use doctor::{Credentials, Finding, Outside, Report, Status, outside};
use serde_json::json;
use url::Url;

use crate::cli::Output;
use crate::failure::Failure;
use crate::{output, password};

/// Find out what is wrong with a deployment, and what to change
///
/// Checks one thing after the other, each on a line: `ok`, `warning`, `failure`, or `skipped` with
/// the reason. Causes come before consequences, and the last line says what to mend first. What is
/// to be changed is named by its setting.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).multiple(true).args(["registry"])),
    after_help = "Exit codes: 0 all is well, 1 something fails, 2 wrong usage, 3 nothing fails but \
        there are warnings."
)]
pub struct Doctor {
    /// The registry as clients see it, such as `https://registry.example.com`; anybody's registry
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub registry: Option<String>,

    /// Log in as this user, and push to a scratch repository (the push is cancelled, nothing stays)
    #[arg(long, value_name = "NAME", requires = "registry")]
    pub user: Option<String>,

    /// Read the user's password or token from standard input (its first line)
    #[arg(long, requires = "user")]
    pub password_stdin: bool,

    /// Trust these authorities too, as clients that have them installed do (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,

    /// The repository to push to, which need not exist [default: USER/portcullis-doctor]
    #[arg(long, value_name = "NAME", requires = "user")]
    pub repository: Option<String>,

    /// This machine is the registry's host: what it cannot reach, the registry cannot
    #[arg(long, requires = "registry")]
    pub from_registry: bool,

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
    let given = match &options.ca_file {
        Some(path) => {
            let file = read_pem(path)
                .map_err(|problem| Failure::usage(format!("{} {problem}", path.display())))?;
            if file.certificates.is_empty() {
                let path = path.display();
                return Err(Failure::usage(format!("{path} holds no certificate")));
            }
            file.certificates
        }
        None => Vec::new(),
    };
    let trust = Trust::system_and(given);
    if let Some(registry) = &options.registry {
        let outside = Outside {
            registry: registry_url(registry)?,
            credentials: credentials(options)?,
            repository: options.repository.clone(),
            trust,
            from_registry: options.from_registry,
            belief: None,
            clock: now,
        };
        outside::examine(&outside, &mut report).await;
    }
    if options.json || options.output == Output::Json {
        output::json(&as_json(&report))?;
    } else {
        print(&report)?;
    }
    Ok(match report.worst() {
        Status::Ok | Status::Skipped => ExitCode::SUCCESS,
        Status::Failure => ExitCode::from(1),
        Status::Warning => ExitCode::from(3),
    })
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

fn as_json(report: &Report) -> serde_json::Value {
    json!({
        "status": report.worst(),
        "checks": report.findings(),
        "first": report.first().map(|finding| &finding.check),
        "summary": summary(report),
    })
}

fn print(report: &Report) -> Result<(), Failure> {
    for finding in report.findings() {
        let (mark, verdict) = (mark(finding), &finding.verdict);
        output::line(&format!("{mark:<7} {}: {}", finding.check, verdict.message))?;
        if let Some(fix) = &verdict.fix {
            output::line(&format!("        → {fix}"))?;
        }
    }
    output::line("")?;
    output::line(&summary(report))?;
    Ok(())
}

fn mark(finding: &Finding) -> &'static str {
    match finding.verdict.status {
        Status::Ok => "ok",
        Status::Skipped => "-",
        Status::Warning => "warning",
        Status::Failure => "FAILURE",
    }
}

/// How many of what, and where to begin.
fn summary(report: &Report) -> String {
    let counted = |status, one: &str, many: &str| match report.count(status) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts: Vec<String> = [
        counted(Status::Failure, "failure", "failures"),
        counted(Status::Warning, "warning", "warnings"),
        Some(format!("{} ok", report.count(Status::Ok))),
        counted(Status::Skipped, "skipped", "skipped"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let counts = parts.join(", ");
    match report.first() {
        None => format!("All is well: {counts}."),
        Some(first) => {
            let fix = first
                .verdict
                .fix
                .as_deref()
                .unwrap_or(&first.verdict.message);
            format!("{counts}. Mend first: {}: {fix}.", first.check)
        }
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
