//! What the tests share.

use chrono::DateTime;
use database::Database;
use registry_token::RepositoryName;

use crate::accounts::password::{HashCost, PasswordHash};
use crate::accounts::user::{self, NewUser, UserChange};
use crate::accounts::{NewPassword, PasswordPolicy, Passwords, User, Username};
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
