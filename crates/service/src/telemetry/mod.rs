//! Logs: text for people, JSON for collectors, to standard error. And [`Traces`], for who asks.
//!
//! Every line about a request carries its id, also from code that knows nothing of requests. What
//! must not be logged (passwords, tokens, `Authorization`) is not there to be logged: it lives in
//! `secrecy` types, and the access log names paths without their query.

mod format;
mod traces;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::{panic, thread};

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, reload};

pub(crate) use self::traces::{Told, Traced};
pub use self::traces::{Traces, TracesError};

/// How much is logged, by distribution's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    #[serde(alias = "warning")]
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One object per line, with `time`, `level` and `msg`.
    Json,
}

/// Libraries that say more than an operator wants to know, and from which level we let them speak.
const QUIET: [&str; 9] = [
    "actix_http",
    "actix_server",
    "actix_web",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "sqlx",
];

/// Changes the level while the process runs.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<Targets, Registry>);

impl LogLevel {
    /// Logs at this level from now on.
    pub fn set(&self, level: Level) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::error!(%error, "the log level cannot be changed");
        }
    }
}

/// Logging is set up already, by us or by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logging is set up already")]
pub struct AlreadyInitialized;

/// Starts logging for the whole process; `fields` go into every line (distribution's
/// `log.fields`). Panics are logged too, each as one line.
pub fn init(
    level: Level,
    format: Format,
    fields: BTreeMap<String, String>,
) -> Result<LogLevel, AlreadyInitialized> {
    let (filter, handle) = reload::Layer::new(filter(level));
    let registry = tracing_subscriber::registry();
    let layer = fmt::layer().with_writer(io::stderr);
    match format {
        Format::Text => {
            let terminal = io::stderr().is_terminal();
            let colours = terminal && std::env::var_os("NO_COLOR").is_none();
            let layer = layer
                .with_ansi(colours)
                .event_format(format::Text { terminal, fields });
            registry.with(layer.with_filter(filter)).try_init()
        }
        Format::Json => registry
            .with(
                layer
                    .event_format(format::Json { fields })
                    .with_filter(filter),
            )
            .try_init(),
    }
    .map_err(|_| AlreadyInitialized)?;
    panic::set_hook(Box::new(log_panic));
    Ok(LogLevel(handle))
}

/// The standard hook prints several lines past the log, which no collector puts together again.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a message");
    let backtrace = Backtrace::capture();
    tracing::error!(
        panic = message,
        location = panic.location().map(tracing::field::display),
        thread = thread::current().name(),
        backtrace = (backtrace.status() == BacktraceStatus::Captured)
            .then(|| tracing::field::display(&backtrace)),
        "defect: the program panicked"
    );
}

fn filter(level: Level) -> Targets {
    let own = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let libraries = match level {
        // Whoever asks for everything means it.
        Level::Trace => LevelFilter::DEBUG,
        Level::Error => LevelFilter::ERROR,
        Level::Warn | Level::Info | Level::Debug => LevelFilter::WARN,
    };
    // A client that speaks TLS to a port without it, as every registry client does first, is no
    // error of ours.
    let malformed_requests = match level {
        Level::Trace => LevelFilter::DEBUG,
        Level::Error | Level::Warn | Level::Info | Level::Debug => LevelFilter::OFF,
    };
    Targets::new()
        .with_default(own)
        .with_targets(QUIET.map(|target| (target, libraries)))
        .with_target("actix_http::h1", malformed_requests)
}
