//! `auth serve` and `registry serve`: each server by itself, from its own configuration. And what
//! every start has in common: logs, health, metrics, listeners, the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use auth_server::config::Settings as AuthSettings;
use database::DatabaseUrl;
use registry_server::config::{
    Configuration as RegistryConfiguration, Net, Settings as RegistrySettings,
};
use secrecy::{ExposeSecret as _, SecretString};
use service::config::{Source, Values, Warning};
use service::health::{Check, Health};
use service::metrics::{HttpMetrics, Metrics};
use service::occupancy::{Occupancy, Occupant};
use service::server::{
    AccessLog, Address, DebugSettings, Listener, Server, ServerOptions, Tls, TlsSettings,
};
use service::shutdown::{Reload, Shutdown, listen_to_signals};
use service::telemetry::{self, Format, Level, LogLevel, Traces};

use crate::failure::Failure;
use crate::reload::{self, Followed};
use crate::{memory, output, supervisor};

/// Where `registry serve` looks when no file is named, as distribution's images do.
const REGISTRY_FILES: [&str; 2] = [
    "/etc/distribution/config.yml",
    "/etc/docker/registry/config.yml",
];

/// Settings of the registry that may come from a file of their own, and that no error shows.
const REGISTRY_SECRETS: [&str; 2] = ["database.url", "http.secret"];

/// `auth serve`
pub async fn auth(file: Option<&Path>) -> Result<(), Failure> {
    let (settings, warnings, values) = auth_settings(file)?;
    let host = Host::start(
        settings.log.level,
        settings.log.formatter,
        BTreeMap::new(),
        &warnings,
    )?;
    let http = settings.http.clone();
    let tls = load_tls(http.tls.as_ref())?;
    let clock = auth_server::clock::Clock::system();
    let address = http.addr.get().to_string();
    let _occupancy = occupy(&settings.database_url(), "auth serve", &address)?;
    let application = auth_server::Application::build(settings, clock).await?;
    show_generated_password("admin", application.generated_password())?;
    let health = host.watch(application.health(), false);
    application.register_metrics(&host.metrics);
    application.spawn_jobs(&host.shutdown, &host.reload);

    let (routes, probes) = (application.configure(), health.routes());
    let main = Listener::new("auth", http.addr.get().clone(), move |config| {
        probes(config);
        routes(config);
    })
    .tls(tls);
    let debug = host.debug_listener(&http.debug, &health);
    let options = ServerOptions {
        drain_time: http.draintimeout.get(),
        trusted_proxies: http.proxies(),
        metrics: Some(HttpMetrics::register(&host.metrics, "auth")),
        reload: host.reload.clone(),
        traces: host.traces.clone(),
        ..ServerOptions::default()
    };
    let server = Server::bind(options, [main].into_iter().chain(debug).collect())?;
    let (file, level) = (file.map(Path::to_owned), host.log_level.clone());
    let followed = Followed {
        read: Box::new(move || {
            let (settings, _, values) = auth_settings(file.as_deref())?;
            Ok((settings, values))
        }),
        apply: Box::new(move |settings: AuthSettings| level.set(settings.log.level)),
        live: &auth_server::config::LIVE_SETTINGS,
        values,
    };
    reload::follow(followed, &host.reload, &host.shutdown);
    announce("The auth-server", &server)?;
    server.run(&host.shutdown).await?;
    application.close().await;
    host.flush().await;
    Ok(())
}

/// `registry serve`
pub async fn registry(file: Option<&Path>) -> Result<(), Failure> {
    let RegistryStart {
        configuration,
        settings,
        warnings,
        values,
    } = registry_settings(registry_source(file))?;
    let log = &configuration.log;
    let host = Host::start(log.level, log.formatter, log.fields.clone(), &warnings)?;
    say_unneeded(&configuration);
    let http = &configuration.http;
    let tls = load_tls(http.tls.as_ref())?;
    let clock = registry_server::Clock::system();
    let occupancy = occupy(&settings.database, "registry serve", &http.addr)?;
    let application = registry_server::Application::build(settings, clock, occupancy).await?;
    let application = Arc::new(application);
    show_generated_password(
        registry_server::FIRST_USER,
        application.generated_password(),
    )?;
    application.register_metrics(&host.metrics);
    let health = host.watch(application.health(), configuration.health.strict);
    application.spawn_jobs(&host.shutdown, &host.reload);

    let address = match http.net {
        Net::Tcp => Address::Tcp(http.addr.clone()),
        Net::Unix => Address::Unix(PathBuf::from(&http.addr)),
    };
    let (routes, probes) = (application.configure(&health), health.routes());
    let access_log = AccessLog::new(!log.accesslog.disabled);
    let main = Listener::new("registry", address, move |config| {
        probes(config);
        routes(config);
    })
    .tls(tls)
    .http2(!http.http2.disabled)
    .h2c(http.h2c.enabled)
    .access_log(access_log.clone());
    let debug = host.debug_listener(&http.debug, &health);
    let options = ServerOptions {
        drain_time: http.draintimeout.get(),
        trusted_proxies: http.trustedproxies.clone(),
        blocking_threads: configuration.storage.filesystem.threads(),
        metrics: Some(HttpMetrics::register(&host.metrics, "registry")),
        reload: host.reload.clone(),
        traces: host.traces.clone(),
        ..ServerOptions::default()
    };
    let server = Server::bind(options, [main].into_iter().chain(debug).collect())?;
    let (file, level) = (file.map(Path::to_owned), host.log_level.clone());
    let changed = Arc::clone(&application);
    let followed = Followed {
        read: Box::new(move || {
            let start = registry_settings(registry_source(file.as_deref()))?;
            Ok(((start.configuration, start.settings), start.values))
        }),
        apply: Box::new(move |(configuration, settings)| {
            let log = &configuration.log;
            level.set(log.level);
            access_log.set(!log.accesslog.disabled);
            changed.change(&settings);
        }),
        live: &registry_server::config::LIVE_SETTINGS,
        values,
    };
    reload::follow(followed, &host.reload, &host.shutdown);
    announce("The registry", &server)?;
    server.run(&host.shutdown).await?;
    application.close().await;
    host.flush().await;
    Ok(())
}

/// A server on `SQLite` has its database to itself. Before it touches anything.
pub fn occupy(
    database: &DatabaseUrl,
    command: &str,
    address: &str,
) -> Result<Option<Occupancy>, Failure> {
    let DatabaseUrl::Sqlite(file) = database else {
        return Ok(None);
    };
    let now = registry_server::Clock::system().now();
    let occupant = Occupant::this(&format!("portcullis {command}"), address, now);
    Ok(Some(Occupancy::take(file, &occupant)?))
}

/// Once, and in passing: many files have these keys.
pub fn say_unneeded(configuration: &RegistryConfiguration) {
    for sentence in configuration.unneeded() {
        tracing::info!("{sentence}");
    }
}

/// The configuration of a registry, read and checked as a whole.
pub struct RegistryStart {
    pub configuration: RegistryConfiguration,
    pub settings: RegistrySettings,
    pub warnings: Vec<Warning>,
    pub values: Values,
}

pub fn registry_settings(source: Source) -> Result<RegistryStart, Failure> {
    let (configuration, warnings, values) =
        service::config::load_comparable(&with_registry_secrets(source)).map_err(Failure::usage)?;
    let settings = RegistrySettings::new(&configuration).map_err(Failure::usage)?;
    Ok(RegistryStart {
        configuration,
        settings,
        warnings,
        values,
    })
}

fn auth_settings(file: Option<&Path>) -> Result<(AuthSettings, Vec<Warning>, Values), Failure> {
    service::config::load_comparable(&AuthSettings::source(file)).map_err(Failure::usage)
}

/// The source, knowing which of its settings are secrets.
pub fn with_registry_secrets(source: Source) -> Source {
    source.secrets(REGISTRY_SECRETS)
}

/// The file that was named, else distribution's usual places; and `REGISTRY_…`.
pub fn registry_source(file: Option<&Path>) -> Source {
    let source = Source::new("REGISTRY");
    let usual = || {
        REGISTRY_FILES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
    };
    match file.or_else(usual) {
        Some(file) => source.file(file),
        None => source,
    }
}

fn load_tls(settings: Option<&TlsSettings>) -> Result<Option<Tls>, Failure> {
    settings.map(Tls::load).transpose().map_err(Failure::usage)
}

/// Shows the password that the first start has made up for a user: now or never. Called before
/// anything else can fail, a port that is taken for example: the next start does not know it.
pub fn show_generated_password(user: &str, password: Option<&SecretString>) -> Result<(), Failure> {
    if let Some(password) = password {
        output::line(&format!(
            "\nThe password of the user {user}, shown this once:\n\n    {}\n",
            password.expose_secret()
        ))?;
    }
    Ok(())
}

/// Tells people, scripts and systemd that connections are accepted, and the former also where.
pub fn announce(what: &str, server: &Server) -> Result<(), Failure> {
    if let Some(bound) = server.bound().first() {
        let scheme = if bound.tls { "https" } else { "http" };
        say(&format!("{what} is ready: {scheme}://{}", bound.address));
    }
    supervisor::ready()
}

/// For people. A server whose output goes to a full disk starts all the same.
pub fn say(sentence: &str) {
    if let Err(error) = output::line(sentence) {
        tracing::warn!(%error, "cannot write to the standard output");
    }
}

/// What a process has once, however many servers it runs.
pub struct Host {
    pub shutdown: Shutdown,
    pub reload: Reload,
    pub log_level: LogLevel,
    pub traces: Option<Traces>,
    pub metrics: Metrics,
}

impl Host {
    /// Starts logging and listens to signals.
    pub fn start(
        level: Level,
        format: Format,
        fields: BTreeMap<String, String>,
        warnings: &[Warning],
    ) -> Result<Self, Failure> {
        let log_level = telemetry::init(level, format, fields)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        tokio::spawn(memory::give_back());
        let shutdown = Shutdown::new();
        let reload = Reload::new();
        listen_to_signals(&shutdown, &reload)?;
        Ok(Self {
            shutdown,
            reload,
            log_level,
            traces: Traces::from_environment().map_err(Failure::usage)?,
            metrics: Metrics::new(),
        })
    }

    /// The last thing to do: sends what is known of the last requests.
    pub async fn flush(&self) {
        if let Some(traces) = self.traces.clone() {
            // It blocks, and whatever becomes of it is in the log.
            let _ = tokio::task::spawn_blocking(move || traces.flush()).await;
        }
    }

    /// `strict`: `/readyz` is to answer 503 while the service is degraded.
    pub fn watch(&self, checks: Vec<Check>, strict: bool) -> Health {
        let health = if strict {
            Health::start_strict(checks, &self.shutdown)
        } else {
            Health::start(checks, &self.shutdown)
        };
        health.register(&self.metrics);
        health
    }

    /// The listener for operators, if one is asked for: `/debug/health`, and metrics if they are
    /// switched on.
    pub fn debug_listener(&self, debug: &DebugSettings, health: &Health) -> Option<Listener> {
        let address = debug.addr.as_ref()?.get().clone();
        let health = health.debug_routes();
        let metrics = debug
            .prometheus
            .path()
            .map(|path| self.metrics.routes(path));
        let listener = Listener::new("debug", address, move |config| {
            health(config);
            if let Some(metrics) = &metrics {
                metrics(config);
            }
        });
        Some(listener.unobserved())
    }
}
