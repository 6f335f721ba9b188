//! What an event consists of.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::accounts::User;

/// What acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// Somebody who has not shown who they are; the name is what they say of themselves.
    Anonymous,
    User,
    DeployToken,
    JobToken,
    /// Who has the database at hand: the command line without a server in between.
    Operator,
    /// The server itself: a job, a first start.
    System,
}

impl ActorKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::DeployToken => "deploy_token",
            Self::JobToken => "job_token",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    pub id: Option<Uuid>,
    pub name: String,
}

impl Actor {
    #[must_use]
    pub fn user(user: &User) -> Self {
        Self {
            kind: ActorKind::User,
            id: Some(user.id.0),
            name: user.username.to_string(),
        }
    }

    /// Who says to be `name`, and has not proven it. Cut to what a name can have.
    #[must_use]
    pub fn anonymous(name: &str) -> Self {
        const LENGTH: usize = 128;
        Self {
            kind: ActorKind::Anonymous,
            id: None,
            name: name
                .chars()
                .filter(|c| !c.is_control())
                .take(LENGTH)
                .collect(),
        }
    }

    /// `name`: what the operating system calls who runs the command.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self {
            kind: ActorKind::Operator,
            ..Self::anonymous(name)
        }
    }

    #[must_use]
    pub fn system() -> Self {
        Self {
            kind: ActorKind::System,
            id: None,
            name: "portcullis".to_owned(),
        }
    }
}

/// Who acts, and through what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub actor: Actor,
    /// The client's, as far as the proxies in between are trusted.
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
}

impl Origin {
    /// Something that no request has asked for.
    #[must_use]
    pub fn local(actor: Actor) -> Self {
        Self {
            actor,
            address: None,
            user_agent: None,
            request_id: None,
        }
    }
}

/// What was done or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    UserCreate,
    UserUpdate,
    UserDelete,
    UserDisable,
    UserEnable,
    UserSetPassword,
    GroupCreate,
    GroupUpdate,
    GroupDelete,
    ProjectCreate,
    ProjectUpdate,
    ProjectDelete,
    MemberSet,
    MemberRemove,
    GrantCreate,
    GrantUpdate,
    GrantDelete,
    TokenCreate,
    TokenRevoke,
    SessionCreate,
    SessionRevoke,
    KeyGenerate,
    KeyImport,
    KeyActivate,
    KeyRetire,
    /// With any credential, at the token realm or the admin API.
    Login,
    /// The token realm has issued no token.
    TokenRefuse,
    /// Events whose time was over are deleted.
    AuditPurge,
}

impl Action {
    pub const ALL: &[Self] = &[
        Self::UserCreate,
        Self::UserUpdate,
        Self::UserDelete,
        Self::UserDisable,
        Self::UserEnable,
        Self::UserSetPassword,
        Self::GroupCreate,
        Self::GroupUpdate,
        Self::GroupDelete,
        Self::ProjectCreate,
        Self::ProjectUpdate,
        Self::ProjectDelete,
        Self::MemberSet,
        Self::MemberRemove,
        Self::GrantCreate,
        Self::GrantUpdate,
        Self::GrantDelete,
        Self::TokenCreate,
        Self::TokenRevoke,
        Self::SessionCreate,
        Self::SessionRevoke,
        Self::KeyGenerate,
        Self::KeyImport,
        Self::KeyActivate,
        Self::KeyRetire,
        Self::Login,
        Self::TokenRefuse,
        Self::AuditPurge,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserCreate => "user.create",
            Self::UserUpdate => "user.update",
            Self::UserDelete => "user.delete",
            Self::UserDisable => "user.disable",
            Self::UserEnable => "user.enable",
            Self::UserSetPassword => "user.set_password",
            Self::GroupCreate => "group.create",
            Self::GroupUpdate => "group.update",
            Self::GroupDelete => "group.delete",
            Self::ProjectCreate => "project.create",
            Self::ProjectUpdate => "project.update",
            Self::ProjectDelete => "project.delete",
            Self::MemberSet => "member.set",
            Self::MemberRemove => "member.remove",
            Self::GrantCreate => "grant.create",
            Self::GrantUpdate => "grant.update",
            Self::GrantDelete => "grant.delete",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::SessionCreate => "session.create",
            Self::SessionRevoke => "session.revoke",
            Self::KeyGenerate => "key.generate",
            Self::KeyImport => "key.import",
            Self::KeyActivate => "key.activate",
            Self::KeyRetire => "key.retire",
            Self::Login => "login",
            Self::TokenRefuse => "token.refuse",
            Self::AuditPurge => "audit.purge",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
}

impl FromStr for Outcome {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "success" => Ok(Self::Success),
            "failure" => Ok(Self::Failure),
            _ => Err("the outcome is `success` or `failure`"),
        }
    }
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `user`, `group`, `project`, `member`, `grant`, `token`, `session`, `key`
    pub kind: &'static str,
    pub id: Option<Uuid>,
    pub name: String,
}

impl Subject {
    #[must_use]
    pub fn new(kind: &'static str, id: Option<Uuid>, name: impl Into<String>) -> Self {
        Self {
            kind,
            id,
            name: name.into(),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub action: Action,
    pub outcome: Outcome,
    pub subject: Option<Subject>,
    /// Why it failed, or was done, in a sentence.
    pub reason: Option<String>,
    /// What the subject was like before.
    pub before: Option<Value>,
    /// What it is like now.
    pub after: Option<Value>,
}

impl Event {
    #[must_use]
    pub fn success(action: Action, subject: Subject) -> Self {
        Self {
            action,
            outcome: Outcome::Success,
            subject: Some(subject),
            reason: None,
            before: None,
            after: None,
        }
    }

    #[must_use]
    pub fn failure(action: Action, subject: Option<Subject>, reason: impl Into<String>) -> Self {
        Self {
            action,
            outcome: Outcome::Failure,
            subject,
            reason: Some(reason.into()),
            before: None,
            after: None,
        }
    }

    #[must_use]
    pub fn before(self, state: impl Serialize) -> Self {
        Self {
            before: serde_json::to_value(state).ok(),
            ..self
        }
    }

    #[must_use]
    pub fn after(self, state: impl Serialize) -> Self {
        Self {
            after: serde_json::to_value(state).ok(),
            ..self
        }
    }

    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }
}
