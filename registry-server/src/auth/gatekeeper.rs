//! [`Gatekeeper`]: verifies tokens and hands out proofs.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use registry_token::{RepositoryName, Verifier, VerifyError};

use super::access::{Authenticated, Authorized, Caller, Permission, Pull, Push, UploadProof};
use super::challenge::{Reason, Refusal};

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

    /// A caller with a valid token, whatever it allows.
    pub fn authenticate(
        &self,
        token: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Authenticated, Refusal> {
        self.caller(token, now)
            .map(|caller| Authenticated { caller })
            .map_err(|reason| Refusal::new(reason, Vec::new()))
    }

    /// The proof for `P` on `resource`.
    pub fn authorize<P: Permission>(
        &self,
        token: Option<&str>,
        resource: P::Resource,
        now: DateTime<Utc>,
    ) -> Result<Authorized<P>, Refusal> {
        match self.caller(token, now) {
            Ok(caller) => caller.authorize(resource),
            Err(reason) => Err(Refusal::new(reason, P::scopes(&resource))),
        }
    }

    /// The proofs for mounting a blob of `source` into `target`. A token that lacks either is
    /// answered with the scopes of both.
    pub fn authorize_mount(
        &self,
        token: Option<&str>,
        target: RepositoryName,
        source: RepositoryName,
        now: DateTime<Utc>,
    ) -> Result<(Authorized<Push>, Authorized<Pull>), Refusal> {
        let mut scopes = Push::scopes(&target);
        scopes.extend(Pull::scopes(&source));
        let refuse = |reason| Refusal::new(reason, scopes);
        match self.caller(token, now) {
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
        token: Option<&str>,
        repository: RepositoryName,
        now: DateTime<Utc>,
    ) -> Result<UploadProof<P>, Refusal>
    where
        P: Permission<Resource = RepositoryName>,
    {
        let (caller, expired) = match self.caller(token, now) {
            Ok(caller) => (caller, None),
            Err(reason) => match self.recently_expired(token, &reason, now) {
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
        token: Option<&str>,
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
        let caller = self.caller(token, *at).ok()?;
        Some((caller, *at))
    }

    fn caller(&self, token: Option<&str>, now: DateTime<Utc>) -> Result<Caller, Reason> {
        let Mode::Tokens { verifier, .. } = &self.mode else {
            return Ok(Caller { claims: None });
        };
        let token = token.ok_or(Reason::NoToken)?;
        verifier
            .verify(token, now)
            .map(|claims| Caller {
                claims: Some(claims),
            })
            .map_err(Reason::InvalidToken)
    }
}
