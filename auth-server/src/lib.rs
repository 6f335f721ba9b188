//! Accounts, access and the token realm.
//!
//! - [`accounts`]: users, passwords, projects. [`access`]: who may do what.
//! - [`token`]: the tokens that say so. [`audit`]: who did what. [`config`]: the settings.
//! - `store`: the tables. `http`, `web`: addresses and pages. `jobs`: work in the background.
//!
//! Calls go down only: `http` and `web` → `accounts`, `access`, `token` → `store`. Nothing here
//! knows the registry: the token is all that the two servers share.

pub mod access;
pub mod accounts;
pub mod audit;
pub mod clock;
pub mod config;
pub mod context;
mod error;
pub mod http;
mod jobs;
mod operator;
mod state;
mod store;
#[cfg(test)]
mod testing;
pub mod token;
mod web;

use std::path::PathBuf;

use actix_web::web::{Data, ServiceConfig};
use database::{Database, Schema};
use registry_token::{Access, Audience, Claims, Denials};
use secrecy::SecretString;
use service::health::{Check, Failure};
use service::metrics::Metrics;
use service::shutdown::{Reload, Shutdown};

use crate::accounts::login::Logins;
use crate::accounts::{Passwords, bootstrap};
use crate::clock::Clock;
use crate::config::Settings;
use crate::state::State;
use crate::token::key_metrics::KeyMetrics;
use crate::token::{Issuer, KeyRing, key_owner, key_start};

pub use crate::error::StartError;
pub use crate::operator::Operator;

/// The auth-server, ready to be served.
#[derive(Clone, Debug)]
pub struct Application {
    state: Data<State>,
    generated_password: Option<SecretString>,
}

/// What the database of an auth-server must have.
#[must_use]
pub fn schema() -> Schema {
    Schema {
        sqlite: &store::SQLITE,
        postgres: &store::POSTGRES,
    }
}

/// Opens the database and brings its schema up to date.
pub async fn open_database(settings: &Settings) -> Result<Database, database::StartError> {
    let connections = settings.database.connections.get();
    let database = Database::connect(&settings.database_url(), connections).await?;
    match database.migrate(&store::SQLITE, &store::POSTGRES).await {
        Ok(()) => Ok(database),
        Err(error) => {
            database.close().await;
            Err(error)
        }
    }
}

/// Makes the keys in `keys.path` those of this database, whosever they were; the next start takes them
/// over. The folder, if keys are in one.
pub async fn adopt_keys(settings: &Settings, clock: &Clock) -> Result<Option<PathBuf>, StartError> {
    let database = open_database(settings).await?;
    let adopted = key_owner::adopt(&settings.key_ring().place, &database, clock).await;
    database.close().await;
    Ok(adopted?)
}

impl Application {
    /// Opens the database, loads or makes the signing key, and sees to it that there is an
    /// administrator.
    pub async fn build(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let password = settings.admin.password.clone();
        let mut application = Self::open(settings, clock, None).await?;
        let state = &application.state;
        let generated = bootstrap::ensure_administrator(
            &state.database,
            &state.clock,
            &state.passwords,
            state.password_policy,
            password.as_ref(),
        );
        match generated.await {
            Ok(generated) => application.generated_password = generated,
            Err(error) => {
                application.close().await;
                return Err(error.into());
            }
        }
        Ok(application)
    }

    /// The same for a command on the machine of the database, which the operator's token lets do
    /// everything. Makes no administrator and no signing key: the first start of the server does.
    pub async fn for_operator(
        settings: Settings,
        clock: Clock,
        operator: Operator,
    ) -> Result<Self, StartError> {
        Self::open(settings, clock, Some(operator)).await
    }

    async fn open(
        settings: Settings,
        clock: Clock,
        operator: Option<Operator>,
    ) -> Result<Self, StartError> {
        let passwords = settings.password.passwords(&clock)?;
        let database = open_database(&settings).await?;
        let opened = Self::over(database.clone(), settings, clock, passwords, operator).await;
        if opened.is_err() {
            // Folds the log into the file: who puts another file in its place must not leave a log behind
            // that SQLite would take for the other's.
            database.close().await;
        }
        opened
    }

    async fn over(
        database: Database,
        settings: Settings,
        clock: Clock,
        passwords: Passwords,
        operator: Option<Operator>,
    ) -> Result<Self, StartError> {
        let ring = settings.key_ring();
        if operator.is_none() {
            database.require_integrity().await?;
        }
        let keys = if operator.is_some() {
            key_owner::require(&ring.place, &database).await?;
            KeyRing::open_beside(ring, database.clone(), clock.clone()).await?
        } else {
            for warning in ring.warnings() {
                tracing::warn!("{warning}");
            }
            key_owner::settle(&ring.place, &database, &clock).await?;
            key_start::start(ring, database.clone(), clock.clone()).await?
        };
        let logins = Logins::new(passwords.clone(), settings.login.policy(), &clock);
        let state = State {
            session_policy: settings.session.policy(),
            token_policy: settings.accesstoken.policy(),
            logins: logins.clone(),
            password_policy: settings.password.policy(),
            audit_retention: settings.audit.retention.get(),
            issuer: Issuer {
                database: database.clone(),
                clock: clock.clone(),
                logins,
                keys,
                settings: settings.token_settings(),
            },
            database,
            clock,
            passwords,
            operator,
        };
        Ok(Self {
            state: Data::new(state),
            generated_password: None,
        })
    }

    /// The password of the administrator that the first start has made up: to be shown once, here
    /// and now, since nobody can ever read it again.
    #[must_use]
    pub fn generated_password(&self) -> Option<&SecretString> {
        self.generated_password.as_ref()
    }

    /// The addresses of this server: the token realm, keys, the admin API, and the page at `/`.
    pub fn configure(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let state = self.state.clone();
        move |config: &mut ServiceConfig| {
            config.app_data(state.clone());
            http::routes::configure(config);
        }
    }

    /// What must work for tokens to be issued.
    #[must_use]
    pub fn health(&self) -> Vec<Check> {
        let database = self.state.database.clone();
        let for_writing = database.clone();
        let issuer = self.state.issuer.clone();
        vec![
            Check::new("auth_database", move || {
                let database = database.clone();
                async move { database.ping().await }
            }),
            Check::new("auth_database_writing", move || {
                let database = for_writing.clone();
                async move {
                    let written = database.check_writing().await;
                    written.map_err(|error| Failure::because(error.why_not_changed(), error))
                }
            })
            .degrades(),
            Check::new("auth_signing_key", move || {
                let checked = check_signing_key(&issuer);
                async move { checked }
            }),
        ]
    }

    /// Adds what this server counts to the metrics of the process.
    pub fn register_metrics(&self, metrics: &Metrics) {
        metrics.register_collector(KeyMetrics(self.state.issuer.keys.clone()));
        self.state.logins.register(metrics);
    }

    /// Starts what goes on in the background, until the shutdown.
    pub fn spawn_jobs(&self, shutdown: &Shutdown, reload: &Reload) {
        jobs::spawn(
            self.state.database.clone(),
            self.state.clock.clone(),
            self.state.issuer.keys.clone(),
            self.state.audit_retention,
            self.state.session_policy,
            shutdown,
            reload,
        );
    }

    /// Closes the database; the last thing to do.
    pub async fn close(&self) {
        self.state.database.close().await;
    }
}

/// Whether a token of this key would be accepted now.
fn check_signing_key(issuer: &Issuer) -> Result<(), String> {
    let now = issuer.clock.now();
    if let Some(problem) = &issuer.keys.load().problem {
        return Err(problem.clone());
    }
    let key = issuer.keys.current();
    let key = key.ok_or("there is no key to sign tokens with")?;
    if let Some(problem) = key_start::check_dates(&key, now) {
        return Err(problem);
    }
    let claims = Claims {
        issuer: issuer.settings.issuer.clone(),
        subject: None,
        audience: Audience::default(),
        expires_at: now,
        not_before: None,
        issued_at: None,
        id: None,
        access: Access::none(),
        auth_type: None,
        denials: Denials::default(),
    };
    key.sign(&claims)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod application_tests;
