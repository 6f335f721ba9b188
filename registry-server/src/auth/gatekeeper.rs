//! [`Gatekeeper`]: verifies tokens and hands out proofs.
//!
//! Passwords are checked before, by [`Passwords`]: that takes long, and a token a microsecond.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use registry_token::{RepositoryName, Verifier, VerifyError};

use super::access::{Authenticated, Authorized, Caller, Permission, Pull, Push, UploadProof, Who};
use super::challenge::{Reason, Refusal};
use super::passwords::{KnownUser, Passwords};

/// Decides who comes in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gatekeeper {
    mode: Mode,
}

#[derive(Clone, Debug)]
enum Mode {
    /// Everybody may do everything.
    Open,
    Tokens {
        verifier: Arc<Verifier>,
        upload_grace: Duration,
    },
    /// Everybody in a file may do everything, as in distribution.
    Passwords(Passwords),
}

/// What a request brings to show who sends it.
#[derive(Clone, Copy, Debug)]
pub enum Presented<'r> {
    Nothing,
    /// A token, not verified yet.
    Token(&'r str),
    /// A name and its password, which is right.
    User(&'r KnownUser),
    WrongPassword,
}

impl Gatekeeper {
    /// Lets everybody in: the configuration says `auth: none`.
    pub fn open() -> Self {
        Self { mode: Mode::Open }
    }

    /// Believes the tokens that `verifier` believes; an upload may go on for `upload_grace` after
    /// its token has expired.
    pub fn with_tokens(verifier: Arc<Verifier>, upload_grace: Duration) -> Self {
        Self {
            mode: Mode::Tokens {
                verifier,
                upload_grace,
            },
        }
    }

    /// Lets in whoever is in the file.
    pub fn with_passwords(passwords: Passwords) -> Self {
        Self {
            mode: Mode::Passwords(passwords),
        }
    }

    /// What tokens are checked with, if they are what callers bring.
    pub fn verifier(&self) -> Option<&Arc<Verifier>> {
        match &self.mode {
            Mode::Tokens { verifier, .. } => Some(verifier),
            Mode::Open | Mode::Passwords(_) => None,
        }
    }

    /// What passwords are to be checked with, if they are what callers bring.
    pub fn passwords(&self) -> Option<&Passwords> {
        match &self.mode {
            Mode::Passwords(passwords) => Some(passwords),
            Mode::Open | Mode::Tokens { .. } => None,
        }
    }

    /// A caller with a valid token, whatever it allows.
    pub fn authenticate(
        &self,
        presented: Presented<'_>,
        now: DateTime<Utc>,
    ) -> Result<Authenticated, Refusal> {
        self.caller(presented, now)
            .map(|caller| Authenticated { caller })
            .map_err(|reason| Refusal::new(reason, Vec::new()))
    }

    /// The proof for `P` on `resource`.
    pub fn authorize<P: Permission>(
        &self,
        presented: Presented<'_>,
        resource: P::Resource,
        now: DateTime<Utc>,
    ) -> Result<Authorized<P>, Refusal> {
        match self.caller(presented, now) {
            Ok(caller) => caller.authorize(resource),
            Err(reason) => Err(Refusal::new(reason, P::scopes(&resource))),
        }
    }

    /// The proofs for mounting a blob of `source` into `target`. A token that lacks either is
    /// answered with the scopes of both.
    pub fn authorize_mount(
        &self,
        presented: Presented<'_>,
        target: RepositoryName,
        source: RepositoryName,
        now: DateTime<Utc>,
    ) -> Result<(Authorized<Push>, Authorized<Pull>), Refusal> {
        let mut scopes = Push::scopes(&target);
        scopes.extend(Pull::scopes(&source));
        let refuse = |reason| Refusal::new(reason, scopes);
        match self.caller(presented, now) {
            Ok(caller) => match (caller.authorize(target), caller.authorize(source)) {
                (Ok(push), Ok(pull)) => Ok((push, pull)),
                (Err(refusal), _) | (_, Err(refusal)) => {
                    Err(refuse(Reason::InsufficientScope).explained(refusal.denial()))
                }
            },
            Err(reason) => Err(refuse(reason)),
        }
    }

    /// What a request on an upload session brings: a token that allows `P`, or that did until it
    /// expired a while ago. Everything else about it must be right.
    pub fn continue_upload<P>(
        &self,
        presented: Presented<'_>,
        repository: RepositoryName,
        now: DateTime<Utc>,
    ) -> Result<UploadProof<P>, Refusal>
    where
        P: Permission<Resource = RepositoryName>,
    {
        let (caller, expired) = match self.caller(presented, now) {
            Ok(caller) => (caller, None),
            Err(reason) => match self.recently_expired(presented, &reason, now) {
                Some((caller, at)) => (caller, Some(at)),
                None => return Err(Refusal::new(reason, P::scopes(&repository))),
            },
        };
        let authorized = caller.authorize(repository)?;
        Ok(UploadProof {
            authorized,
            expired,
        })
    }

    /// The bearer of a token that was as good as any until the moment it expired, if that was not
    /// too long ago.
    fn recently_expired(
        &self,
        presented: Presented<'_>,
        reason: &Reason,
        now: DateTime<Utc>,
    ) -> Option<(Caller, DateTime<Utc>)> {
        let Mode::Tokens { upload_grace, .. } = &self.mode else {
            return None;
        };
        let Reason::InvalidToken(VerifyError::Expired { at }) = reason else {
            return None;
        };
        let overdue = now.signed_duration_since(at).to_std().ok()?;
        if overdue > *upload_grace {
            return None;
        }
        let caller = self.caller(presented, *at).ok()?;
        Some((caller, *at))
    }

    fn caller(&self, presented: Presented<'_>, now: DateTime<Utc>) -> Result<Caller, Reason> {
        let who = match (&self.mode, presented) {
            (Mode::Open, _) => Who::Anybody,
            (Mode::Tokens { verifier, .. }, Presented::Token(token)) => {
                let claims = verifier.verify(token, now);
                Who::Bearer(claims.map_err(Reason::InvalidToken)?)
            }
            (Mode::Passwords(_), Presented::User(user)) => Who::User(user.clone()),
            (_, Presented::WrongPassword) => return Err(Reason::WrongPassword),
            // A password where a token is wanted, and the other way round, are as good as nothing.
            (Mode::Tokens { .. } | Mode::Passwords(_), _) => return Err(Reason::NoToken),
        };
        Ok(Caller(who))
    }
}
