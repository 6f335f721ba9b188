//! `auth me` and `auth system`

use clap::Args;

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;

const ME: &[Column] = &[
    ("NAME", "username"),
    ("E-MAIL", "email"),
    ("ADMIN", "admin"),
    ("CREATED", "created_at"),
    ("LAST LOGIN", "last_login_at"),
];

const SYSTEM: &[Column] = &[
    ("VERSION", "version"),
    ("ISSUER", "issuer"),
    ("SERVICES", "services"),
    ("SIGNING KEY", "signing_key/id"),
    ("ALGORITHM", "signing_key/algorithm"),
    ("KEYS ARE IN", "settings/key_place"),
    (
        "KEYS ARE PUBLISHED AHEAD (s)",
        "settings/key_publish_ahead_seconds",
    ),
    ("KEYS ROTATE EVERY (s)", "settings/key_rotate_every_seconds"),
    ("DATABASE", "settings/database"),
    ("TOKENS LAST (s)", "token_lifetime_seconds"),
    ("LOGINS LAST (s)", "settings/refresh_token_lifetime_seconds"),
    (
        "ACCESS TOKENS LAST AT MOST (s)",
        "settings/access_token_max_lifetime_seconds",
    ),
    ("SESSIONS LAST (s)", "settings/session_lifetime_seconds"),
    ("PASSWORDS HAVE AT LEAST", "settings/password_min_length"),
    ("AUDIT LOG IS KEPT (s)", "settings/audit_retention_seconds"),
    ("USERS", "counts/users"),
    ("ADMINISTRATORS", "counts/administrators"),
    ("DISABLED USERS", "counts/disabled_users"),
    ("GROUPS", "counts/groups"),
    ("PROJECTS", "counts/projects"),
    ("MEMBERSHIPS", "counts/memberships"),
    ("GRANTS", "counts/grants"),
    ("PERSONAL TOKENS", "counts/personal_tokens"),
    ("DEPLOY TOKENS", "counts/deploy_tokens"),
    ("JOB TOKENS", "counts/job_tokens"),
    ("BROWSER SESSIONS", "counts/browser_sessions"),
    ("CLIENT SESSIONS", "counts/client_sessions"),
];

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    format: OutputFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `auth me`
pub async fn me(command: Show) -> Result<(), Failure> {
    show(command, "me", ME).await
}

/// `auth system`
pub async fn system(command: Show) -> Result<(), Failure> {
    show(command, "system", SYSTEM).await
}

async fn show(command: Show, noun: &str, columns: &[Column]) -> Result<(), Failure> {
    let record = command.connection.get(&ApiPath::new([noun]), &[]).await?;
    command.format.record(&record, columns)
}
