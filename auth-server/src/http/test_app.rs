//! A whole auth-server on a port of its own, for tests that speak HTTP to it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use database::Database;
use registry_token::{Claims, TrustedKeys, Verifier, VerifierSettings};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::server::{Address, BoundAddress, Listener, Server, ServerOptions};
use service::shutdown::Shutdown;

use crate::Application;
use crate::accounts::UserError;
use crate::accounts::password::HashCost;
use crate::accounts::token::{self, NewPersonalToken};
use crate::accounts::user::{self, NewUser};
use crate::clock::Clock;
use crate::config::Settings;
use crate::context::Context;
use crate::testing;

pub const ADMIN_PASSWORD: &str = "the admin's password";
pub const PASSWORD: &str = "correct: horse: battery";
pub const SERVICE: &str = "portcullis-registry";

pub struct TestApp {
    pub url: String,
    pub clock: Clock,
    pub client: reqwest::Client,
    pub application: Application,
    /// The secret of a personal token of everybody there is.
    tokens: Mutex<BTreeMap<String, String>>,
    shutdown: Shutdown,
    _folder: tempfile::TempDir,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.force();
    }
}

impl TestApp {
    /// With an administrator, and with alice and bob, who are not.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default().in_data_folder(folder.path());
        settings.password.argon2 = HashCost { ..testing::CHEAP };
        settings.admin.password = Some(ADMIN_PASSWORD.into());
        change(&mut settings);
        let clock = testing::clock();
        let application = Application::build(settings, clock.clone()).await.unwrap();
        let listener = Listener::new(
            "auth",
            Address::Tcp("127.0.0.1:0".to_owned()),
            application.configure(),
        );
        let options = ServerOptions {
            workers: Some(1),
            ..ServerOptions::default()
        };
        let server = Server::bind(options, vec![listener]).unwrap();
        let BoundAddress::Tcp(address) = server.bound()[0].address.clone() else {
            panic!("listens on TCP");
        };
        let shutdown = Shutdown::new();
        tokio::spawn({
            let shutdown = shutdown.clone();
            async move { server.run(&shutdown).await }
        });
        let app = Self {
            url: format!("http://{address}"),
            clock,
            client: reqwest::Client::new(),
            application,
            tokens: Mutex::default(),
            shutdown,
            _folder: folder,
        };
        app.remember_token("admin").await;
        for username in ["alice", "bob"] {
            app.create_user(username).await;
        }
        app
    }

    /// A user with the usual password, unless there is one of this name.
    pub async fn create_user(&self, username: &str) {
        let new = NewUser {
            password: Some(testing::hash(PASSWORD).await),
            ..testing::new_user(username)
        };
        match user::create(&self.context(), new).await {
            Ok(_) => self.remember_token(username).await,
            Err(UserError::UsernameTaken(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn remember_token(&self, username: &str) {
        let token = self.token_of(username, "api").await;
        self.tokens
            .lock()
            .unwrap()
            .insert(username.to_owned(), token);
    }

    /// A new personal token with these scopes.
    pub async fn token_of(&self, username: &str, scopes: &str) -> String {
        let found = user::find(self.database(), &testing::name(username)).await;
        let new = NewPersonalToken {
            name: format!("test {}", self.clock.uuid()),
            scopes: scopes.parse().unwrap(),
            expires_at: None,
        };
        let policy = self.application.state.token_policy;
        let user = found.unwrap().expect(username);
        let made = token::create_personal(&self.context(), policy, &user, new).await;
        made.unwrap().secret.secret().expose_secret().to_owned()
    }

    pub fn context(&self) -> Context {
        testing::context_at(self.database(), &self.clock)
    }

    pub fn database(&self) -> &Database {
        &self.application.state.database
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request to the admin API with a personal token.
    pub fn request_as(&self, who: &str, method: Method, path: &str) -> RequestBuilder {
        let tokens = self.tokens.lock().unwrap();
        self.request(method, path).bearer_auth(&tokens[who])
    }

    /// `POST /api/v1/session`.
    pub async fn log_in(&self, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password});
        Answer::of(self.request(Method::POST, "/api/v1/session").json(&body)).await
    }

    /// As the administrator.
    pub async fn admin(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.ask("admin", method, path, body).await
    }

    /// As one of those who are there from the start.
    pub async fn ask(&self, who: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.request_as(who, method, path);
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        Answer::of(request).await
    }

    /// `GET /auth/token` with what a query says, and a username and a password.
    pub async fn token(&self, who: Option<(&str, &str)>, query: &str) -> Answer {
        let request = self.request(Method::GET, &format!("/auth/token?{query}"));
        let request = match who {
            Some((username, password)) => request.basic_auth(username, Some(password)),
            None => request,
        };
        Answer::of(request).await
    }

    /// `POST /auth/token`.
    pub async fn post_token(&self, fields: &[(&str, &str)]) -> Answer {
        Answer::of(self.request(Method::POST, "/auth/token").form(fields)).await
    }

    /// Believes a token as a registry does that has the bundle.
    pub async fn verify(&self, token: &str) -> Claims {
        let bundle = Answer::of(self.request(Method::GET, "/certs/bundle.pem"))
            .await
            .expect(200);
        let keys = TrustedKeys::from_bundle_pem(bundle.text.as_bytes()).unwrap();
        let settings = VerifierSettings::new("portcullis-auth", SERVICE);
        let verifier = Verifier::new(settings, keys);
        Claims::clone(&*verifier.verify(token, self.clock.now()).unwrap())
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    async fn read(response: Response) -> Self {
        let headers = response.headers().iter();
        Self {
            status: response.status(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            text: response.text().await.unwrap(),
        }
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }

    /// An error in the shape that all errors have; its message.
    #[track_caller]
    pub fn error(self, status: u16, code: &str) -> String {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        let errors = body["errors"].as_array().expect("a list of errors");
        assert_eq!(errors.len(), 1, "{body}");
        assert_eq!(errors[0]["code"], code, "{body}");
        assert!(
            errors[0].as_object().unwrap().contains_key("detail"),
            "{body}"
        );
        errors[0]["message"].as_str().expect("a message").to_owned()
    }
}
