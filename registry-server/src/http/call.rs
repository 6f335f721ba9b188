//! One request of the API, seen through its route: proofs, parameters, headers, and the URLs that
//! its answer may name.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Payload;
use registry_token::RepositoryName;
use service::request::RequestContext;

use super::body::Incoming;
use super::error::Error;
use super::header_value;
use super::identity::Identity;
use super::query::Query;
use super::route::{Endpoint, Route};
use crate::auth::{Authenticated, Authorized, Catalog, Permission, Pull, Push, UploadProof};
use crate::blob_store::Blob;
use crate::oci::{Digest, Reference};
use crate::registry::{self, Registry};
use crate::state::State;

/// A request to an endpoint.
pub struct Call<'c> {
    pub request: &'c HttpRequest,
    pub state: &'c State,
    route: Route<'c>,
    identity: Identity<'c>,
    context: &'c RequestContext,
}

impl<'c> Call<'c> {
    pub fn new(
        request: &'c HttpRequest,
        state: &'c State,
        route: Route<'c>,
        identity: Identity<'c>,
        context: &'c RequestContext,
    ) -> Self {
        Self {
            request,
            state,
            route,
            identity,
            context,
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        self.route.endpoint
    }

    pub fn method(&self) -> &str {
        self.request.method().as_str()
    }

    pub fn registry(&self) -> &'c Arc<Registry> {
        &self.state.registry
    }

    /// Whoever has a valid token, or a password.
    pub fn authenticated(&self) -> Result<Authenticated, Error> {
        let now = self.state.clock.now();
        let gatekeeper = &self.state.gatekeeper;
        let authenticated = gatekeeper
            .authenticate(self.identity.presented(), now)
            .map_err(refused)?;
        self.context.set_subject(authenticated.caller().subject());
        Ok(authenticated)
    }

    /// The proof for `P` on the repository in the path.
    pub fn authorized<P>(&self) -> Result<Authorized<P>, Error>
    where
        P: Permission<Resource = RepositoryName>,
    {
        let repository = self.repository()?;
        self.context
            .set_action(P::ACTION, Some(repository.as_str()));
        let now = self.state.clock.now();
        let gatekeeper = &self.state.gatekeeper;
        let authorized = gatekeeper
            .authorize(self.identity.presented(), repository, now)
            .map_err(refused)?;
        self.context.set_subject(authorized.caller().subject());
        Ok(authorized)
    }

    /// The proof for listing repositories.
    pub fn catalog(&self) -> Result<Authorized<Catalog>, Error> {
        self.context.set_action(Catalog::ACTION, None);
        let now = self.state.clock.now();
        let gatekeeper = &self.state.gatekeeper;
        let authorized: Authorized<Catalog> = gatekeeper
            .authorize(self.identity.presented(), (), now)
            .map_err(refused)?;
        self.context.set_subject(authorized.caller().subject());
        Ok(authorized)
    }

    /// The proofs for starting an upload: pushing here and, with `?from=`, pulling there.
    pub fn authorized_mount(&self) -> Result<(Authorized<Push>, Option<Authorized<Pull>>), Error> {
        let query = self.query();
        // Without `mount`, `from` says nothing.
        let source = match (query.get("mount"), query.get("from")) {
            (Some(_), Some(from)) if !from.is_empty() => from,
            _ => return Ok((self.authorized()?, None)),
        };
        let repository = self.repository()?;
        self.context
            .set_action(Push::ACTION, Some(repository.as_str()));
        let source = RepositoryName::parse(&source).map_err(Error::Source)?;
        let now = self.state.clock.now();
        let (push, pull) = self
            .state
            .gatekeeper
            .authorize_mount(self.identity.presented(), repository, source, now)
            .map_err(refused)?;
        self.context.set_subject(push.caller().subject());
        Ok((push, Some(pull)))
    }

    /// What the request brings to continue an upload.
    pub fn upload_proof<P>(&self) -> Result<UploadProof<P>, Error>
    where
        P: Permission<Resource = RepositoryName>,
    {
        let repository = self.repository()?;
        self.context
            .set_action(P::ACTION, Some(repository.as_str()));
        let now = self.state.clock.now();
        let proof = self
            .state
            .gatekeeper
            .continue_upload(self.identity.presented(), repository, now)
            .map_err(refused)?;
        self.context.set_subject(proof.caller().subject());
        Ok(proof)
    }

    /// The body of the request.
    pub fn body(&self, payload: Payload) -> Incoming {
        let patience = self.state.site.settings.idle_timeout;
        Incoming::new(payload, patience, self.context.clone())
    }

    fn repository(&self) -> Result<RepositoryName, Error> {
        RepositoryName::parse(&self.route.name).map_err(Error::Name)
    }

    /// The last part of the path as a digest.
    pub fn digest(&self) -> Result<Digest, Error> {
        self.route.target.parse().map_err(Error::Digest)
    }

    /// The last part of the path as a tag or digest.
    pub fn reference(&self) -> Result<Reference, Error> {
        self.route.target.parse().map_err(Error::Reference)
    }

    /// The last part of the path as an upload's id. What is none was never handed out.
    pub fn upload_id(&self) -> Result<uuid::Uuid, Error> {
        self.route
            .target
            .parse()
            .map_err(|_| registry::Error::UploadUnknown.into())
    }

    pub fn query(&self) -> Query<'c> {
        Query::new(self.request.query_string())
    }

    /// A parameter that holds a digest.
    pub fn digest_parameter(&self, parameter: &'static str) -> Result<Option<Digest>, Error> {
        self.query()
            .get(parameter)
            .map(|digest| digest.parse())
            .transpose()
            .map_err(|source| Error::DigestParameter { parameter, source })
    }

    /// A header's value. One that is not readable text counts as absent.
    pub fn header(&self, name: HeaderName) -> Option<&'c str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// What goes out instead of a blob's bytes if the proxy in front sends them.
    pub fn hand_over(&self, blob: &Blob, digest: &Digest) -> Option<(HeaderName, HeaderValue)> {
        let handover = self.state.site.settings.handover.as_ref()?;
        if !handover.is_offered(self.request) {
            return None;
        }
        handover.header(&blob.below_blobs(digest)?)
    }

    /// `Location`: where `path`, which begins below the prefix (`/v2/…`), is for this client.
    pub fn location(&self, path: &str) -> (HeaderName, HeaderValue) {
        let base = self.state.site.base(self.request);
        (header::LOCATION, header_value(&format!("{base}{path}")))
    }

    /// `Link`: where the next page of a list is (RFC 8288).
    pub fn link(&self, path: &str, query: &str) -> (HeaderName, HeaderValue) {
        let base = self.state.site.base(self.request);
        let link = format!("<{base}{path}?{query}>; rel=\"next\"");
        (header::LINK, header_value(&link))
    }
}

fn refused(refusal: crate::auth::Refusal) -> Error {
    Error::Registry(registry::Error::Refused(refusal))
}
