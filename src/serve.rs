//! `auth serve` and `registry serve`: each server by itself, from its own configuration. And what
//! every start has in common: logs, health, metrics, listeners, the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auth_server::config::Settings as AuthSettings;
use registry_server::config::{Configuration as RegistryConfiguration, Net};
use secrecy::{ExposeSecret as _, SecretString};
use service::config::{Source, Warning};
use service::health::{Check, Health};
use service::metrics::{HttpMetrics, Metrics};
use service::server::{Address, Listener, Server, ServerOptions, Tls, TlsSettings};
use service::shutdown::{Reload, Shutdown, listen_to_signals};
use service::telemetry::{self, Format, Level};

use crate::failure::Failure;
use crate::{memory, output};

/// Where `registry serve` looks when no file is named, as distribution's images do.
const REGISTRY_FILES: [&str; 2] = [
    "/etc/distribution/config.yml",
    "/etc/docker/registry/config.yml",
];

/// Settings of the registry that may come from a file of their own, and that no error shows.
const REGISTRY_SECRETS: [&str; 2] = ["database.url", "http.secret"];

/// `auth serve`
pub async fn auth(file: Option<&Path>) -> Result<(), Failure> {
    let (settings, warnings) = AuthSettings::load(file).map_err(Failure::usage)?;
    let host = Host::start(
        settings.log.level,
        settings.log.formatter,
        BTreeMap::new(),
        &warnings,
    )?;
    let http = settings.http.clone();
    let tls = load_tls(http.tls.as_ref().map(TlsSettings::from))?;
    let clock = auth_server::clock::Clock::system();
    let application = auth_server::Application::build(settings, clock).await?;
    show_generated_password("admin", application.generated_password())?;
    let health = host.watch(application.health());
    application.register_metrics(&host.metrics);
    application.spawn_jobs(&host.shutdown);

    let (routes, probes) = (application.configure(), health.routes());
    let main = Listener::new("auth", http.addr.get().clone(), move |config| {
        probes(config);
        routes(config);
    })
    .tls(tls);
    let debug = http.debug.addr.as_ref().map(|address| {
        let prometheus = &http.debug.prometheus;
        let path = prometheus.enabled.then_some(prometheus.path.as_str());
        host.debug_listener(address.get().clone(), &health, path)
    });
    let options = ServerOptions {
        drain_time: http.draintimeout.get(),
        trusted_proxies: http.proxies(),
        metrics: Some(HttpMetrics::register(&host.metrics, "auth")),
        reload: host.reload.clone(),
        ..ServerOptions::default()
    };
    let server = Server::bind(options, [main].into_iter().chain(debug).collect())?;
    announce("The auth-server", &server)?;
    server.run(&host.shutdown).await?;
    application.close().await;
    Ok(())
}

/// `registry serve`
pub async fn registry(file: Option<&Path>) -> Result<(), Failure> {
    let (configuration, settings, warnings) = registry_settings(registry_source(file))?;
    let log = &configuration.log;
    let host = Host::start(log.level, log.formatter, log.fields.clone(), &warnings)?;
    let http = &configuration.http;
    let tls = load_tls(http.tls.as_ref().map(TlsSettings::from))?;
    let clock = registry_server::Clock::system();
    let application = registry_server::Application::build(settings, clock).await?;
    show_generated_password(
        registry_server::FIRST_USER,
        application.generated_password(),
    )?;
    application.register_metrics(&host.metrics);
    let health = host.watch(application.health());
    application.spawn_jobs(&host.shutdown, &host.reload);

    let address = match http.net {
        Net::Tcp => Address::Tcp(http.addr.clone()),
        Net::Unix => Address::Unix(PathBuf::from(&http.addr)),
    };
    let (routes, probes) = (application.configure(), health.routes());
    let main = Listener::new("registry", address, move |config| {
        probes(config);
        routes(config);
    })
    .tls(tls)
    .h2c(http.h2c.enabled)
    .access_log(!log.accesslog.disabled);
    let debug = host.registry_debug_listener(&http.debug, &health);
    let options = ServerOptions {
        drain_time: http.draintimeout.get(),
        trusted_proxies: http.trustedproxies.clone(),
        metrics: Some(HttpMetrics::register(&host.metrics, "registry")),
        reload: host.reload.clone(),
        ..ServerOptions::default()
    };
    let server = Server::bind(options, [main].into_iter().chain(debug).collect())?;
    announce("The registry", &server)?;
    server.run(&host.shutdown).await?;
    application.close().await;
    Ok(())
}

/// The configuration of a registry, read and checked as a whole.
pub fn registry_settings(
    source: Source,
) -> Result<
    (
        RegistryConfiguration,
        registry_server::config::Settings,
        Vec<Warning>,
    ),
    Failure,
> {
    let (configuration, warnings) =
        service::config::load::<RegistryConfiguration>(&with_registry_secrets(source))
            .map_err(Failure::usage)?;
    let settings =
        registry_server::config::Settings::new(&configuration).map_err(Failure::usage)?;
    Ok((configuration, settings, warnings))
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

fn load_tls(settings: Option<TlsSettings>) -> Result<Option<Tls>, Failure> {
    settings
        .map(|settings| Tls::load(&settings))
        .transpose()
        .map_err(Failure::usage)
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

/// Tells people, and scripts that wait for it, that connections are accepted, and where.
pub fn announce(what: &str, server: &Server) -> Result<(), Failure> {
    if let Some(bound) = server.bound().first() {
        let scheme = if bound.tls { "https" } else { "http" };
        output::line(&format!("{what} is ready: {scheme}://{}", bound.address))?;
    }
    Ok(())
}

/// What a process has once, however many servers it runs.
pub struct Host {
    pub shutdown: Shutdown,
    pub reload: Reload,
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
        telemetry::init(level, format, fields)?;
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
            metrics: Metrics::new(),
        })
    }

    pub fn watch(&self, checks: Vec<Check>) -> Health {
        Health::start(checks, &self.shutdown)
    }

    /// The listener for operators that a registry's configuration asks for.
    pub fn registry_debug_listener(
        &self,
        debug: &registry_server::config::Debug,
        health: &Health,
    ) -> Option<Listener> {
        let address = debug.addr.clone()?;
        let prometheus = &debug.prometheus;
        let path = prometheus.enabled.then_some(prometheus.path.as_str());
        Some(self.debug_listener(Address::Tcp(address), health, path))
    }

    /// The listener for operators: `/debug/health`, and metrics if they are switched on.
    fn debug_listener(
        &self,
        address: Address,
        health: &Health,
        metrics_path: Option<&str>,
    ) -> Listener {
        let health = health.debug_routes();
        let metrics = metrics_path.map(|path| self.metrics.routes(path));
        Listener::new("debug", address, move |config| {
            health(config);
            if let Some(metrics) = &metrics {
                metrics(config);
            }
        })
        .access_log(false)
    }
}
