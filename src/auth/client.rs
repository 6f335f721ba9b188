//! [`Client`]: talks to the admin API of a server elsewhere, or of this very process.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use reqwest::{Certificate, Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::failure::{self, Failure};

/// Changing a password takes a moment, and a busy server takes its time.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Thousands of users are made one by one.
const IMPORT_TIMEOUT: Duration = Duration::from_mins(10);
/// What is read piece by piece may be long.
const STREAM_TIMEOUT: Duration = Duration::from_hours(24);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is read: a page of a list is far smaller.
const MAX_ANSWER: usize = 16 << 20;

/// What a segment of a path may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A path of the admin API, whatever the names in it.
#[derive(Debug)]
pub struct ApiPath(String);

impl ApiPath {
    pub fn new<'s>(segments: impl IntoIterator<Item = &'s str>) -> Self {
        let mut path = String::from("/api/v1");
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        Self(path)
    }
}

/// A caller of the admin API.
pub struct Client {
    http: reqwest::Client,
    origin: Url,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Client({})", self.origin)
    }
}

impl Client {
    /// Of a server elsewhere. `authority`: a PEM file of the certificate authority that has signed
    /// the server's certificate, beside those that the system trusts.
    pub fn remote(
        origin: Url,
        token: &SecretString,
        authority: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut builder = builder(token)?;
        if let Some(file) = authority {
            let pem = std::fs::read(file)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            for certificate in Certificate::from_pem_bundle(&pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build()?;
        Ok(Self { http, origin })
    }

    /// Of this process, on a Unix socket.
    pub fn local(socket: &Path, token: &SecretString) -> Result<Self, Failure> {
        Ok(Self {
            http: builder(token)?.unix_socket(socket).build()?,
            origin: Url::parse("http://localhost")?,
        })
    }

    pub async fn get(&self, path: &ApiPath, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let request = self.request(Method::GET, path)?.query(query);
        json(self.send(request).await?).await
    }

    /// All entries of a list, page after page.
    pub async fn list(
        &self,
        path: &ApiPath,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let mut entries = Vec::new();
        let request = self.request(Method::GET, path)?;
        let mut request = request.query(&[("limit", "200")]).query(query);
        loop {
            let answer = self.send(request).await?;
            let next = next_page(answer.headers());
            let Value::Array(page) = json(answer).await? else {
                return Err(Failure::failed("the server's answer is no list"));
            };
            entries.extend(page);
            let Some(next) = next else {
                return Ok(entries);
            };
            request = self.http.get(self.origin.join(&next)?);
        }
    }

    /// The answer as it comes, to be read piece by piece.
    pub async fn stream(
        &self,
        path: &ApiPath,
        query: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let request = self.request(Method::GET, path)?.query(query);
        self.send(request.timeout(STREAM_TIMEOUT)).await
    }

    pub async fn post(&self, path: &ApiPath, body: &Value) -> Result<Value, Failure> {
        self.change(Method::POST, path, Some(body)).await
    }

    /// The same with the bytes of a text, and what the query says about them.
    pub async fn post_text(
        &self,
        path: &ApiPath,
        query: &[(&str, &str)],
        text: Vec<u8>,
    ) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path)?.query(query);
        let request = request
            .header(CONTENT_TYPE, "text/plain")
            .timeout(IMPORT_TIMEOUT)
            .body(text);
        json(self.send(request).await?).await
    }

    pub async fn put(&self, path: &ApiPath, body: &Value) -> Result<Value, Failure> {
        self.change(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &ApiPath, body: &Value) -> Result<Value, Failure> {
        self.change(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &ApiPath) -> Result<Value, Failure> {
        self.change(Method::DELETE, path, None).await
    }

    /// The same where the query says how.
    pub async fn delete_with(
        &self,
        path: &ApiPath,
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let request = self.request(Method::DELETE, path)?.query(query);
        json(self.send(request).await?).await
    }

    /// `null` for an answer without a body.
    async fn change(
        &self,
        method: Method,
        path: &ApiPath,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        json(self.send(request).await?).await
    }

    fn request(&self, method: Method, path: &ApiPath) -> Result<RequestBuilder, Failure> {
        let prefix = self.origin.path().trim_end_matches('/');
        let url = self.origin.join(&format!("{prefix}{}", path.0))?;
        Ok(self.http.request(method, url))
    }

    /// A refusal is a failure, in the server's words.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| {
            let reason = failure::with_causes(&error.without_url());
            Failure::failed(format!("cannot reach {}: {reason}", self.origin))
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = json(response).await.unwrap_or_default();
        let message = said["errors"][0]["message"].as_str().map_or_else(
            || format!("{} answers {status}; is it a Portcullis?", self.origin),
            str::to_owned,
        );
        Err(Failure::failed(message))
    }
}

fn builder(token: &SecretString) -> Result<reqwest::ClientBuilder, Failure> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Failure::usage("the token has characters that no token has"))?;
    bearer.set_sensitive(true);
    Ok(reqwest::Client::builder()
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
        // Nothing here is redirected; a token must not follow somebody else's lead.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT))
}

async fn json(mut response: Response) -> Result<Value, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Failure::failed("the server's answer has no end"));
        }
        body.extend_from_slice(&chunk);
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body)
        .map_err(|_| Failure::failed("the server's answer is no JSON; is it a Portcullis?"))
}

/// The address in `Link: </api/v1/users?after=…>; rel="next"`, below the origin.
fn next_page(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find(|value| value.ends_with("rel=\"next\""))
        .and_then(|value| value.strip_prefix('<')?.split_once('>'))
        .map(|(address, _)| address.to_owned())
}
