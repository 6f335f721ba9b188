//! What is said to the authority, from the account to the certificate (RFC 8555, 7.4).

use std::error::Error as StdError;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use secrecy::SecretString;

use super::LetsEncryptSettings;
use super::cache::{Cache, CacheError, Content, Issued, KnownAccount};
use super::challenge::{Challenges, SelfSignedError};

/// How long one answer of the authority may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// A chain has a few kilobytes.
const LONGEST_ANSWER: usize = 1 << 20;
/// How long the authority may take to look at all names, and then to issue.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_mins(2));
/// What RFC 8555, 6.7, puts before the kind of a problem.
const PROBLEM: &str = "urn:ietf:params:acme:error:";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("cannot ask the authority: {0}")]
    Unreachable(String),
    #[error("the authority refuses: {}", told(.0))]
    Refused(Problem),
    #[error("the authority cannot confirm {host}: {}", told(.problem))]
    Unconfirmed { host: String, problem: Problem },
    #[error("the authority offers no TLS-ALPN-01 for {0}")]
    NoChallenge(String),
    #[error("the authority does not answer as RFC 8555 says: {0}")]
    Unexpected(String),
    #[error("what the authority issued is of no use: {0}")]
    Unusable(String),
    #[error(transparent)]
    OwnCertificate(#[from] SelfSignedError),
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl OrderError {
    /// What an operator can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "this server has to reach `directoryurl`, and to trust the certificate there (an \
                 authority of your own: SSL_CERT_FILE)"
            }
            Self::Refused(problem) | Self::Unconfirmed { problem, .. } => match kind(problem) {
                "connection" | "tls" => {
                    "the authority has to reach this server at port 443 of each of `hosts`: look at \
                     the DNS, the firewall, and what is forwarded to `http.addr`"
                }
                "unauthorized" | "incorrectResponse" => {
                    "another server answers at port 443 of this name, a proxy perhaps: it has to pass \
                     TLS on unopened, or to order the certificate itself"
                }
                "dns" => "the name has to be in the DNS that the authority asks",
                "caa" => "a CAA record in the DNS reserves the domain for other authorities",
                "rejectedIdentifier" => {
                    "this authority issues nothing for this name: correct `hosts`"
                }
                "rateLimited" => {
                    "too much was asked lately: wait, and see to it that `cachefile` outlives the server"
                }
                "invalidContact" | "unsupportedContact" => "correct `email`",
                "externalAccountRequired" => {
                    "this authority knows its accounts beforehand, which is not supported: have a proxy \
                     order the certificate"
                }
                _ => "the authority's words say what it wants",
            },
            Self::NoChallenge(_) => "have a proxy order the certificate, in another way",
            Self::Unexpected(_) => "is `directoryurl` the directory of an ACME authority?",
            Self::Unusable(_) => "look at the authority, and at the clock of this machine",
            Self::OwnCertificate(_) => "correct `hosts`",
            Self::Cache(_) => "correct `cachefile`",
        }
    }

    /// Whether the authority knows nothing of the attempt, and so does not count it.
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// The account went with the data of an authority that began anew.
    fn is_lost_account(&self) -> bool {
        matches!(self, Self::Refused(problem) if kind(problem) == "accountDoesNotExist")
    }
}

impl From<Error> for OrderError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Refused(problem),
            Error::Other(cause) => Self::Unreachable(cause.to_string()),
            other => Self::Unexpected(other.to_string()),
        }
    }
}

/// Its words, and what it names in particular.
fn told(problem: &Problem) -> String {
    let detail = problem.detail.clone().unwrap_or_default();
    let parts = problem.subproblems.iter().map(|part| format!("; {part}"));
    format!("{detail} ({}){}", kind(problem), parts.collect::<String>())
}

fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or("unknown");
    kind.strip_prefix(PROBLEM).unwrap_or(kind)
}

/// An order to be made.
pub(super) struct Ordering<'o> {
    pub settings: &'o LetsEncryptSettings,
    pub cache: &'o Cache,
    pub challenges: &'o Challenges,
}

impl Ordering<'_> {
    /// A certificate for all hosts. The account is kept from its first use on: authorities are strict
    /// about new ones.
    pub async fn place(&self) -> Result<Issued, OrderError> {
        let issued = match self.try_place().await {
            Err(error) if error.is_lost_account() => {
                tracing::info!("the authority does not know the account any more; making another");
                self.change(|content| content.account = None).await?;
                self.try_place().await
            }
            result => result,
        };
        self.challenges.clear();
        issued
    }

    async fn try_place(&self) -> Result<Issued, OrderError> {
        let account = self.account().await?;
        let hosts = &self.settings.hosts;
        let identifiers: Vec<_> = hosts.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        self.answer(&mut order).await?;
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => {}
            ready => return Err(explain(&mut order, ready).await),
        }
        let key = KeyPair::generate().map_err(SelfSignedError::from)?;
        order.finalize_csr(&signing_request(hosts, &key)?).await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        let key = SecretString::from(key.serialize_pem());
        Ok(Issued { chain, key })
    }

    async fn account(&self) -> Result<Account, OrderError> {
        let LetsEncryptSettings {
            email,
            directoryurl,
            ..
        } = self.settings;
        let contact = email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let builder = Account::builder_with_http(Box::new(Http::new()?));
        let known = self.read().await?.account;
        if let Some(known) = known {
            let account = builder.from_credentials(known.credentials).await?;
            if known.email != *email {
                account.update_contacts(&contact).await?;
                let email = email.clone();
                self.change(|content| {
                    if let Some(known) = &mut content.account {
                        known.email = email;
                    }
                })
                .await?;
            }
            return Ok(account);
        }
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder.create(&wanted, directoryurl.clone(), None).await?;
        let email = email.clone();
        self.change(|content| content.account = Some(KnownAccount { credentials, email }))
            .await?;
        Ok(account)
    }

    /// Shows the authority what it is about to look for, and tells it to look.
    async fn answer(&self, order: &mut Order) -> Result<(), OrderError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            // Confirmed lately: it does not look again.
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let host = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(OrderError::NoChallenge(host));
            };
            let digest = challenge.key_authorization().digest();
            let digest = <[u8; 32]>::try_from(digest.as_ref())
                .map_err(|error| OrderError::Unexpected(error.to_string()))?;
            self.challenges.put(&host, digest)?;
            challenge.set_ready().await?;
        }
        Ok(())
    }

    pub async fn keep(&self, issued: &Issued) -> Result<(), CacheError> {
        let issued = issued.clone();
        self.change(|content| content.certificate = Some(issued))
            .await
    }

    async fn read(&self) -> Result<Content, CacheError> {
        let (cache, directory) = (self.cache.clone(), self.settings.directoryurl.clone());
        self.blocking(move || cache.read(&directory)).await
    }

    async fn change(&self, change: impl FnOnce(&mut Content)) -> Result<(), CacheError> {
        let mut content = self.read().await?;
        change(&mut content);
        let cache = self.cache.clone();
        self.blocking(move || cache.write(&content)).await
    }

    /// On a network file system, files may block for long.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, CacheError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(CacheError::Unreadable {
                path: self.cache.path().to_owned(),
                source: error.into(),
            }),
        }
    }
}

fn signing_request(hosts: &[String], key: &KeyPair) -> Result<Vec<u8>, SelfSignedError> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// The order says that it failed; the authorizations say of which name, and why.
async fn explain(order: &mut Order, ready: Result<OrderStatus, Error>) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let host = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else {
            break;
        };
        let problem = state.challenges.iter().find_map(|one| one.error.clone());
        if let Some(problem) = problem {
            return OrderError::Unconfirmed { host, problem };
        }
    }
    match ready {
        Ok(status) => OrderError::Unexpected(format!("the order became {status:?}")),
        Err(error) => error.into(),
    }
}

/// The client that all of the program has: it trusts what the machine trusts.
struct Http(reqwest::Client);

impl Http {
    fn new() -> Result<Self, OrderError> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::limited(3))
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .build();
        client
            .map(Self)
            .map_err(|error| OrderError::Unreachable(with_causes(&error)))
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            exchange(&client, request.map(reqwest::Body::wrap))
                .await
                .map_err(|reason| Error::Other(reason.into()))
        })
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: http::Request<reqwest::Body>,
) -> Result<BytesResponse, String> {
    let failed = |error: reqwest::Error| with_causes(&error);
    let mut answer = client
        .execute(request.try_into().map_err(failed)?)
        .await
        .map_err(failed)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err("the answer does not end".to_owned());
        }
    }
    let (parts, _) = http::Response::from(answer).into_parts();
    let body = Box::new(body.freeze());
    Ok(BytesResponse { parts, body })
}

/// "error sending request for url (…): client error (Connect): connection refused"
fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let sentences: Vec<String> = causes.map(ToString::to_string).collect();
    sentences.join(": ")
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
