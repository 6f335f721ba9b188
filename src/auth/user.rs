//! `auth user …`

use clap::{Args, Subcommand, ValueHint};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;
use crate::{output, password};

const COLUMNS: &[Column] = &[
    ("NAME", "username"),
    ("E-MAIL", "email"),
    ("ADMIN", "admin"),
    ("DISABLED", "disabled"),
    ("LAST LOGIN", "last_login_at"),
];

#[derive(Debug, Args)]
pub struct NewPassword {
    /// Read the password from standard input (its first line) instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum User {
    /// Create a user, who then owns all repositories below their own name
    Create {
        /// Lower-case letters and digits, joined by `.`, `_` or `-`
        name: String,
        /// Where to reach the user
        #[arg(long, value_hint = ValueHint::EmailAddress)]
        email: Option<String>,
        /// May do everything, in every repository and in the admin API
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: NewPassword,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// List users
    List {
        /// Only those whose name or e-mail address contains this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one user
    Show {
        name: String,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Change a user's e-mail address, or make or unmake an administrator
    Update {
        name: String,
        /// An empty one removes it
        #[arg(long, value_hint = ValueHint::EmailAddress)]
        email: Option<String>,
        #[arg(long, value_name = "true|false")]
        admin: Option<bool>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Refuse all further logins and tokens of a user; nothing is deleted
    Disable {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Allow a disabled user in again
    Enable {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a user, with their memberships and tokens; refused while projects lie below the name
    Delete {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Set a user's password and end their sessions
    SetPassword {
        name: String,
        #[command(flatten)]
        password: NewPassword,
        #[command(flatten)]
        connection: Connection,
    },
}

/// `auth user …`
pub async fn run(command: User) -> Result<(), Failure> {
    match command {
        User::Create {
            name,
            email,
            admin,
            password,
            format,
            connection,
        } => {
            let password = password::read(password.password_stdin)?;
            let new = json!({
                "username": name,
                "email": email,
                "admin": admin,
                "password": password.expose_secret(),
            });
            let created = connection.post(&ApiPath::new(["users"]), &new).await?;
            format.done(&created, &format!("Created the user {name}."))
        }
        User::List {
            search,
            format,
            connection,
        } => {
            let query: Vec<_> = search
                .iter()
                .map(|text| ("search", text.as_str()))
                .collect();
            let users = connection.list(&ApiPath::new(["users"]), &query).await?;
            format.list(&users, COLUMNS)
        }
        User::Show {
            name,
            format,
            connection,
        } => format.record(&connection.get(&user(&name), &[]).await?, COLUMNS),
        User::Update {
            name,
            email,
            admin,
            format,
            connection,
        } => {
            let change = change(email, admin)?;
            let changed = connection.patch(&user(&name), &change).await?;
            format.done(&changed, &format!("Changed the user {name}."))
        }
        User::Disable { name, connection } => {
            connection
                .patch(&user(&name), &json!({"disabled": true}))
                .await?;
            say(&format!("Disabled {name}; their sessions have ended."))
        }
        User::Enable { name, connection } => {
            connection
                .patch(&user(&name), &json!({"disabled": false}))
                .await?;
            say(&format!("Enabled {name}."))
        }
        User::Delete { name, connection } => {
            connection.delete(&user(&name)).await?;
            say(&format!("Deleted {name}."))
        }
        User::SetPassword {
            name,
            password,
            connection,
        } => {
            let password = password::read(password.password_stdin)?;
            let body = json!({"password": password.expose_secret()});
            let path = ApiPath::new(["users", &name, "password"]);
            connection.put(&path, &body).await?;
            say(&format!(
                "Set the password of {name}; their sessions have ended."
            ))
        }
    }
}

fn user(name: &str) -> ApiPath {
    ApiPath::new(["users", name])
}

fn change(email: Option<String>, admin: Option<bool>) -> Result<Value, Failure> {
    let mut change = Map::new();
    if let Some(email) = email {
        let email = Some(email).filter(|email| !email.is_empty());
        change.insert("email".to_owned(), email.into());
    }
    if let Some(admin) = admin {
        change.insert("admin".to_owned(), admin.into());
    }
    if change.is_empty() {
        return Err(Failure::usage("nothing to change: add --email or --admin"));
    }
    Ok(Value::Object(change))
}

fn say(sentence: &str) -> Result<(), Failure> {
    Ok(output::line(sentence)?)
}
