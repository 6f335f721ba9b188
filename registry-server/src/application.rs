//! [`Application`]: the registry as a whole.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::ServiceConfig;
use database::{Database, DatabaseUrl};
use registry_token::{
    KeyLocation, KeyOrigin, KeySource, KeySourceSettings, Verifier, VerifierSettings,
};
use service::health::Check;
use service::shutdown::Shutdown;

use crate::auth::Gatekeeper;
use crate::blob_store::{BlobStore, FilesystemStore};
use crate::clock::Clock;
use crate::config::{Access, Settings, TokenSettings};
use crate::error::StartError;
use crate::http::{self, Site};
use crate::registry::Registry;
use crate::state::State;
use crate::{jobs, metadata};

/// Younger leftovers may belong to a push that is under way.
const SWEEP_GRACE: Duration = Duration::from_hours(1);

/// A registry with its database, its storage and the keys it believes.
#[derive(Debug)]
pub struct Application {
    settings: Settings,
    state: Arc<State>,
    database: Database,
    blobs: Arc<dyn BlobStore>,
    /// Until the job that watches it takes it over.
    keys: Mutex<Option<(KeySource, Arc<Verifier>)>>,
}

impl Application {
    /// Connects, brings the schema up to date, opens the storage, loads the keys.
    pub async fn build(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let database = Database::connect(&settings.database, settings.database_connections).await?;
        database
            .migrate(&metadata::SQLITE_MIGRATIONS, &metadata::POSTGRES_MIGRATIONS)
            .await?;
        if let DatabaseUrl::Sqlite(_) = settings.database {
            // Leases outlive a crash; here nobody else can hold one.
            let mut tx = database.begin().await?;
            metadata::uploads::release_all(&mut tx).await?;
            tx.commit().await?;
        }
        let root = &settings.storage_root;
        let blobs = FilesystemStore::open(root).map_err(|source| StartError::Storage {
            path: root.clone(),
            source,
        })?;
        let blobs: Arc<dyn BlobStore> = Arc::new(blobs);
        let registry = Registry::new(
            database.clone(),
            Arc::clone(&blobs),
            clock.clone(),
            settings.rules.clone(),
        );
        let mut keys = None;
        let (gatekeeper, realm) = match &settings.access {
            Access::Open => (Gatekeeper::open(), None),
            Access::Tokens(tokens) => {
                let origins = KeySourceSettings::new(key_origins(tokens));
                let source = KeySource::load(origins).await?;
                let verifier = Verifier::new(verifier_settings(tokens), source.keys());
                let verifier = Arc::new(verifier);
                keys = Some((source, Arc::clone(&verifier)));
                (
                    Gatekeeper::with_tokens(verifier, tokens.upload_grace),
                    Some((tokens.realm.clone(), tokens.service.clone())),
                )
            }
        };
        let site = Site {
            settings: settings.web.clone(),
            realm,
        };
        let state = State {
            registry: Arc::new(registry),
            gatekeeper,
            clock,
            site,
        };
        Ok(Self {
            settings,
            state: Arc::new(state),
            database,
            blobs,
            keys: Mutex::new(keys),
        })
    }

    /// The routes of the registry API.
    pub fn configure(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
        http::configure(Arc::clone(&self.state))
    }

    /// What the registry cannot do without.
    pub fn health(&self) -> Vec<Check> {
        let database = self.database.clone();
        let mut checks = vec![Check::new("registry database", move || {
            let database = database.clone();
            async move { database.ping().await }
        })];
        if let Some(storage) = self.settings.storage_check {
            let blobs = Arc::clone(&self.blobs);
            let check = Check::new("registry storage", move || {
                let blobs = Arc::clone(&blobs);
                async move { blobs.check().await.map(drop) }
            });
            checks.push(
                check
                    .interval(storage.interval)
                    .threshold(storage.threshold),
            );
        }
        checks
    }

    /// Starts what happens without a request, until `shutdown` begins.
    pub fn spawn_jobs(&self, shutdown: &Shutdown) {
        let keys = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((source, verifier)) = keys {
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = source.run(verifier) => {}
                    () = shutdown.begun() => {}
                }
            });
        }
        if let Some(purging) = self.settings.purging
            && !self.settings.rules.read_only
        {
            let registry = Arc::clone(&self.state.registry);
            let clock = self.state.clock.clone();
            tokio::spawn(jobs::expire_uploads(
                registry,
                clock,
                purging,
                shutdown.clone(),
            ));
        }
    }

    /// Removes what crashes have left behind. For the command line; servers may be running.
    ///
    /// Without `older_than`, uploads have the time that the configuration gives them, and what
    /// nothing speaks of an hour. With it, both have that time.
    pub async fn sweep(
        &self,
        older_than: Option<Duration>,
        dry_run: bool,
    ) -> Result<jobs::SweepReport, jobs::SweepError> {
        let options = jobs::SweepOptions {
            idle_uploads: older_than.unwrap_or(self.settings.upload_age),
            grace: older_than.unwrap_or(SWEEP_GRACE),
            dry_run,
        };
        let State {
            registry, clock, ..
        } = &*self.state;
        jobs::sweep(&self.database, &*self.blobs, registry, clock.now(), options).await
    }

    /// Closes the database, so that nothing is left to be recovered.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

fn verifier_settings(tokens: &TokenSettings) -> VerifierSettings {
    let mut settings = VerifierSettings::new(&tokens.issuer, &tokens.service);
    settings.algorithms.clone_from(&tokens.algorithms);
    settings
}

fn key_origins(tokens: &TokenSettings) -> Vec<KeyOrigin> {
    let bundle = tokens.bundle.iter().map(|path| KeyOrigin {
        location: KeyLocation::Bundle(path.clone()),
        setting: "auth.token.rootcertbundle".to_owned(),
        may_appear_later: false,
    });
    let jwks = tokens.jwks.iter().map(|location| KeyOrigin {
        location: location.clone(),
        setting: "auth.token.jwks".to_owned(),
        may_appear_later: false,
    });
    bundle.chain(jwks).collect()
}
