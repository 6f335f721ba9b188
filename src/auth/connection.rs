//! [`Connection`]: which accounts a command works on, and how it reaches them.
//!
//! There is one way to change accounts, the admin API. With `--server` it is a running server's.
//! Without, the command opens the database itself and serves the API to nobody but itself, on a
//! Unix socket in a private folder: the same rules and the same audit log, with no server needed.

use std::path::{Path, PathBuf};

use auth_server::clock::Clock;
use auth_server::config::Settings;
use auth_server::{Application, Operator};
use clap::{Args, ValueHint};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::Value;
use service::server::{Address, Listener, Server, ServerOptions};
use service::shutdown::Shutdown;

use super::client::{ApiPath, Client};
use crate::cli::DataFolder;
use crate::failure::Failure;
use crate::{password, up};

#[derive(Debug, Args)]
#[command(next_help_heading = "Where the accounts are")]
pub struct Connection {
    #[command(flatten)]
    pub data: DataFolder,

    /// Configuration file of `auth serve`, instead of the data folder of `up`
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// A running server, such as `https://registry.example.com`, instead of its database; takes a
    /// personal access token with the scope `api` from `PORTCULLIS_TOKEN` or --token-file
    #[arg(long, value_name = "URL", env = "PORTCULLIS_SERVER", conflicts_with = "config",
          value_hint = ValueHint::Url)]
    pub server: Option<Url>,

    /// File with the token for --server
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_TOKEN_FILE", requires = "server",
          value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,

    /// Certificate authority of --server (PEM), beside those that this system trusts
    #[arg(long, value_name = "FILE", requires = "server", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
}

impl Connection {
    /// Runs `command` with a client of the accounts.
    pub async fn with<T>(
        &self,
        command: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match &self.server {
            Some(server) => command(self.remote(server)?).await,
            None => {
                local(
                    settings(self.config.as_deref(), &self.data.data_dir)?,
                    command,
                )
                .await
            }
        }
    }

    pub async fn get(&self, path: &ApiPath, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.with(async |api| api.get(path, query).await).await
    }

    /// All entries of a list.
    pub async fn list(
        &self,
        path: &ApiPath,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        self.with(async |api| api.list(path, query).await).await
    }

    pub async fn post(&self, path: &ApiPath, body: &Value) -> Result<Value, Failure> {
        self.with(async |api| api.post(path, body).await).await
    }

    pub async fn put(&self, path: &ApiPath, body: &Value) -> Result<Value, Failure> {
        self.with(async |api| api.put(path, body).await).await
    }

    pub async fn patch(&self, path: &ApiPath, body: &Value) -> Result<Value, Failure> {
        self.with(async |api| api.patch(path, body).await).await
    }

    pub async fn delete(&self, path: &ApiPath) -> Result<(), Failure> {
        self.with(async |api| api.delete(path).await).await?;
        Ok(())
    }

    /// The settings of the server whose database is at hand, for what no API can do.
    pub fn settings(&self) -> Result<Settings, Failure> {
        if self.server.is_some() {
            return Err(Failure::usage(
                "this is done on the machine of the server, with its configuration: leave out --server",
            ));
        }
        settings(self.config.as_deref(), &self.data.data_dir)
    }

    fn remote(&self, server: &Url) -> Result<Client, Failure> {
        if !matches!(server.scheme(), "http" | "https") {
            return Err(Failure::usage(format!(
                "--server {server}: expected an address with https:// or http://"
            )));
        }
        let token = match &self.token_file {
            Some(file) => password::from_file(file)?,
            None => std::env::var("PORTCULLIS_TOKEN")
                .map(SecretString::from)
                .map_err(|_| {
                    Failure::usage(
                        "a server asks for a token: put a personal access token with the scope \
                         `api` into PORTCULLIS_TOKEN, or name its file with --token-file",
                    )
                })?,
        };
        Client::remote(server.clone(), &token, self.ca_file.as_deref())
    }
}

/// Of a configured server, or of `up` in a data folder.
fn settings(config: Option<&Path>, folder: &Path) -> Result<Settings, Failure> {
    if config.is_some() {
        return Ok(Settings::load(config).map_err(Failure::usage)?.0);
    }
    up::require_served(folder)?;
    Ok(up::auth_settings(folder)?.0)
}

/// Serves the API to `command` alone, while it runs.
async fn local<T>(
    settings: Settings,
    command: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let clock = Clock::system();
    let token = SecretString::from(hex::encode(clock.random::<32>()));
    let operator = Operator {
        name: operating_user(),
        token: token.clone(),
    };
    let application = Application::for_operator(settings, clock, operator).await?;
    // Readable for its owner alone, and gone at the end.
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("api.sock");
    let server = serve(&application, &socket)?;
    let shutdown = Shutdown::new();
    let result = tokio::select! {
        ended = server.run(&shutdown) => {
            ended?;
            Err(Failure::failed("the command's own server has ended"))
        }
        result = async { command(Client::local(&socket, &token)?).await } => result,
    };
    application.close().await;
    result
}

fn serve(application: &Application, socket: &Path) -> Result<Server, Failure> {
    let routes = application.configure();
    let address = Address::Unix(socket.to_owned());
    let listener = Listener::new("command", address, routes).unobserved();
    let options = ServerOptions {
        workers: Some(1),
        ..ServerOptions::default()
    };
    Ok(Server::bind(options, vec![listener])?)
}

/// For the audit log: who has typed the command, also behind sudo.
fn operating_user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}
