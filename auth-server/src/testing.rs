//! What the tests share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::Database;
use registry_token::RepositoryName;

use crate::accounts::group::{self, NewGroup};
use crate::accounts::login::Logins;
use crate::accounts::membership::{self, NewMembership};
use crate::accounts::password::{HashCost, PasswordHash};
use crate::accounts::project::{self, NewProject};
use crate::accounts::throttle::ThrottlePolicy;
use crate::accounts::user::{self, NewUser, UserChange};
use crate::accounts::{
    Caller, Expected, Group, NewPassword, PasswordPolicy, Passwords, Project, Role, User, Username,
    Visibility,
};
use crate::audit::{Actor, Origin};
use crate::clock::Clock;
use crate::context::Context;

/// As little work as argon2 accepts.
pub const CHEAP: HashCost = HashCost {
    memory: 8,
    iterations: 1,
    parallelism: 1,
};

/// A clock that stands at an ordinary moment.
pub fn clock() -> Clock {
    Clock::manual(DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap())
}

/// For changes that nobody in particular asks for.
pub fn context(database: &Database) -> Context {
    Context {
        database: database.clone(),
        clock: clock(),
        origin: Origin::local(Actor::operator("tester")),
    }
}

pub fn passwords() -> Passwords {
    Passwords::new(CHEAP, 2, 16, &clock()).unwrap()
}

/// So few failures that tests of other things do not come near them.
pub const THROTTLE: ThrottlePolicy = ThrottlePolicy {
    threshold: 5,
    address_threshold: 20,
    base_delay: Duration::from_secs(1),
    max_delay: Duration::from_mins(15),
};

pub fn logins() -> Logins {
    Logins::new(passwords(), THROTTLE, &clock())
}

pub fn name(text: &str) -> Username {
    text.parse().unwrap()
}

pub fn repository(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// A password that satisfies the policy, hashed.
pub async fn hash(password: &str) -> PasswordHash {
    let policy = PasswordPolicy { minimum_length: 12 };
    let password = NewPassword::check(password.into(), &name("anybody"), policy).unwrap();
    passwords().hash(password, &clock()).await.unwrap()
}

/// Changes in the name of an operator.
pub fn context_at(database: &Database, clock: &Clock) -> Context {
    Context {
        database: database.clone(),
        clock: clock.clone(),
        origin: Origin::local(Actor::operator("tester")),
    }
}

pub async fn set_disabled(context: &Context, username: &str, disabled: bool) -> User {
    let change = UserChange {
        disabled: Some(disabled),
        ..UserChange::default()
    };
    user::update(context, &name(username), change, None)
        .await
        .unwrap()
}

/// A user that cannot log in yet.
pub fn new_user(username: &str) -> NewUser {
    NewUser {
        username: name(username),
        email: None,
        is_admin: false,
        password: None,
    }
}

/// A user that exists.
pub async fn user(context: &Context, new: NewUser) -> User {
    user::create(context, new).await.unwrap()
}

/// Makes users, groups, projects and members, as an administrator.
pub struct World(pub Context);

impl World {
    pub fn new(database: &Database) -> Self {
        Self(context(database))
    }

    pub async fn user(&self, username: &str) -> User {
        user(&self.0, new_user(username)).await
    }

    pub async fn group(&self, path: &str) -> Group {
        self.group_with(path, false).await
    }

    pub async fn group_with(&self, path: &str, create_on_push: bool) -> Group {
        let new = NewGroup {
            path: repository(path),
            owner: None,
            create_on_push,
        };
        group::create(&self.0, Caller::Administrator, new)
            .await
            .unwrap()
    }

    pub async fn project(&self, path: &str, visibility: Visibility) -> Project {
        let new = NewProject {
            path: repository(path),
            owner: None,
            visibility,
        };
        project::create(&self.0, Caller::Administrator, new)
            .await
            .unwrap()
    }

    pub async fn member(&self, path: &str, username: &str, role: Role) {
        self.member_until(path, username, role, None).await;
    }

    pub async fn member_until(
        &self,
        path: &str,
        username: &str,
        role: Role,
        expires_at: Option<DateTime<Utc>>,
    ) {
        let new = NewMembership { role, expires_at };
        let (path, username) = (repository(path), name(username));
        membership::set(
            &self.0,
            Caller::Administrator,
            &path,
            &username,
            new,
            Expected::Anything,
        )
        .await
        .unwrap();
    }

    /// What the audit log says: the actions, in their order.
    pub async fn audited(&self) -> Vec<String> {
        let mut tx = self.0.database.read().await.unwrap();
        let rows = database::sql!(
            &mut tx,
            fetch_all(String, String),
            "SELECT action, subject_name FROM audit_events ORDER BY number"
        );
        rows.unwrap()
            .into_iter()
            .map(|(action, subject)| format!("{action} {subject}"))
            .collect()
    }
}
