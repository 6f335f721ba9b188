//! `up`: both servers in one process on one address, with what a laptop has: `SQLite` and a folder.
//!
//! The servers stay strangers to each other here too: the registry reads the certificate bundle
//! that the auth-server has written, and is told the same issuer and service.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use auth_server::config::Settings as AuthSettings;
use service::config::{Source, Warning};
use service::metrics::HttpMetrics;
use service::server::{AccessLog, Address, Listener, Server, ServerOptions};

use crate::cli;
use crate::failure::Failure;
use crate::serve::{self, Host, RegistryStart};
use crate::supervisor;

/// `up`
pub async fn up(options: &cli::Up) -> Result<(), Failure> {
    let folder = &options.data.data_dir;
    let (auth_settings, mut warnings) = auth_settings(folder)?;
    let source = registry_source(folder, &auth_settings);
    let RegistryStart {
        configuration,
        settings: registry_settings,
        warnings: registry_warnings,
        values: _,
    } = serve::registry_settings(source)?;
    warnings.extend(registry_warnings);
    let log = &configuration.log;
    let host = Host::start(log.level, log.formatter, log.fields.clone(), &warnings)?;
    serve::say_unneeded(&configuration);

    let _accounts = serve::occupy(&auth_settings.database_url(), "up", &options.listen)?;
    let records = serve::occupy(&registry_settings.database, "up", &options.listen)?;
    let clock = auth_server::clock::Clock::system();
    let auth = auth_server::Application::build(auth_settings, clock).await?;
    serve::show_generated_password("admin", auth.generated_password())?;
    // After the auth-server: its first start writes the bundle that the registry reads.
    let clock = registry_server::Clock::system();
    let registry =
        match registry_server::Application::build(registry_settings, clock, records).await {
            Ok(registry) => registry,
            Err(error) => {
                auth.close().await;
                return Err(error.into());
            }
        };
    let generated = registry.generated_password();
    serve::show_generated_password(registry_server::FIRST_USER, generated)?;
    registry.register_metrics(&host.metrics);
    let checks = auth.health().into_iter().chain(registry.health()).collect();
    let health = host.watch(checks, configuration.health.strict);
    auth.register_metrics(&host.metrics);
    auth.spawn_jobs(&host.shutdown, &host.reload);
    registry.spawn_jobs(&host.shutdown, &host.reload);

    let (probes, auth_routes, registry_routes) = (
        health.routes(),
        auth.configure(),
        registry.configure(&health),
    );
    let routes = move |config: &mut actix_web::web::ServiceConfig| {
        probes(config);
        registry_routes(config);
        auth_routes(config);
    };
    let listeners = addresses(&options.listen)?.into_iter().map(|address| {
        Listener::new("up", Address::Tcp(address.to_string()), routes.clone())
            .access_log(AccessLog::new(!log.accesslog.disabled))
    });
    let http = &configuration.http;
    let debug = host.debug_listener(&http.debug, &health);
    let server_options = ServerOptions {
        drain_time: http.draintimeout.get(),
        trusted_proxies: http.trustedproxies.clone(),
        blocking_threads: configuration.storage.filesystem.threads(),
        metrics: Some(HttpMetrics::register(&host.metrics, "registry")),
        reload: host.reload.clone(),
        traces: host.traces.clone(),
        ..ServerOptions::default()
    };
    let server = Server::bind(server_options, listeners.chain(debug).collect())?;
    greet(&options.listen, &server)?;
    server.run(&host.shutdown).await?;
    auth.close().await;
    registry.close().await;
    host.flush().await;
    Ok(())
}

/// The auth-server's settings for a data folder; `AUTH_…` override them.
pub fn auth_settings(folder: &Path) -> Result<(AuthSettings, Vec<Warning>), Failure> {
    let (settings, warnings) = AuthSettings::load(None).map_err(Failure::usage)?;
    Ok((settings.in_data_folder(folder), warnings))
}

/// The folder must have been served once: a command in the wrong directory should say so, and not
/// work on an empty database that it has just made.
pub fn require_served(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "there is no data folder {}: start `portcullis up` first, or name another folder with \
         --data-dir, or a configuration file",
        folder.display()
    )))
}

/// The registry's settings for a data folder, as if somebody had written them into variables;
/// the variables that somebody has written override them.
pub fn registry_source(folder: &Path, auth: &AuthSettings) -> Source {
    let bundle = auth.bundle_path();
    let defaults = [
        ("REGISTRY_VERSION", "0.1".to_owned()),
        (
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            folder.display().to_string(),
        ),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true".to_owned()),
        // Who runs this to try something out is to meet the whole specification.
        (
            "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW",
            "['^https?://']".to_owned(),
        ),
        ("REGISTRY_AUTH_TOKEN_AUTOREDIRECT", "true".to_owned()),
        (
            "REGISTRY_AUTH_TOKEN_SERVICE",
            auth.token
                .services
                .iter()
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
        (
            "REGISTRY_AUTH_TOKEN_ISSUER",
            auth.token.issuer.as_str().to_owned(),
        ),
        (
            "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE",
            bundle.display().to_string(),
        ),
    ];
    let defaults = defaults
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .map(|(name, value)| (name.into(), value.into()));
    Source::new("REGISTRY").variables(std::env::vars_os().chain(defaults))
}

/// `localhost` has an address per protocol, and clients try either first: all of them are served.
fn addresses(listen: &str) -> Result<Vec<SocketAddr>, Failure> {
    let with_host = match listen.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => listen.to_owned(),
    };
    let resolved = with_host.to_socket_addrs().map_err(|error| {
        Failure::usage(format!(
            "--listen {listen}: {error}; expected HOST:PORT, such as localhost:5000 or :5000"
        ))
    })?;
    let mut addresses: Vec<SocketAddr> = resolved.collect();
    // A free port is one port, not one for each protocol.
    if addresses.first().is_some_and(|address| address.port() == 0) {
        addresses.truncate(1);
    }
    addresses.dedup();
    Ok(addresses)
}

fn greet(listen: &str, server: &Server) -> Result<(), Failure> {
    // What somebody typed reads better than what it resolved to, and is what `docker login` wants.
    let host = match (listen.strip_prefix(':'), server.bound().first()) {
        (Some(port), _) if port != "0" => format!("localhost:{port}"),
        (_, Some(bound)) if listen.ends_with(":0") => bound.address.to_string(),
        _ => listen.to_owned(),
    };
    serve::say(&format!(
        "Portcullis is ready: http://{host}\nLog in with:         docker login {host} --username admin"
    ));
    supervisor::ready()
}
