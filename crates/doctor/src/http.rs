//! Asking a server, within bounds: of time, of size, and of whom a password is told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use rustls::ClientConfig;
use url::Url;

use crate::trust::{Trust, strictly, to_look};

const CONNECT: Duration = Duration::from_secs(5);

/// For an answer without a long body on either side.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The most of an answer that is read.
const MAX_BODY: usize = 256 * 1024;

/// What a server said.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub url: Url,
    /// When it came, by the clock of this machine.
    pub at: DateTime<Utc>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    }

    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The proxy that wrote this answer itself. Registries answer errors with JSON, proxies with a
    /// page.
    pub fn proxy(&self) -> Option<&'static str> {
        let page = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"));
        let text = self.text();
        let server = self.header("server").unwrap_or_default();
        let says = |word: &str| page && text.contains(word) || server.starts_with(word);
        if says("nginx") {
            Some("nginx")
        } else if says("Apache") {
            Some("Apache")
        } else if says("cloudflare") {
            Some("Cloudflare")
        } else {
            None
        }
    }

    /// The code of the first error in a registry's answer.
    pub fn error_code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.pointer("/errors/0/code")?.as_str()?.to_owned())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    TimedOut,
    Failed(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut => write!(f, "there was no answer in time"),
            Self::Failed(reason) => write!(f, "{reason}"),
        }
    }
}

/// Where the time comes from.
pub type Clock = fn() -> DateTime<Utc>;

/// Two clients: one that insists on trust, and one that looks at anything and is told no secret.
#[derive(Clone, Debug)]
pub struct Http {
    strict: Client,
    lenient: Client,
    clock: Clock,
}

impl Http {
    /// The error is one of this machine: TLS cannot be set up at all.
    pub fn new(trust: &Trust, clock: Clock) -> Result<Self, String> {
        Ok(Self {
            strict: client(strictly(trust.clone()))?,
            lenient: client(to_look())?,
            clock,
        })
    }

    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// Asks over a connection that may be anybody's. For nothing that is secret.
    pub fn look(&self, url: &Url) -> RequestBuilder {
        self.lenient.get(url.clone()).timeout(PATIENCE)
    }

    /// Asks over a connection that is known to be the server's.
    pub fn ask(&self, method: Method, url: &Url) -> RequestBuilder {
        self.strict.request(method, url.clone()).timeout(PATIENCE)
    }

    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Trouble> {
        let mut response = request.send().await.map_err(trouble)?;
        let at = self.now();
        let mut body = Vec::new();
        // An answer that breaks off still says what its headers say.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_BODY {
                break;
            }
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            body,
            at,
        })
    }
}

fn client(tls: Result<ClientConfig, rustls::Error>) -> Result<Client, String> {
    let tls = tls.map_err(|error| error.to_string())?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        // What is between here and the server is to be seen, not what a proxy of this machine says.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        // Bodies that arrive bit by bit are told from those that are held back on one connection.
        .http1_only()
        .user_agent(concat!("portcullis-doctor/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

/// Never with the URL, which holds what was asked.
fn trouble(error: reqwest::Error) -> Trouble {
    if error.is_timeout() {
        return Trouble::TimedOut;
    }
    let error = error.without_url();
    let mut deepest: &dyn std::error::Error = &error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let said = deepest.to_string();
    // The words of libraries for it speak of TLS and of messages.
    let closed = ["close_notify", "connection closed before message completed"];
    Trouble::Failed(if closed.iter().any(|words| said.contains(words)) {
        "the connection was closed before the answer".to_owned()
    } else {
        said
    })
}
