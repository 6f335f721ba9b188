//! The registry's API in the few words that tests need.
//!
//! A [`Client`] is someone at a registry: anonymous, with a login, or with a token. A
//! [`Repository`] is one repository in their hands, with a token fetched through the realm that
//! the registry names, and an [`Upload`] a session in it. [`Answer`]s check themselves and show
//! everything when they fail.

mod answer;
mod call;
mod repository;
mod upload;

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

pub use self::answer::{Answer, Challenge};
pub use self::call::Call;
pub use self::repository::Repository;
pub use self::upload::Upload;

/// Someone at a registry.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    origin: Url,
    credentials: Credentials,
    challenge: Arc<OnceCell<Challenge>>,
}

#[derive(Clone, Debug)]
enum Credentials {
    Anonymous,
    Login { name: String, password: String },
    Token(String),
}

impl Client {
    pub fn new(origin: &Url) -> Self {
        Self::with_http(origin, reqwest::Client::builder())
    }

    /// One who trusts other certificates, knows other names, …
    pub fn with_http(origin: &Url, http: reqwest::ClientBuilder) -> Self {
        Self {
            // A redirect is an answer to look at, not something to follow.
            http: http
                .redirect(reqwest::redirect::Policy::none())
                // A busy server may leave a large push unread for a while: its patience counts here.
                .tcp_user_timeout(None)
                .build()
                .unwrap(),
            origin: origin.clone(),
            credentials: Credentials::Anonymous,
            challenge: Arc::default(),
        }
    }

    #[must_use]
    pub fn login(&self, name: &str, password: &str) -> Self {
        Self {
            credentials: Credentials::Login {
                name: name.to_owned(),
                password: password.to_owned(),
            },
            ..self.clone()
        }
    }

    /// Sends this token with every call, whoever signed it.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            credentials: Credentials::Token(token.to_owned()),
            ..self.clone()
        }
    }

    pub fn origin(&self) -> &Url {
        &self.origin
    }

    /// A call that carries a fixed token if there is one, and nothing else.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let url = self.origin.join(path).unwrap();
        let line = format!("{method} {url}");
        let mut builder = self.http.request(method, url);
        if let Credentials::Token(token) = &self.credentials {
            builder = builder.bearer_auth(token);
        }
        Call {
            line,
            http: self.http.clone(),
            builder,
            repository: None,
        }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// The catalog, with a token that opens it for who may see it.
    pub async fn catalog(&self, query: &str) -> Answer {
        let token = self.token(&["registry:catalog:*"]).await;
        self.get(&format!("/v2/_catalog{query}"))
            .bearer(&token)
            .send()
            .await
    }

    /// What the registry asks of one who shows nothing.
    pub async fn challenge(&self) -> &Challenge {
        self.challenge
            .get_or_init(|| async {
                let anonymous = Self {
                    credentials: Credentials::Anonymous,
                    ..self.clone()
                };
                anonymous.get("/v2/").send().await.expect(401).challenge()
            })
            .await
    }

    /// The realm's answer for these scopes.
    pub async fn token_answer(&self, scopes: &[&str]) -> Answer {
        let challenge = self.challenge().await;
        let mut url = challenge.realm.clone();
        url.query_pairs_mut()
            .append_pair("service", &challenge.service)
            .extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        let mut builder = self.http.get(url.clone());
        if let Credentials::Login { name, password } = &self.credentials {
            builder = builder.basic_auth(name, Some(password));
        }
        Call {
            line: format!("GET {url}"),
            http: self.http.clone(),
            builder,
            repository: None,
        }
        .send()
        .await
    }

    /// A token for these scopes, or as much of them as this someone has.
    pub async fn token(&self, scopes: &[&str]) -> String {
        if let Credentials::Token(token) = &self.credentials {
            return token.clone();
        }
        let answer = self.token_answer(scopes).await.expect(200);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// This repository, with all rights in it that this someone has.
    pub fn repository(&self, name: &str) -> Repository {
        Repository {
            client: self.clone(),
            name: name.to_owned(),
            token: Arc::default(),
        }
    }
}

/// A JSON list of strings.
#[track_caller]
pub fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap_or_else(|| panic!("not a list: {list}"))
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}
