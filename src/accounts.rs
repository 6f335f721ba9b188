//! `auth user …` and `auth project …`: the accounts in a database, without a server in between.

use auth_server::accounts::password::PasswordHash;
use auth_server::accounts::project::{NewProject, Project, ProjectChange, ProjectFilter};
use auth_server::accounts::user::{Email, NewUser, UserChange, UserFilter};
use auth_server::accounts::{
    self, Caller, NewPassword, PageRequest, User, Username, namespace, project, user,
};
use auth_server::audit::{Actor, Origin};
use auth_server::clock::Clock;
use auth_server::config::Settings;
use auth_server::context::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use database::Database;
use registry_token::RepositoryName;
use serde::Serialize;

use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Row};
use crate::password;
use crate::up;

/// `auth user …`
pub async fn user(command: cli::User) -> Result<(), Failure> {
    match command {
        cli::User::Create {
            name,
            email,
            admin,
            password,
            accounts,
            format,
        } => {
            let username: Username = name.parse().map_err(Failure::usage)?;
            let email: Option<Email> = email
                .map(|email| email.parse())
                .transpose()
                .map_err(Failure::usage)?;
            let accounts = Accounts::open(&accounts).await?;
            let password = accounts.new_password(&username, &password).await?;
            let new = NewUser {
                username,
                email,
                is_admin: admin,
                password: Some(password),
            };
            let user = user::create(&accounts.context(), new).await?;
            let sentence = format!("Created the user {}.", user.username);
            output::one(&UserRow::from(user), &sentence, format.output)?;
        }
        cli::User::List { accounts, format } => {
            let accounts = Accounts::open(&accounts).await?;
            let users = all(
                async |request| {
                    user::list(&accounts.database, &UserFilter::default(), request).await
                },
                |user| user.username.to_string(),
            )
            .await?;
            let rows: Vec<_> = users.into_iter().map(UserRow::from).collect();
            output::list(&rows, format.output)?;
        }
        cli::User::Disable { name, accounts } => {
            let username = name.parse().map_err(Failure::usage)?;
            let accounts = Accounts::open(&accounts).await?;
            accounts.set_disabled(&username, true).await?;
            output::line(&format!("Disabled {username}; their sessions have ended."))?;
        }
        cli::User::Enable { name, accounts } => {
            let username = name.parse().map_err(Failure::usage)?;
            let accounts = Accounts::open(&accounts).await?;
            accounts.set_disabled(&username, false).await?;
            output::line(&format!("Enabled {username}."))?;
        }
        cli::User::SetPassword {
            name,
            password,
            accounts,
        } => {
            let username: Username = name.parse().map_err(Failure::usage)?;
            let accounts = Accounts::open(&accounts).await?;
            let password = accounts.new_password(&username, &password).await?;
            user::set_password(&accounts.context(), &username, &password).await?;
            output::line(&format!(
                "Set the password of {username}; their sessions have ended."
            ))?;
        }
    }
    Ok(())
}

/// `auth project …`
pub async fn project(command: cli::Project) -> Result<(), Failure> {
    match command {
        cli::Project::Create {
            path,
            visibility,
            accounts,
            format,
        } => {
            let path = namespace::parse_path(&path).map_err(Failure::usage)?;
            let accounts = Accounts::open(&accounts).await?;
            let new = NewProject {
                path,
                owner: None,
                visibility: visibility.into(),
            };
            let created = project::create(&accounts.context(), Caller::Administrator, new).await?;
            let sentence = format!("Created the project {}.", created.path);
            output::one(&ProjectRow::from(created), &sentence, format.output)?;
        }
        cli::Project::List { accounts, format } => {
            let accounts = Accounts::open(&accounts).await?;
            let projects = all(
                async |request| {
                    let all = ProjectFilter::seen_by(Caller::Administrator, accounts.clock.now());
                    project::list(&accounts.database, &all, request).await
                },
                |project| project.path.to_string(),
            )
            .await?;
            let rows: Vec<_> = projects.into_iter().map(ProjectRow::from).collect();
            output::list(&rows, format.output)?;
        }
        cli::Project::SetVisibility {
            path,
            visibility,
            accounts,
        } => {
            let path: RepositoryName = path.parse().map_err(Failure::usage)?;
            let accounts = Accounts::open(&accounts).await?;
            let found = project::find_by_path(&accounts.database, &path)
                .await?
                .ok_or_else(|| Failure::failed(format!("there is no project {path}")))?;
            let visibility = accounts::Visibility::from(visibility);
            let change = ProjectChange {
                visibility: Some(visibility),
            };
            project::update(&accounts.context(), found.id, change, None).await?;
            output::line(&format!("The project {path} is {visibility} now."))?;
        }
    }
    Ok(())
}

/// An open database of accounts, and how its owner wants passwords treated.
struct Accounts {
    database: Database,
    settings: Settings,
    clock: Clock,
}

impl Accounts {
    async fn open(which: &cli::Accounts) -> Result<Self, Failure> {
        let settings = if let Some(file) = &which.config {
            Settings::load(Some(file)).map_err(Failure::usage)?.0
        } else {
            up::require_served(&which.data.data_dir)?;
            up::auth_settings(&which.data.data_dir)?.0
        };
        Ok(Self {
            database: auth_server::open_database(&settings).await?,
            settings,
            clock: Clock::system(),
        })
    }

    /// What changes are made with, in the name of who runs this command.
    fn context(&self) -> Context {
        let user = std::env::var("USER").unwrap_or_default();
        Context {
            database: self.database.clone(),
            clock: self.clock.clone(),
            origin: Origin::local(Actor::operator(&user)),
        }
    }

    async fn set_disabled(&self, username: &Username, disabled: bool) -> Result<(), Failure> {
        let change = UserChange {
            disabled: Some(disabled),
            ..UserChange::default()
        };
        user::update(&self.context(), username, change, None).await?;
        Ok(())
    }

    async fn new_password(
        &self,
        username: &Username,
        source: &cli::NewPassword,
    ) -> Result<PasswordHash, Failure> {
        let password = password::read(source.password_stdin)?;
        let policy = self.settings.password.policy();
        let password = NewPassword::check(password, username, policy).map_err(Failure::usage)?;
        let passwords = self.settings.password.passwords(&self.clock)?;
        Ok(passwords.hash(password, &self.clock).await?)
    }
}

/// Every entry of a list that comes by page.
async fn all<T>(
    fetch: impl AsyncFn(&PageRequest) -> Result<accounts::Page<T>, database::Error>,
    key: impl Fn(&T) -> String,
) -> Result<Vec<T>, database::Error> {
    let mut entries: Vec<T> = Vec::new();
    loop {
        let request = PageRequest::new(entries.last().map(&key), PageRequest::MAX_LIMIT);
        let page = fetch(&request).await?;
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
    }
}

#[derive(Serialize)]
struct UserRow {
    username: String,
    email: Option<String>,
    admin: bool,
    disabled: bool,
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl From<User> for UserRow {
    fn from(user: User) -> Self {
        Self {
            disabled: user.is_disabled(),
            username: user.username.to_string(),
            email: user.email,
            admin: user.is_admin,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

impl Row for UserRow {
    const TITLES: &'static [&'static str] = &["NAME", "E-MAIL", "ROLE", "STATE", "LAST LOGIN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.email.clone().unwrap_or_default(),
            if self.admin { "admin" } else { "" }.to_owned(),
            if self.disabled { "disabled" } else { "active" }.to_owned(),
            self.last_login_at
                .map_or_else(|| "never".to_owned(), |at| short(&at)),
        ]
    }
}

#[derive(Serialize)]
struct ProjectRow {
    path: String,
    visibility: accounts::Visibility,
    created_at: DateTime<Utc>,
}

impl From<Project> for ProjectRow {
    fn from(project: Project) -> Self {
        Self {
            path: project.path.to_string(),
            visibility: project.visibility,
            created_at: project.created_at,
        }
    }
}

impl Row for ProjectRow {
    const TITLES: &'static [&'static str] = &["PATH", "VISIBILITY", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.path.clone(),
            self.visibility.to_string(),
            short(&self.created_at),
        ]
    }
}

impl From<cli::Visibility> for accounts::Visibility {
    fn from(visibility: cli::Visibility) -> Self {
        match visibility {
            cli::Visibility::Private => Self::Private,
            cli::Visibility::Public => Self::Public,
        }
    }
}

fn short(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
