//! What is random: passwords of the database's users and of the first administrator, and the key
//! that private keys are encrypted with.
//!
//! A server is told its database by one URL, so a database elsewhere is a matter of writing that
//! file before the first start.

use auth_server::clock::Clock;
use reqwest::Url;

use super::Database;
use super::folder::{Folder, Place, Readers, SetupError, State};

pub const ADMIN_PASSWORD: Place = Place {
    path: "auth/admin-password",
    what: "the first password of the user admin",
    readers: Readers::Group,
};
pub const ENCRYPTION_KEY: Place = Place {
    path: "auth/keys-encryption-key",
    what: "encrypts the signing keys in the database",
    readers: Readers::Group,
};
pub const SUPERUSER_PASSWORD: Place = Place {
    path: "postgres/password",
    what: "the password of the database's administrator",
    readers: Readers::Group,
};

/// The host that the database has in its URL, as the compose file calls the service.
const DATABASE_HOST: &str = "postgres";

/// A server with its records.
struct Client {
    /// The name of the database and of its user.
    name: &'static str,
    url: Place,
    password: Place,
    sqlite: &'static str,
}

const CLIENTS: [Client; 2] = [
    Client {
        name: "auth",
        url: Place {
            path: "auth/database-url",
            what: "where the auth-server keeps its records",
            readers: Readers::Group,
        },
        password: Place {
            path: "postgres/auth-password",
            what: "the auth-server's password at the database",
            readers: Readers::Group,
        },
        sqlite: "sqlite:/var/lib/portcullis/auth.sqlite",
    },
    Client {
        name: "registry",
        url: Place {
            path: "registry/database-url",
            what: "where the registry keeps its records",
            readers: Readers::Group,
        },
        password: Place {
            path: "postgres/registry-password",
            what: "the registry's password at the database",
            readers: Readers::Group,
        },
        sqlite: "sqlite:/var/lib/registry/registry.sqlite",
    },
];

pub fn ensure(folder: &mut Folder, database: Database, clock: &Clock) -> Result<(), SetupError> {
    random(folder, ADMIN_PASSWORD, || hex::encode(clock.random::<16>()))?;
    random(folder, ENCRYPTION_KEY, || hex::encode(clock.random::<32>()))?;
    for client in CLIENTS {
        match database {
            Database::Sqlite => sqlite(folder, &client)?,
            Database::Postgres => postgres(folder, &client, clock)?,
        }
    }
    if database == Database::Postgres {
        random(folder, SUPERUSER_PASSWORD, || {
            hex::encode(clock.random::<32>())
        })?;
    }
    Ok(())
}

fn sqlite(folder: &mut Folder, client: &Client) -> Result<(), SetupError> {
    let Some(url) = folder.read(client.url)? else {
        return folder.write(client.url, client.sqlite, State::Made);
    };
    if !url.starts_with("sqlite:") {
        return Err(other_database(folder, client, "SQLite"));
    }
    folder.keep(client.url);
    Ok(())
}

fn postgres(folder: &mut Folder, client: &Client, clock: &Clock) -> Result<(), SetupError> {
    let url = folder.read(client.url)?;
    if let Some(url) = &url
        && url.starts_with("sqlite:")
    {
        return Err(other_database(folder, client, "PostgreSQL"));
    }
    let known = url.as_deref().and_then(|url| password_of(url, client.name));
    let password = random(folder, client.password, || {
        // The file was lost, but the server still says what was in it.
        known.unwrap_or_else(|| hex::encode(clock.random::<32>()))
    })?;
    if url.is_some() {
        folder.keep(client.url);
        return Ok(());
    }
    let name = client.name;
    let url = format!("postgres://{name}:{password}@{DATABASE_HOST}/{name}");
    folder.write(client.url, &url, State::Made)
}

/// Of a URL that was made here.
fn password_of(url: &str, user: &str) -> Option<String> {
    let url = Url::parse(url.trim()).ok()?;
    let is_ours = url.host_str() == Some(DATABASE_HOST) && url.username() == user;
    is_ours.then(|| url.password().map(str::to_owned)).flatten()
}

fn other_database(folder: &Folder, client: &Client, wanted: &str) -> SetupError {
    SetupError::Unusable {
        path: folder.path(client.url),
        reason: format!(
            "names another database than {wanted}, and the records are there; to begin anew with \
             {wanted}, take this file away"
        ),
    }
}

/// What the file says, made if need be.
fn random(
    folder: &mut Folder,
    place: Place,
    make: impl FnOnce() -> String,
) -> Result<String, SetupError> {
    if let Some(text) = folder.read(place)? {
        let secret = text.trim_end_matches(['\n', '\r']).to_owned();
        if secret.is_empty() {
            return Err(SetupError::Unusable {
                path: folder.path(place),
                reason: "is empty; write into it, or take it away, and it is made".to_owned(),
            });
        }
        folder.keep(place);
        return Ok(secret);
    }
    let secret = make();
    folder.write(place, &secret, State::Made)?;
    Ok(secret)
}
