//! [`Application`]: the registry as a whole.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::ServiceConfig;
use database::Database;
use registry_token::{
    KeyLocation, KeyOrigin, KeySource, KeySourceSettings, TrustedKeys, Verifier, VerifierSettings,
};
use secrecy::SecretString;
use service::health::{Check, Health};
use service::metrics::Metrics;
use service::occupancy::Occupancy;
use service::shutdown::{Reload, Shutdown};

use crate::auth::{Gatekeeper, Passwords};
use crate::blob_store::{BlobStore, FilesystemStore, MeasuredStore, StorageIdentity};
use crate::clock::Clock;
use crate::config::{Access, Settings, TokenSettings};
use crate::error::StartError;
use crate::http::{self, Door, Site};
use crate::identity::{IdentityError, Standing};
use crate::metrics::StorageMetrics;
use crate::registry::Registry;
use crate::state::State;
use crate::{checks, jobs, metadata};

/// Younger leftovers may belong to a push that is under way.
const SWEEP_GRACE: Duration = Duration::from_hours(1);

/// A registry with its database, its storage and the keys it believes.
#[derive(Debug)]
pub struct Application {
    settings: Settings,
    state: Arc<State>,
    database: Database,
    blobs: Arc<dyn BlobStore>,
    metrics: StorageMetrics,
    /// Until the job that watches it takes it over.
    keys: Mutex<Option<(KeySource, Arc<Verifier>)>>,
    passwords: Option<Passwords>,
    generated_password: Option<SecretString>,
    /// Held to the end.
    occupancy: Option<Occupancy>,
}

impl Application {
    /// For a server: connects, brings the schema up to date, opens the storage, loads the keys.
    ///
    /// Who has `occupancy` of the database is its only server.
    pub async fn build(
        settings: Settings,
        clock: Clock,
        occupancy: Option<Occupancy>,
    ) -> Result<Self, StartError> {
        let mut application = Self::open(settings, clock).await?;
        application.occupancy = occupancy;
        if let Err(error) = application.prepare().await {
            // Nothing is left beside the file that would be taken for a part of the right one.
            application.close().await;
            return Err(error);
        }
        Ok(application)
    }

    async fn prepare(&self) -> Result<(), StartError> {
        self.meet_storage().await?;
        if self.occupancy.is_some() {
            // Leases outlive a crash; here nobody else can hold one.
            self.release_leases().await?;
        }
        Ok(())
    }

    /// For a command beside a server that may be running.
    pub async fn beside(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        Self::open(settings, clock).await
    }

    /// Those of servers that have ended. Where that cannot be written, they run out by themselves.
    async fn release_leases(&self) -> Result<(), database::Error> {
        let released = async {
            let mut tx = self.database.begin().await?;
            metadata::uploads::release_all(&mut tx).await?;
            tx.commit().await
        };
        match released.await {
            Err(error) if error.is_about_writing() => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the registry starts, and takes no pushes");
                Ok(())
            }
            released => released,
        }
    }

    /// Makes sure that storage and database belong together.
    async fn meet_storage(&self) -> Result<(), StartError> {
        let registry = &self.state.registry;
        match registry.standing(false).await? {
            Standing::Together { .. } if registry.rules().read_only => {}
            Standing::Together { .. } => registry.expect_content().await?,
            Standing::DatabaseOlder { storage, database } => tracing::warn!(
                storage,
                database,
                "the database is an older copy: it does not know of everything that was pushed. Nothing is \
                 removed from the storage until the latest database is restored, or \
                 `portcullis registry adopt-storage` says that what is missing may go"
            ),
        }
        Ok(())
    }

    async fn open(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let database = Database::connect(&settings.database, settings.database_connections).await?;
        database
            .migrate(&metadata::SQLITE_MIGRATIONS, &metadata::POSTGRES_MIGRATIONS)
            .await?;
        database.require_integrity().await?;
        let root = &settings.storage_root;
        let blobs = FilesystemStore::open(root).map_err(|source| StartError::Storage {
            path: root.clone(),
            source,
        })?;
        if blobs.has_foreign_records().await.unwrap_or(false) {
            tracing::warn!(
                storage = %root.display(),
                "the storage holds images of another registry, which are not shown here; nothing \
                 is removed from it. Push them again, to a folder of this registry's own"
            );
        }
        let metrics = StorageMetrics::new("filesystem");
        let blobs = MeasuredStore::new(Arc::new(blobs), metrics.clone());
        let blobs: Arc<dyn BlobStore> = Arc::new(blobs);
        let registry = Registry::new(
            database.clone(),
            Arc::clone(&blobs),
            clock.clone(),
            settings.rules.clone(),
            metrics.clone(),
        );
        let mut keys = None;
        let (mut passwords, mut generated_password) = (None, None);
        let (gatekeeper, door) = match &settings.access {
            Access::Open => (Gatekeeper::open(), Door::Open),
            Access::Passwords(file) => {
                let (opened, generated) = Passwords::open(&file.path, &clock).await?;
                generated_password = generated;
                passwords = Some(opened.clone());
                let realm = file.realm.clone();
                (
                    Gatekeeper::with_passwords(opened),
                    Door::Passwords { realm },
                )
            }
            Access::Tokens(tokens) => {
                let origins = KeySourceSettings::new(key_origins(tokens));
                let source = KeySource::load(origins).await?;
                let verifier = Verifier::new(verifier_settings(tokens), source.keys());
                let verifier = Arc::new(verifier);
                keys = Some((source, Arc::clone(&verifier)));
                (
                    Gatekeeper::with_tokens(verifier, tokens.upload_grace),
                    Door::Tokens {
                        realm: tokens.realm.clone(),
                        service: tokens.service.clone(),
                    },
                )
            }
        };
        let site = Site {
            settings: settings.web.clone(),
            door,
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
            metrics,
            keys: Mutex::new(keys),
            passwords,
            generated_password,
            occupancy: None,
        })
    }

    /// The routes of the registry API.
    ///
    /// While a check fails that stops the service, it answers nothing but that.
    pub fn configure(
        &self,
        health: &Health,
    ) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
        http::configure(Arc::clone(&self.state), health.clone())
    }

    /// Whether there is a key that tokens can be checked with. Those of an issuer that was never
    /// reached are not there.
    fn key_check(&self) -> Option<Check> {
        let verifier = Arc::clone(self.state.gatekeeper.verifier()?);
        Some(Check::new("registry keys", move || {
            let known = verifier.with_keys(TrustedKeys::len) > 0;
            let known = known
                .then_some(())
                .ok_or("there is no key to check tokens with");
            async move { known }
        }))
    }

    /// Adds what is measured of the storage.
    pub fn register_metrics(&self, metrics: &Metrics) {
        metrics.register_collector(self.metrics.clone());
    }

    /// What the registry needs. While it can only be read from, it is degraded, and serves pulls.
    pub fn health(&self) -> Vec<Check> {
        let (database, registry) = (&self.database, &self.state.registry);
        let mut checks = vec![
            checks::database(database),
            checks::database_writing(database, registry),
        ];
        let health = &self.settings.health;
        if let Some(keys) = self.key_check() {
            checks.push(keys);
        }
        checks.extend(checks::configured(health));
        if let Some(storage) = health.storage {
            checks.push(checks::storage(&self.blobs, storage));
            checks.push(checks::storage_writing(&self.blobs, storage, registry));
            checks.push(checks::storage_and_database(registry));
        }
        checks
    }

    /// The password of the user that was put into a file of passwords which was not there.
    #[must_use]
    pub fn generated_password(&self) -> Option<&SecretString> {
        self.generated_password.as_ref()
    }

    /// Starts what happens without a request, until `shutdown` begins. On `reload`, files are read
    /// again at once.
    pub fn spawn_jobs(&self, shutdown: &Shutdown, reload: &Reload) {
        if let Some(passwords) = &self.passwords {
            let (shutdown, reload) = (shutdown.clone(), reload.clone());
            tokio::spawn(passwords.clone().run(shutdown, reload));
        }
        let keys = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((source, verifier)) = keys {
            let shutdown = shutdown.clone();
            let (look_now, mut requests) = (source.look_now(), reload.subscribe());
            let pass_on = async move {
                loop {
                    requests.next().await;
                    look_now.notify_one();
                }
            };
            tokio::spawn(async move {
                tokio::select! {
                    () = source.run(verifier) => {}
                    () = pass_on => {}
                    () = shutdown.begun() => {}
                }
            });
        }
        if let Some(purging) = self.settings.purging {
            let swept = jobs::Swept {
                database: self.database.clone(),
                store: Arc::clone(&self.blobs),
                registry: Arc::clone(&self.state.registry),
                clock: self.state.clock.clone(),
                keep_aside: self.settings.keep_aside,
            };
            tokio::spawn(jobs::sweep_regularly(swept, purging, shutdown.clone()));
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
            keep_aside: self.settings.keep_aside,
            dry_run,
        };
        let State {
            registry, clock, ..
        } = &*self.state;
        jobs::sweep(&self.database, &*self.blobs, registry, clock.now(), options).await
    }

    /// Has the storage and the database go together from now on. For the command line.
    pub async fn adopt_storage(&self) -> Result<StorageIdentity, IdentityError> {
        self.state.registry.adopt_storage().await
    }

    /// Takes over the settings that need no restart: [`LIVE_SETTINGS`](crate::config::LIVE_SETTINGS).
    pub fn change(&self, settings: &Settings) {
        self.state.registry.change_rules(settings.rules.clone());
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

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::{App, test};
    use service::config::{Source, load};
    use service::occupancy::Occupant;

    use super::*;
    use crate::config::Configuration;
    use crate::metadata::uploads::Lease;

    fn settings(folder: &std::path::Path, variables: &[(&str, &str)]) -> Settings {
        let root = folder.to_str().unwrap();
        let usual = [
            ("REGISTRY_VERSION", "0.1"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", root),
        ];
        let variables = usual.iter().chain(variables).copied();
        let source = Source::new("REGISTRY").variables(variables);
        let (configuration, _) = load::<Configuration>(&source).unwrap();
        Settings::new(&configuration).unwrap()
    }

    async fn open(folder: &std::path::Path) -> Application {
        let settings = settings(folder, &[("REGISTRY_AUTH", "none")]);
        let occupant = Occupant::this("test", "nowhere", Clock::system().now());
        let occupancy = Occupancy::take(&folder.join("registry.sqlite"), &occupant).unwrap();
        let occupancy = Some(occupancy);
        Application::build(settings, Clock::system(), occupancy)
            .await
            .unwrap()
    }

    #[actix_web::test]
    async fn an_open_registry_lets_everybody_in() {
        let folder = tempfile::tempdir().unwrap();
        let application = open(folder.path()).await;
        let app =
            test::init_service(App::new().configure(application.configure(&Health::default())))
                .await;
        for path in ["/v2", "/v2/", "/v2/_catalog"] {
            let request = test::TestRequest::with_uri(path).to_request();
            let answer = test::call_service(&app, request).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        assert_eq!(application.health().len(), 5);
        let report = application.sweep(None, false).await.unwrap();
        assert_eq!(report, jobs::SweepReport::default());
        application.close().await;
    }

    #[actix_web::test]
    async fn a_prefix_moves_everything() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(
            folder.path(),
            &[
                ("REGISTRY_AUTH", "none"),
                ("REGISTRY_HTTP_PREFIX", "/deep/er/"),
            ],
        );
        let application = Application::build(settings, Clock::system(), None)
            .await
            .unwrap();
        let app =
            test::init_service(App::new().configure(application.configure(&Health::default())))
                .await;
        let post = test::TestRequest::post().uri("/deep/er/v2/a/blobs/uploads/");
        let answer = test::call_service(&app, post.to_request()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let location = answer.headers().get("location").unwrap().to_str().unwrap();
        assert!(
            location.starts_with("/deep/er/v2/a/blobs/uploads/"),
            "{location}"
        );
        let status = test::TestRequest::with_uri(location).to_request();
        let answer = test::call_service(&app, status).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let outside = test::TestRequest::with_uri("/v2/").to_request();
        let answer = test::call_service(&app, outside).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }

    /// A process that dies holds leases; the one that follows must not wait for them to run out.
    #[actix_web::test]
    async fn a_restart_takes_back_the_leases_of_the_dead() {
        let folder = tempfile::tempdir().unwrap();
        let application = open(folder.path()).await;
        let clock = application.state.clock.clone();
        let key = crate::blob_store::UploadKey {
            repository: "a".parse().unwrap(),
            id: clock.unguessable_id(),
        };
        let acquire = async |application: &Application| {
            let mut tx = application.database.begin().await.unwrap();
            let (now, writer) = (clock.now(), clock.unguessable_id());
            let until = now + chrono::TimeDelta::seconds(30);
            let lease = metadata::uploads::acquire(&mut tx, &key, writer, until, now).await;
            tx.commit().await.unwrap();
            lease.unwrap()
        };
        let mut tx = application.database.begin().await.unwrap();
        let algorithm = crate::oci::Algorithm::Sha256;
        metadata::uploads::create(&mut tx, &key, None, algorithm, clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(acquire(&application).await, Lease::Held(_)));
        assert_eq!(acquire(&application).await, Lease::Busy);
        let settings = settings(folder.path(), &[("REGISTRY_AUTH", "none")]);
        let command = Application::beside(settings, Clock::system()).await;
        assert_eq!(acquire(&command.unwrap()).await, Lease::Busy);
        application.close().await;
        drop(application);

        let restarted = open(folder.path()).await;
        assert!(matches!(acquire(&restarted).await, Lease::Held(_)));
    }

    #[actix_web::test]
    async fn missing_keys_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(
            folder.path(),
            &[
                ("REGISTRY_AUTH_TOKEN_REALM", "http://auth.test/"),
                ("REGISTRY_AUTH_TOKEN_SERVICE", "s"),
                ("REGISTRY_AUTH_TOKEN_ISSUER", "i"),
                ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/missing/bundle.pem"),
            ],
        );
        let error = Application::build(settings, Clock::system(), None)
            .await
            .unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/missing/bundle.pem"), "{error}");
        assert!(error.contains("auth.token.rootcertbundle"), "{error}");
    }
}
