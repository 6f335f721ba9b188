//! `auth key …`

use std::path::{Path, PathBuf};

use auth_server::clock::Clock;
use clap::{Args, Subcommand, ValueHint};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::{Column, OutputFormat};
use crate::cli::Output;
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("KEY", "thumbprint"),
    ("ALGORITHM", "algorithm"),
    ("STATE", "state"),
    ("SIGNS FROM", "signs_from"),
    ("VERIFIES UNTIL", "verifies_until"),
    ("RETIRED", "retired_at"),
];

#[derive(Debug, Subcommand)]
pub enum Key {
    /// List the keys, and what each is good for now
    List {
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make the next key
    ///
    /// It is published at once, and signs when all registries know it (`keys.publishahead`). The
    /// key before it stays published until its last token has expired. No request fails.
    Rotate {
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make a key pair of your own the next key
    ///
    /// If the server's key is mounted (`keys.signingkey`), this publishes the certificate of the
    /// pair that will be mounted next.
    Import {
        #[command(flatten)]
        pair: Pair,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// End a key that has not signed yet; with --force, any
    #[command(
        after_help = "When somebody else has got hold of a key, end it at once. Registries refuse \
        its tokens as soon as they look again, and another key signs:\n  \
        portcullis auth key retire KEY --force"
    )]
    Retire {
        /// From `auth key list`, or a `kid`
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// Although tokens are refused until clients have asked for new ones
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make the keys in `keys.path` those of this accounts database
    ///
    /// A server refuses keys that belong to other accounts. If those accounts are lost, and these are to
    /// have their keys, this says so; the next start of the server takes them over. Stop the server
    /// first.
    Adopt {
        #[command(flatten)]
        connection: Connection,
    },
}

/// What is imported.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Pair {
    /// The private key (PEM): RSA from 2048 bits, or EC on P-256 or P-384
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Its certificate (PEM), followed by its authorities'; made if there is none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    certificate: Option<PathBuf>,
}

/// `auth key …`
pub async fn run(command: Key) -> Result<(), Failure> {
    let keys = ApiPath::new(["keys"]);
    match command {
        Key::List { format, connection } => {
            let listed = connection.get(&keys, &[]).await?;
            let listed = listed.as_array().cloned().unwrap_or_default();
            format.list(&listed, COLUMNS)
        }
        Key::Rotate { format, connection } => {
            let made = connection.post(&keys, &Value::Null).await?;
            added(&made, &format)
        }
        Key::Import {
            pair,
            format,
            connection,
        } => {
            let private_key = pair.key.as_deref().map(read).transpose()?;
            let certificate = pair.certificate.as_deref().map(read).transpose()?;
            let import = json!({
                "private_key": private_key.as_ref().map(SecretString::expose_secret),
                "certificate": certificate.as_ref().map(SecretString::expose_secret),
            });
            let path = ApiPath::new(["keys", "import"]);
            added(&connection.post(&path, &import).await?, &format)
        }
        Key::Adopt { connection } => adopt(&connection).await,
        Key::Retire {
            key,
            force,
            format,
            connection,
        } => {
            let path = ApiPath::new(["keys", &key]);
            let query: &[_] = if force { &[("force", "true")] } else { &[] };
            let retired = connection
                .with(async |api| api.delete_with(&path, query).await)
                .await?;
            if format.output == Output::Table {
                for warning in retired["warnings"].as_array().into_iter().flatten() {
                    let warning = warning.as_str().unwrap_or_default();
                    output::note(&format!("warning: {warning}"))?;
                }
            }
            let thumbprint = text(&retired["key"], "thumbprint");
            format.done(&retired, &format!("Retired the key {thumbprint}."))
        }
    }
}

async fn adopt(connection: &Connection) -> Result<(), Failure> {
    let settings = connection.settings()?;
    let adopted = auth_server::adopt_keys(&settings, &Clock::system()).await?;
    let folder = adopted.ok_or_else(|| {
        Failure::usage(
            "the keys of this server are in no folder of its own: there is none to adopt",
        )
    })?;
    output::note(&format!(
        "The keys in {} belong to these accounts now.",
        folder.display()
    ))?;
    Ok(())
}

fn added(key: &Value, format: &OutputFormat) -> Result<(), Failure> {
    let from = match text(key, "signs_from") {
        "" => "when its private key is mounted".to_owned(),
        from => format!("from {from}"),
    };
    let thumbprint = text(key, "thumbprint");
    format.done(
        key,
        &format!("The key {thumbprint} is published, and signs {from}."),
    )
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// A private key, perhaps.
fn read(path: &Path) -> Result<SecretString, Failure> {
    let read = std::fs::read_to_string(path);
    read.map(SecretString::from)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
