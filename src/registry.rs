//! `registry sweep`: housekeeping by hand.

use std::path::Path;
use std::time::Duration;

use crate::cli::Output;
use crate::failure::Failure;
use crate::output;
use crate::{serve, up};

/// `registry sweep`
pub async fn sweep(
    file: Option<&Path>,
    folder: &Path,
    older_than: Option<Duration>,
    dry_run: bool,
    output: Output,
) -> Result<(), Failure> {
    let source = if file.is_some() {
        serve::registry_source(file)
    } else {
        up::require_served(folder)?;
        up::registry_source(folder, &up::auth_settings(folder)?.0)
    };
    let mut settings = serve::registry_settings(source)?.settings;
    // Nobody comes in: no key is needed, and no file of passwords is to be made.
    settings.access = registry_server::config::Access::Open;
    let clock = registry_server::Clock::system();
    let application = registry_server::Application::build(settings, clock).await?;
    let report = application.sweep(older_than, dry_run).await?;
    application.close().await;
    let removed = if dry_run { "Would remove" } else { "Removed" };
    let sentence = format!("{removed} {report}.");
    match output {
        Output::Json => output::json(&report)?,
        Output::Table => output::line(&sentence)?,
    }
    Ok(())
}
