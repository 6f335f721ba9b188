//! Housekeeping by hand, on the machine that a registry runs on: `registry sweep`, `registry adopt-storage`.

use std::time::Duration;

use registry_server::{Application, Clock};

use crate::cli::{Output, RegistryPlace};
use crate::failure::Failure;
use crate::output;
use crate::{serve, up};

/// `registry sweep`
pub async fn sweep(
    place: &RegistryPlace,
    older_than: Option<Duration>,
    dry_run: bool,
    output: Output,
) -> Result<(), Failure> {
    let application = open(place).await?;
    let report = application.sweep(older_than, dry_run).await?;
    application.close().await;
    let removed = if dry_run { "Would remove" } else { "Removed" };
    match output {
        Output::Json => output::json(&report)?,
        Output::Table => output::line(&format!("{removed} {report}."))?,
    }
    Ok(())
}

/// `registry adopt-storage`
pub async fn adopt_storage(place: &RegistryPlace, output: Output) -> Result<(), Failure> {
    let application = open(place).await?;
    let adopted = application.adopt_storage().await?;
    application.close().await;
    match output {
        Output::Json => output::json(&adopted)?,
        Output::Table => output::line(&format!(
            "The storage and the database go together from now on, as {}.",
            adopted.id
        ))?,
    }
    Ok(())
}

async fn open(place: &RegistryPlace) -> Result<Application, Failure> {
    let file = place.config.as_deref();
    let folder = &place.data.data_dir;
    let source = if file.is_some() {
        serve::registry_source(file)
    } else {
        up::require_served(folder)?;
        up::registry_source(folder, &up::auth_settings(folder)?.0)
    };
    let mut settings = serve::registry_settings(source)?.settings;
    // Nobody comes in: no key is needed, and no file of passwords is to be made.
    settings.access = registry_server::config::Access::Open;
    Ok(Application::beside(settings, Clock::system()).await?)
}
