//! Logins: identity tokens and personal tokens, and their end.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Client;
use super::requests::{Access, Reply};
use crate::model::{Key, Kind};
use crate::register::{Outcome, Value};

impl Client {
    /// As `docker login` does, with the password.
    pub(super) async fn log_in(&mut self) {
        let call = self.form_at_realm(&[
            ("grant_type", "password"),
            ("access_type", "offline"),
            ("username", &self.person.name),
            ("password", &self.person.password),
        ]);
        // Nothing is written but the identity token, and without one the login is good enough.
        let Reply::Answer(answer) = self.send(Access::Read, call).await else {
            return;
        };
        if answer.status != StatusCode::OK {
            self.finding("a password that must work is refused", answer);
            return;
        }
        if let Some(token) = answer.json()["refresh_token"].as_str() {
            self.world.acknowledged();
            let key = Key::new(&self.person.name, Kind::IdentityToken, token);
            self.world.model().pin(&key, Some(token.to_owned()));
        }
    }

    /// False if there is none.
    pub(super) async fn make_personal_token(&mut self) -> bool {
        let body = json!({"name": self.unused_name(), "scopes": ["read_registry"]});
        let call = self.at_api(Method::POST, "me/tokens").json(&body);
        let Reply::Answer(answer) = self.send(Access::Write, call).await else {
            return false;
        };
        if answer.status != StatusCode::CREATED {
            self.finding("a personal token cannot be made", answer);
            return false;
        }
        self.world.acknowledged();
        let created = answer.json();
        let (Some(id), Some(secret)) = (created["id"].as_str(), created["token"].as_str()) else {
            self.finding("a personal token comes without id or secret", answer);
            return false;
        };
        let name = format!("{id} {secret}");
        let key = Key::new(&self.person.name, Kind::PersonalToken, &name);
        self.world.model().pin(&key, Some(name));
        true
    }

    pub(super) async fn revoke_personal_token(&mut self) {
        let now = self.world.tick();
        let user = self.person.name.clone();
        let tokens = self.world.model().held(&user, Kind::PersonalToken, now);
        let Some(name) = self.choose(&tokens) else {
            return;
        };
        let id = name.split(' ').next().unwrap_or_default();
        let call = self.at_api(Method::DELETE, &format!("me/tokens/{id}"));
        self.revoke(vec![Key::new(&user, Kind::PersonalToken, &name)], call)
            .await;
    }

    /// Logs out everywhere.
    pub(super) async fn end_all_sessions(&mut self) {
        let user = self.person.name.clone();
        let tokens = self.world.model().names(&user, Kind::IdentityToken);
        let keys = tokens
            .iter()
            .map(|token| Key::new(&user, Kind::IdentityToken, token))
            .collect();
        let call = self.at_api(Method::DELETE, "me/sessions");
        self.revoke(keys, call).await;
    }

    async fn revoke(&mut self, keys: Vec<Key>, call: acceptance::client::Call) {
        let writes: Vec<_> = keys.iter().map(|key| self.world.begin(key, None)).collect();
        let outcome = match self.send(Access::Write, call).await {
            Reply::Unknown => Outcome::Unknown,
            Reply::Answer(answer) if answer.status == StatusCode::NO_CONTENT => {
                self.world.acknowledged();
                Outcome::Acknowledged
            }
            Reply::Answer(answer) => {
                self.finding("credentials cannot be revoked", answer);
                Outcome::Unknown
            }
        };
        for (key, write) in keys.iter().zip(writes) {
            self.world.end(key, write, outcome);
        }
    }

    pub(super) async fn look_at_some_credential(&mut self) {
        let user = self.person.name.clone();
        let mut keys = Vec::new();
        for kind in [Kind::IdentityToken, Kind::PersonalToken] {
            let names = self.world.model().names(&user, kind);
            keys.extend(names.iter().map(|name| Key::new(&user, kind, name)));
        }
        if let Some(key) = self.choose(&keys) {
            self.look_at(&key).await;
        }
    }

    /// Whether it still opens the realm.
    pub(super) async fn look_at_credential(&mut self, key: &Key) -> Option<Value> {
        let began = self.world.tick();
        let call = if key.kind == Kind::IdentityToken {
            self.form_at_realm(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", &key.name),
            ])
        } else {
            let (_, secret) = key.name.split_once(' ')?;
            self.at_realm(&[]).basic(&key.repository, secret)
        };
        let Reply::Answer(answer) = self.send(Access::Read, call).await else {
            return None;
        };
        let value = match answer.status {
            StatusCode::OK => Some(key.name.clone()),
            StatusCode::UNAUTHORIZED => None,
            _ => {
                self.finding("a login is answered with something else", answer);
                return None;
            }
        };
        self.compare(key, &value, began, &answer);
        Some(value)
    }
}
