//! The proofs. Their fields are private to [`auth`](super) and their constructors are too: whoever
//! holds one got it from the [`Gatekeeper`](super::Gatekeeper).

use std::marker::PhantomData;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use registry_token::{AccessEntry, Action, Claims, RepositoryName, Resource, VerifyError};

use super::challenge::{Reason, Refusal};
use super::passwords::KnownUser;

/// A caller whose token is valid, whatever it allows. All that `GET /v2/` asks for.
#[derive(Clone, Debug)]
pub struct Authenticated {
    pub(super) caller: Caller,
}

/// Who sends a request, as far as the registry knows.
#[derive(Clone, Debug)]
pub struct Caller(pub(super) Who);

#[derive(Clone, Debug)]
pub(super) enum Who {
    /// Anybody: the configuration says `auth: none`, everything is allowed.
    Anybody,
    /// The bearer of a valid token, which says what is allowed.
    Bearer(Arc<Claims>),
    /// Somebody in the file of passwords, which allows everything.
    User(KnownUser),
}

/// The right to do `P`, for one repository or for the catalog.
#[derive(Clone, Debug)]
pub struct Authorized<P: Permission> {
    resource: P::Resource,
    caller: Caller,
    permission: PhantomData<P>,
}

/// What a proof is for. The implementations are here and nowhere else.
pub trait Permission: sealed::Sealed {
    /// What it is granted on.
    type Resource: Clone + std::fmt::Debug;

    /// Its name in the access log.
    const ACTION: &'static str;

    #[doc(hidden)]
    fn granted(claims: &Claims, resource: &Self::Resource) -> bool;

    /// The scopes a token needs for it, as they stand in a challenge.
    #[doc(hidden)]
    fn scopes(resource: &Self::Resource) -> Vec<String>;

    /// What the token says about its not allowing that. Words, which decide nothing.
    #[doc(hidden)]
    fn denial<'c>(claims: &'c Claims, resource: &Self::Resource) -> Option<&'c str>;
}

/// Reading a repository.
#[derive(Clone, Copy, Debug)]
pub struct Pull;

/// Writing to a repository. Includes reading: a client that pushes asks first what is there, so
/// `push` alone is not enough.
#[derive(Clone, Copy, Debug)]
pub struct Push;

/// Deleting tags, manifests and blobs of a repository.
#[derive(Clone, Copy, Debug)]
pub struct Delete;

/// Listing the repositories of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Catalog;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Pull {}
    impl Sealed for super::Push {}
    impl Sealed for super::Delete {}
    impl Sealed for super::Catalog {}
}

impl Permission for Pull {
    type Resource = RepositoryName;
    const ACTION: &'static str = "pull";

    fn granted(claims: &Claims, repository: &RepositoryName) -> bool {
        claims.access.allows(repository, Action::Pull)
    }

    fn scopes(repository: &RepositoryName) -> Vec<String> {
        vec![format!("repository:{repository}:pull")]
    }

    fn denial<'c>(claims: &'c Claims, repository: &RepositoryName) -> Option<&'c str> {
        claims.denials.of(repository)
    }
}

impl Permission for Push {
    type Resource = RepositoryName;
    const ACTION: &'static str = "push";

    fn granted(claims: &Claims, repository: &RepositoryName) -> bool {
        claims.access.allows(repository, Action::Pull)
            && claims.access.allows(repository, Action::Push)
    }

    fn scopes(repository: &RepositoryName) -> Vec<String> {
        vec![format!("repository:{repository}:pull,push")]
    }

    fn denial<'c>(claims: &'c Claims, repository: &RepositoryName) -> Option<&'c str> {
        claims.denials.of(repository)
    }
}

impl Permission for Delete {
    type Resource = RepositoryName;
    const ACTION: &'static str = "delete";

    fn granted(claims: &Claims, repository: &RepositoryName) -> bool {
        claims.access.allows(repository, Action::Delete)
    }

    fn scopes(repository: &RepositoryName) -> Vec<String> {
        vec![format!("repository:{repository}:delete")]
    }

    fn denial<'c>(claims: &'c Claims, repository: &RepositoryName) -> Option<&'c str> {
        claims.denials.of(repository)
    }
}

impl Permission for Catalog {
    type Resource = ();
    const ACTION: &'static str = "catalog";

    fn granted(claims: &Claims, (): &()) -> bool {
        claims.access.allows_catalog()
    }

    fn scopes((): &()) -> Vec<String> {
        vec!["registry:catalog:*".to_owned()]
    }

    fn denial<'c>(_: &'c Claims, (): &()) -> Option<&'c str> {
        None
    }
}

impl Authenticated {
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Caller {
    /// Their name; `None` for an anonymous caller.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match &self.0 {
            Who::Anybody => None,
            Who::Bearer(claims) => claims.subject.as_deref(),
            Who::User(user) => Some(user.name()),
        }
    }

    /// What the token says; `None` where everything is allowed without one.
    fn claims(&self) -> Option<&Claims> {
        match &self.0 {
            Who::Bearer(claims) => Some(claims),
            Who::Anybody | Who::User(_) => None,
        }
    }

    /// The repositories this caller may pull from, as far as that can be listed: those its token
    /// names. `None` where it takes no token and everything is.
    #[must_use]
    pub fn pullable(&self) -> Option<Vec<RepositoryName>> {
        let claims = self.claims()?;
        let pullable = |entry: &AccessEntry| match &entry.resource {
            Resource::Repository(name) if entry.actions.contains(Action::Pull) => {
                Some(name.clone())
            }
            Resource::Repository(_) | Resource::RegistryCatalog | Resource::Other { .. } => None,
        };
        Some(claims.access.iter().filter_map(pullable).collect())
    }

    /// The proof for `P` on `resource`, if the token allows it.
    pub fn authorize<P: Permission>(
        &self,
        resource: P::Resource,
    ) -> Result<Authorized<P>, Refusal> {
        match self.claims() {
            Some(claims) if !P::granted(claims, &resource) => {
                let refusal = Refusal::new(Reason::InsufficientScope, P::scopes(&resource));
                Err(refusal.explained(P::denial(claims, &resource)))
            }
            None | Some(_) => Ok(Authorized {
                resource,
                caller: self.clone(),
                permission: PhantomData,
            }),
        }
    }
}

impl<P: Permission> Authorized<P> {
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl<P: Permission<Resource = RepositoryName>> Authorized<P> {
    /// The repository that the proof is for; there is no other way for a handler to name one.
    #[must_use]
    pub fn repository(&self) -> &RepositoryName {
        &self.resource
    }
}

impl Authorized<Push> {
    /// Whoever may push may pull.
    #[must_use]
    pub fn pull(&self) -> Authorized<Pull> {
        Authorized {
            resource: self.resource.clone(),
            caller: self.caller.clone(),
            permission: PhantomData,
        }
    }
}

/// What a request on an upload session brings: a token that was right for `P` on the repository,
/// though it may have expired since.
///
/// A layer of many gigabytes takes longer than a token lives. So the push is authorized when the
/// session opens, and an expired token still continues *that session*: see [`redeem`](Self::redeem).
#[derive(Clone, Debug)]
pub struct UploadProof<P: Permission<Resource = RepositoryName>> {
    pub(super) authorized: Authorized<P>,
    /// When the token expired, if it did.
    pub(super) expired: Option<DateTime<Utc>>,
}

impl<P: Permission<Resource = RepositoryName>> UploadProof<P> {
    /// The right to continue a session that `subject` opened at `opened`.
    ///
    /// A valid token for the repository is enough. An expired one must be of the same subject, and
    /// must have been valid when the session opened.
    pub fn redeem(
        self,
        subject: Option<&str>,
        opened: DateTime<Utc>,
    ) -> Result<Authorized<P>, Refusal> {
        match self.refusal() {
            None => Ok(self.authorized),
            Some((expired, _))
                if self.authorized.caller.subject() == subject && opened <= expired =>
            {
                Ok(self.authorized)
            }
            Some((_, refusal)) => Err(refusal),
        }
    }

    /// The right to continue a session that does not exist: none, if the token has expired. Only
    /// who may open sessions here learns which there are.
    pub fn redeem_nothing(&self) -> Result<(), Refusal> {
        match self.refusal() {
            None => Ok(()),
            Some((_, refusal)) => Err(refusal),
        }
    }

    /// When the token expired, and the answer to that.
    fn refusal(&self) -> Option<(DateTime<Utc>, Refusal)> {
        let at = self.expired?;
        let reason = Reason::InvalidToken(VerifyError::Expired { at });
        Some((
            at,
            Refusal::new(reason, P::scopes(&self.authorized.resource)),
        ))
    }

    pub fn repository(&self) -> &RepositoryName {
        &self.authorized.resource
    }

    /// Who brings it.
    pub fn caller(&self) -> &Caller {
        &self.authorized.caller
    }
}
