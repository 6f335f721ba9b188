//! What of the servers' configuration matters to the doctor. A configuration that is refused is a
//! finding like any other.

use std::path::Path;

use auth_server::config::Settings as AuthSettings;
use doctor::inside::{AuthSide, Pair, RegistrySide, TokenSide};
use doctor::{Report, Verdict};
use registry_server::config::{
    Access, Configuration, LocationBase, Realm, Settings as RegistrySettings, TokenSettings,
};

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
        let auth = up::auth_settings(folder).map(|(settings, _)| settings);
        let source = auth
            .as_ref()
            .ok()
            .map(|auth| up::registry_source(folder, auth));
        let registry = source.map(serve::registry_settings);
        return Ok(Sides {
            auth: taken("auth.config", auth, report).map(|auth| auth_side(&auth)),
            registry: registry
                .and_then(|registry| taken("registry.config", registry, report))
                .map(|start| registry_side(&start.configuration, &start.settings)),
        });
    }
    let mut sides = Sides::default();
    if let Some(file) = &options.registry_config {
        let read = serve::registry_settings(serve::registry_source(file.as_deref()));
        sides.registry = taken("registry.config", read, report)
            .map(|start| registry_side(&start.configuration, &start.settings));
    }
    if let Some(file) = &options.auth_config {
        let read = AuthSettings::load(file.as_deref()).map_err(Failure::usage);
        sides.auth = taken("auth.config", read, report).map(|(settings, _)| auth_side(&settings));
    }
    Ok(sides)
}

fn taken<T>(check: &str, read: Result<T, Failure>, report: &mut Report) -> Option<T> {
    match read {
        Ok(settings) => {
            report.add(check, Verdict::ok("the configuration is accepted"));
            Some(settings)
        }
        Err(Failure::Usage(problem) | Failure::Failed(problem)) => {
            let fix = "correct what is named there: docs/configuration.md has every setting";
            report.add(check, Verdict::failure(problem, fix));
            None
        }
    }
}

fn registry_side(configuration: &Configuration, settings: &RegistrySettings) -> RegistrySide {
    let http = &configuration.http;
    let tokens = match &settings.access {
        Access::Tokens(tokens) => Some(token_side(tokens)),
        _ => None,
    };
    RegistrySide {
        tokens,
        tls: http
            .tls
            .as_ref()
            .map(|tls| pair(&tls.certificate, &tls.key)),
        storage: settings.storage_root.clone(),
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
    AuthSide {
        issuer: settings.token.issuer.as_str().to_owned(),
        services: settings.token.services.iter().map(str::to_owned).collect(),
        mounted: keys
            .mounted
            .as_ref()
            .map(|mounted| pair(&mounted.certificate, &mounted.key)),
        bundle,
        folder,
        tls: settings
            .http
            .tls
            .as_ref()
            .map(|tls| pair(&tls.certificate, &tls.key)),
        database: settings.database_url(),
        schema: auth_server::schema(),
    }
}

fn pair(certificate: &Path, key: &Path) -> Pair {
    Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    }
}
