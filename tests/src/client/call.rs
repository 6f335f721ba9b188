//! [`Call`]: a request that is put together, and sent.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH};
use serde_json::Value;

use super::{Answer, Repository};

/// A request about to be sent.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    pub(super) line: String,
    pub(super) http: reqwest::Client,
    pub(super) builder: reqwest::RequestBuilder,
    /// Whose token it carries.
    pub(super) repository: Option<Repository>,
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.line = format!("{}\n  {name}: {value}", self.line);
        self.builder = self.builder.header(name, value);
        self
    }

    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.builder = self.builder.body(body);
        self
    }

    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.builder = self.builder.form(fields);
        self
    }

    pub fn json(mut self, value: &Value) -> Self {
        self.builder = self.builder.json(value);
        self
    }

    pub fn bearer(mut self, token: &str) -> Self {
        self.builder = self.builder.bearer_auth(token);
        self
    }

    pub fn basic(mut self, name: &str, password: &str) -> Self {
        self.builder = self.builder.basic_auth(name, Some(password));
        self
    }

    pub async fn send(self) -> Answer {
        let line = self.line.clone();
        self.try_send()
            .await
            .unwrap_or_else(|error| panic!("{line}\nfailed: {error:?}"))
    }

    /// For calls to a server that may be killed meanwhile.
    pub async fn try_send(self) -> reqwest::Result<Answer> {
        let mut request = self.builder.build()?;
        if let Some(repository) = &self.repository
            && !request.headers().contains_key(AUTHORIZATION)
        {
            // Boxed: fetching a token is a call of its own.
            let token = Box::pin(repository.token()).await;
            let token = format!("Bearer {token}");
            request
                .headers_mut()
                .insert(AUTHORIZATION, token.parse().unwrap());
        }
        // Empty is a length, too: a POST without one is refused by some proxies.
        if request.body().is_none() && request.method() == Method::POST {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, "0".parse().unwrap());
        }
        let response = self.http.execute(request).await?;
        Ok(Answer {
            line: self.line,
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }
}
