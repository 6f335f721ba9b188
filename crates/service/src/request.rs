//! What the server knows about the request it is working on, before any handler runs.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use actix_web::dev::{Payload, RequestHead};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::client_address::{Origin, TrustedProxies};
use crate::request_id::{self, RequestId};

/// The name of the handler that answers, for metrics: `manifest`, `blob_upload`. Put it on a
/// resource or scope with `.app_data(HandlerName("manifest"))`, or set it with
/// [`RequestContext::set_handler`], which wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerName(pub &'static str);

/// Id and client of a request. An extractor; cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestContext(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    id: RequestId,
    client: Option<IpAddr>,
    trusted_peer: bool,
    tls: bool,
    proxies: TrustedProxiesHandle,
    handler: Cell<Option<&'static str>>,
    handed_over: Cell<u64>,
    received: Cell<u64>,
    /// Whether somebody wants to know; if not, nothing is kept.
    wanted: Cell<bool>,
    facts: RefCell<Facts>,
}

/// What a handler knows of a request, for the access log and for traces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub subject: Option<String>,
    pub repository: Option<String>,
    pub action: Option<&'static str>,
}

/// The longest name that is logged, in characters: whoever issues tokens may put anything there.
const MAX_NAME: usize = 256;

/// Shared by all requests of a server.
pub(crate) type TrustedProxiesHandle = std::sync::Arc<TrustedProxies>;

impl RequestContext {
    /// The context of a request: the one that the server made, or, where an application runs
    /// without [`crate::server`] (its unit tests), one that trusts nobody.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        if let Some(context) = request.extensions().get::<Self>() {
            return context.clone();
        }
        let proxies = TrustedProxiesHandle::default();
        let context = Self::new(request.head(), request.app_config().secure(), &proxies);
        request.extensions_mut().insert(context.clone());
        context
    }

    pub(crate) fn new(head: &RequestHead, tls: bool, proxies: &TrustedProxiesHandle) -> Self {
        let headers = head.headers();
        let peer = head.peer_addr.map(|peer| peer.ip().to_canonical());
        let (client, trusted_peer) = match peer {
            Some(peer) if proxies.trusts(peer) => (Some(proxies.client(peer, headers)), true),
            Some(peer) => (Some(peer), false),
            None => (
                proxies.client_on_unix_socket(headers),
                proxies.trusts_unix(),
            ),
        };
        let id = trusted_peer
            .then(|| headers.get(request_id::HEADER))
            .flatten()
            .and_then(RequestId::from_header)
            .unwrap_or_else(RequestId::generate);
        Self(Rc::new(Inner {
            id,
            client,
            trusted_peer,
            tls,
            proxies: TrustedProxiesHandle::clone(proxies),
            handler: Cell::new(None),
            handed_over: Cell::new(0),
            received: Cell::new(0),
            wanted: Cell::new(false),
            facts: RefCell::default(),
        }))
    }

    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// The client's address; for a request over a Unix socket, the one that the proxy names.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// How the client addressed us: scheme, host and path prefix, by its own words and those of
    /// trusted proxies.
    #[must_use]
    pub fn origin(&self, request: &HttpRequest) -> Origin {
        self.0
            .proxies
            .origin(request.head(), self.0.trusted_peer, self.0.tls)
    }

    /// Whether a trusted proxy passed the request on: it says the truth about the client, and its
    /// own headers are its own.
    #[must_use]
    pub fn through_trusted_proxy(&self) -> bool {
        self.0.trusted_peer
    }

    /// Counts bytes, in metrics and the access log, that the proxy sends to the client in the place
    /// of this server.
    pub fn hand_over(&self, bytes: u64) {
        self.0.handed_over.set(bytes);
    }

    pub(crate) fn handed_over(&self) -> u64 {
        self.0.handed_over.get()
    }

    /// Counts bytes of the request's body, which need not say how long it is.
    pub fn receive(&self, bytes: usize) {
        let received = self.0.received.get();
        self.0.received.set(received + bytes as u64);
    }

    pub(crate) fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// Tells who sends the request, once that is known. Costs nothing if nobody wants to know.
    pub fn set_subject(&self, subject: Option<&str>) {
        if self.0.wanted.get() {
            self.0.facts.borrow_mut().subject = subject.map(bounded);
        }
    }

    /// Tells what the request is to do, and where. Costs nothing if nobody wants to know.
    pub fn set_action(&self, action: &'static str, repository: Option<&str>) {
        if self.0.wanted.get() {
            let mut facts = self.0.facts.borrow_mut();
            facts.action = Some(action);
            facts.repository = repository.map(bounded);
        }
    }

    /// Keeps what handlers tell from here on.
    pub(crate) fn want_facts(&self) {
        self.0.wanted.set(true);
    }

    pub(crate) fn facts(&self) -> Facts {
        self.0.facts.take()
    }

    /// Names the handler, for metrics.
    pub fn set_handler(&self, name: &'static str) {
        self.0.handler.set(Some(name));
    }

    pub(crate) fn handler(&self) -> Option<&'static str> {
        self.0.handler.get()
    }
}

fn bounded(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

impl FromRequest for RequestContext {
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self::of(request)))
    }
}
