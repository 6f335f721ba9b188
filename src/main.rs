//! The command line: reads what was typed, loads configuration, starts servers.

mod arguments;
mod auth;
mod cli;
mod client_config;
mod doctor;
mod failure;
mod healthcheck;
mod memory;
mod output;
mod password;
mod registry;
mod reload;
mod serve;
mod setup;
mod supervisor;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command, Registry};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse_from(arguments::understood(std::env::args_os()));
    // Every actix worker brings its own thread and runtime; this one drives start, jobs and end.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Doctor(options) => return doctor::run(&options).await,
        Command::Up(up) => up::up(&up).await,
        Command::Auth(command) => auth::run(*command).await,
        Command::Registry(Registry::Serve { config }) => serve::registry(config.as_deref()).await,
        Command::Registry(Registry::Sweep {
            place,
            older_than,
            dry_run,
            format,
        }) => {
            let older_than = older_than.map(service::config::Duration::get);
            registry::sweep(&place, older_than, dry_run, format.output).await
        }
        Command::Registry(Registry::AdoptStorage { place, format }) => {
            registry::adopt_storage(&place, format.output).await
        }
        Command::Setup(setup) => setup::run(&setup),
        Command::Healthcheck { url } => healthcheck::run(url).await,
        Command::ClientConfig(command) => client_config::run(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
            Ok(output::bytes(&script)?)
        }
    }?;
    Ok(ExitCode::SUCCESS)
}
