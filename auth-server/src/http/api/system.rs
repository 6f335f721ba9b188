//! `/api/v1/system`: what runs here, how it is set, and how much there is of everything.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::conditional::no_store;
use crate::accounts::counts::{self, Counts};
use crate::http::authorize::{Administrator, Authorized};
use crate::http::error::ApiError;
use crate::state::State;
use crate::token::key_settings::{KeyPlace, KeyRingSettings};

/// What runs here
#[derive(Serialize, ToSchema)]
#[schema(as = System)]
struct SystemJson<'a> {
    version: &'static str,
    /// The claim `iss` of the tokens
    issuer: &'a str,
    /// The registries that tokens are issued for
    services: &'a [String],
    token_lifetime_seconds: u64,
    #[schema(inline)]
    signing_key: Option<SigningKeyJson>,
    #[schema(inline)]
    settings: SettingsJson,
    #[schema(inline)]
    counts: Counts,
}

#[derive(Serialize, ToSchema)]
struct SigningKeyJson {
    /// `kid`.
    id: String,
    algorithm: String,
    /// RFC 7638.
    thumbprint: String,
}

/// What the server was told, by its configuration or by default
#[derive(Serialize, ToSchema)]
struct SettingsJson {
    #[schema(inline)]
    database: DatabaseKind,
    #[schema(inline)]
    key_place: KeyPlaceJson,
    /// Of keys that are to be made
    key_algorithm: String,
    /// How long a key is published before it signs
    key_publish_ahead_seconds: u64,
    /// How long a key signs before the next is made; null: until somebody asks for one
    key_rotate_every_seconds: Option<u64>,
    /// How long a `docker login` lasts
    refresh_token_lifetime_seconds: u64,
    /// Of personal and deploy tokens
    access_token_max_lifetime_seconds: u64,
    /// How long a browser stays logged in
    session_lifetime_seconds: u64,
    /// The same without a request
    session_idle_seconds: u64,
    /// Of passwords, in characters
    password_min_length: usize,
    /// Wrong passwords for one account before the next one waits
    login_threshold: u32,
    /// The same for one address
    login_address_threshold: u32,
    /// The longest that one waits
    login_max_delay_seconds: u64,
    audit_retention_seconds: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DatabaseKind {
    Sqlite,
    Postgresql,
}

/// Where private keys are: in files of a folder, in the database and encrypted, or mounted by
/// somebody else
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum KeyPlaceJson {
    Folder,
    Database,
    Mounted,
}

/// What runs here
///
/// What an operator needs for pairing a registry, the settings, and how much there is.
#[utoipa::path(
    get,
    path = "/api/v1/system",
    operation_id = "show_system",
    tag = "system",
    responses((status = 200, description = "The system", body = SystemJson<'_>))
)]
pub async fn show(
    _: Authorized<Administrator>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issuer = &state.issuer;
    let signing_key = issuer.keys.current().map(|key| SigningKeyJson {
        id: key.key_id(),
        algorithm: key.algorithm().to_string(),
        thumbprint: key.thumbprint(),
    });
    let now = state.clock.now();
    let counts = counts::count(&state.database, now, state.session_policy).await?;
    Ok(no_store(HttpResponse::Ok()).json(SystemJson {
        version: env!("CARGO_PKG_VERSION"),
        issuer: &issuer.settings.issuer,
        services: &issuer.settings.services,
        token_lifetime_seconds: issuer.settings.lifetime.as_secs(),
        signing_key,
        settings: SettingsJson::of(&state),
        counts,
    }))
}

impl SettingsJson {
    fn of(state: &State) -> Self {
        let KeyRingSettings {
            place,
            algorithm,
            publish_ahead,
            rotate_every,
            ..
        } = state.issuer.keys.settings();
        let throttle = state.logins.throttle_policy();
        Self {
            database: match state.database {
                database::Database::Sqlite(_) => DatabaseKind::Sqlite,
                database::Database::Postgres(_) => DatabaseKind::Postgresql,
            },
            key_place: match place {
                KeyPlace::Folder(_) => KeyPlaceJson::Folder,
                KeyPlace::Database { .. } => KeyPlaceJson::Database,
                KeyPlace::Mounted { .. } => KeyPlaceJson::Mounted,
            },
            key_algorithm: algorithm.to_string(),
            key_publish_ahead_seconds: publish_ahead.as_secs(),
            key_rotate_every_seconds: rotate_every.map(|every| every.as_secs()),
            refresh_token_lifetime_seconds: state.issuer.settings.refresh_lifetime.as_secs(),
            access_token_max_lifetime_seconds: state.token_policy.max_lifetime.as_secs(),
            session_lifetime_seconds: state.session_policy.lifetime.as_secs(),
            session_idle_seconds: state.session_policy.idle.as_secs(),
            password_min_length: state.password_policy.minimum_length,
            login_threshold: throttle.threshold,
            login_address_threshold: throttle.address_threshold,
            login_max_delay_seconds: throttle.max_delay.as_secs(),
            audit_retention_seconds: state.audit_retention.as_secs(),
        }
    }
}
