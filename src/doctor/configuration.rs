//! What of the servers' configuration matters to the doctor. A configuration that is refused is a
//! finding like any other.

use std::path::{Path, PathBuf};

use auth_server::config::Settings as AuthSettings;
use doctor::files::{Obstacle, PATIENCE, patiently, silent};
use doctor::inside::{AuthSide, Pair, RegistrySide, Storage, TokenSide};
use doctor::{Report, Verdict};
use registry_server::config::{
    Access, Configuration, LocationBase, Realm, Settings as RegistrySettings, TokenSettings,
};
use service::config::FilesRead;

use service::server::{CertificateSource, TlsSettings};

use super::Doctor;
use crate::failure::Failure;
use crate::{serve, up};

/// The servers whose configuration was read.
#[derive(Default)]
pub struct Sides {
    pub registry: Option<RegistrySide>,
    pub auth: Option<AuthSide>,
}

/// Reads what was named.
pub fn read(options: &Doctor, report: &mut Report) -> Result<Sides, Failure> {
    if let Some(folder) = &options.data_dir {
        up::require_served(folder)?;
        return Ok(read_folder(folder, report));
    }
    let mut sides = Sides::default();
    if let Some(file) = options.registry_config.clone() {
        sides.registry = taken("registry.config", report, move |files| {
            let source = serve::registry_source(file.as_deref()).noting_files(files);
            let start = serve::registry_settings(source)?;
            Ok(registry_side(&start.configuration, &start.settings))
        });
    }
    if let Some(file) = options.auth_config.clone() {
        sides.auth = taken("auth.config", report, move |files| {
            let settings = auth_settings(file.as_deref(), files)?;
            Ok(auth_side(&settings))
        });
    }
    Ok(sides)
}

/// The folder of `up`, and variables.
fn read_folder(folder: &Path, report: &mut Report) -> Sides {
    let place = folder.to_owned();
    let settings = taken("auth.config", report, move |files| {
        Ok(auth_settings(None, files)?.in_data_folder(&place))
    });
    let Some(settings) = settings else {
        return Sides::default();
    };
    let source = up::registry_source(folder, &settings);
    let registry = taken("registry.config", report, move |files| {
        let start = serve::registry_settings(source.noting_files(files))?;
        Ok(registry_side(&start.configuration, &start.settings))
    });
    Sides {
        registry,
        auth: Some(auth_side(&settings)),
    }
}

fn auth_settings(file: Option<&Path>, files: &FilesRead) -> Result<AuthSettings, Failure> {
    let source = AuthSettings::source(file).noting_files(files);
    let (settings, _) = AuthSettings::from_source(source).map_err(Failure::usage)?;
    Ok(settings)
}

/// What was read, if it is accepted: within bounds of time, and with the file that is the matter.
fn taken<T: Send + 'static>(
    check: &str,
    report: &mut Report,
    read: impl FnOnce(&FilesRead) -> Result<T, Failure> + Send + 'static,
) -> Option<T> {
    let files = FilesRead::default();
    let noted = files.clone();
    let verdict = match patiently(PATIENCE, move || read(&noted)) {
        Some(Ok(settings)) => {
            report.add(check, Verdict::ok("the configuration is accepted"));
            return Some(settings);
        }
        Some(Err(Failure::Usage(problem) | Failure::Failed(problem))) => {
            refused(problem, &files.so_far())
        }
        None => {
            let files = files.so_far();
            silent(files.last().map_or(Path::new("/"), PathBuf::as_path))
        }
    };
    report.add(check, verdict);
    None
}

fn refused(problem: String, files: &[PathBuf]) -> Verdict {
    if let Some(obstacle) = files.iter().find_map(|path| Obstacle::to_reading(path)) {
        return Verdict::failure(format!("{problem}: {obstacle}"), obstacle.fix());
    }
    let fix = "correct what is named there: docs/configuration.md has every setting";
    Verdict::failure(problem, fix)
}

fn registry_side(configuration: &Configuration, settings: &RegistrySettings) -> RegistrySide {
    let http = &configuration.http;
    let tokens = match &settings.access {
        Access::Tokens(tokens) => Some(token_side(tokens)),
        _ => None,
    };
    RegistrySide {
        tokens,
        tls: http.tls.as_ref().and_then(tls_pair),
        serves_https: http.tls.is_some(),
        storage: Storage {
            folder: settings.storage_root.clone(),
            read_only: settings.rules.read_only,
        },
        database: settings.database.clone(),
        schema: registry_server::schema(),
        host: http.host.clone(),
        location_from_request: settings.web.location == LocationBase::FromRequest,
        trusts_proxies: !http.trustedproxies.is_empty(),
    }
}

fn token_side(tokens: &TokenSettings) -> TokenSide {
    TokenSide {
        realm: match &tokens.realm {
            Realm::Fixed(realm) => Some(realm.clone()),
            Realm::SameHost(_) => None,
        },
        service: tokens.service.clone(),
        issuer: tokens.issuer.clone(),
        bundle: tokens.bundle.clone(),
        jwks: tokens.jwks.clone(),
        algorithms: tokens.algorithms.clone(),
    }
}

fn auth_side(settings: &AuthSettings) -> AuthSide {
    let bundle = settings.bundle_path();
    let keys = &settings.keys;
    let folder = match (&keys.encryptionkey, &keys.path) {
        // Private keys are in the database; the folder has the bundle at most.
        (Some(_), _) => None,
        (None, Some(path)) => Some(path.clone()),
        (None, None) => bundle.parent().map(Path::to_owned),
    };
    // Without a folder it publishes them by HTTP alone.
    let written = keys.encryptionkey.is_none() || keys.path.is_some() || keys.mounted.is_some();
    AuthSide {
        issuer: settings.token.issuer.as_str().to_owned(),
        services: settings.token.services.iter().map(str::to_owned).collect(),
        mounted: keys
            .mounted
            .as_ref()
            .map(|mounted| pair(&mounted.certificate, &mounted.key)),
        bundle: written.then_some(bundle),
        folder,
        tls: settings.http.tls.as_ref().and_then(tls_pair),
        database: settings.database_url(),
        schema: auth_server::schema(),
    }
}

/// Files that somebody put there; what the server orders by itself is seen from outside.
fn tls_pair(tls: &TlsSettings) -> Option<Pair> {
    match &tls.source {
        CertificateSource::Files { certificate, key } => Some(pair(certificate, key)),
        CertificateSource::LetsEncrypt(_) => None,
    }
}

fn pair(certificate: &Path, key: &Path) -> Pair {
    Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    }
}
