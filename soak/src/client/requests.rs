//! Requests, and which answers are honest.

use std::time::Duration;

use acceptance::client::Call;
use acceptance::{Answer, Client as Http};
use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::{Client, Person};
use crate::report::Report;
use crate::weather::{Tick, Trouble};

/// Longer than any answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

const SERVICE: &str = "portcullis-registry";

/// Whether a request changes anything: then it may be refused while nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

#[derive(Debug)]
pub enum Reply {
    /// The server has decided.
    Answer(Answer),
    /// Nobody knows what became of it. If it must not be so, that is noted already.
    Unknown,
}

/// An answer for people: without the bytes of blobs.
pub fn told(answer: &Answer) -> Answer {
    let mut told = answer.clone();
    let kind = answer.headers.get("content-type");
    let is_json = kind.is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    if !is_json {
        told.body = Bytes::new();
    }
    told
}

/// What kind of request it was: `PUT manifests`.
fn asked(answer: &Answer) -> String {
    let text = answer.to_string();
    let mut words = text.split_whitespace();
    let (method, url) = (words.next(), words.next().unwrap_or_default());
    let kinds = ["uploads", "blobs", "manifests", "tags", "token", "api"];
    let kind = kinds.iter().find(|kind| url.contains(&format!("/{kind}")));
    format!("{} {}", method.unwrap_or_default(), kind.unwrap_or(&url))
}

impl Client {
    /// A request to a repository of this one's, with a token.
    pub(super) async fn ask(
        &mut self,
        repository: &str,
        access: Access,
        call: impl Fn(&Http) -> Call,
    ) -> Reply {
        self.ask_from(repository, &[], access, call).await
    }

    /// The same with other repositories to pull from.
    pub(super) async fn ask_from(
        &mut self,
        repository: &str,
        others: &[&str],
        access: Access,
        call: impl Fn(&Http) -> Call,
    ) -> Reply {
        let mut scopes = vec![format!("repository:{repository}:pull,push,delete")];
        scopes.extend(
            others
                .iter()
                .map(|other| format!("repository:{other}:pull")),
        );
        let person = self.owner(repository);
        let cache = (person.name.clone(), scopes.join(" "));
        for attempt in 0..2 {
            let bearer = match self.bearers.get(&cache) {
                Some(bearer) => bearer.clone(),
                None => match self.fetch_bearer(&person, &scopes).await {
                    Some(bearer) => bearer,
                    None => return Reply::Unknown,
                },
            };
            self.bearers.insert(cache.clone(), bearer.clone());
            match self.send(access, call(&self.http).bearer(&bearer)).await {
                // It has expired, or the clock went another way.
                Reply::Answer(answer)
                    if answer.status == StatusCode::UNAUTHORIZED && attempt == 0 =>
                {
                    self.bearers.remove(&cache);
                }
                reply => return reply,
            }
        }
        unreachable!("the second attempt returns")
    }

    /// `None` if there is none to be had now.
    async fn fetch_bearer(&mut self, person: &Person, scopes: &[String]) -> Option<String> {
        let call = self.at_realm(scopes).basic(&person.name, &person.token);
        match self.send(Access::Read, call).await {
            Reply::Answer(answer) if answer.status == StatusCode::OK => {
                Some(answer.json()["token"].as_str()?.to_owned())
            }
            Reply::Answer(answer) => {
                self.finding("a personal token that must work is refused", answer);
                None
            }
            Reply::Unknown => None,
        }
    }

    /// A `GET` at the realm, to be given credentials.
    pub(super) fn at_realm(&self, scopes: &[String]) -> Call {
        let mut url = self.world.auth.join("auth/token").unwrap();
        url.query_pairs_mut()
            .append_pair("service", SERVICE)
            .extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        self.http.get(url.as_str())
    }

    /// A form that asks the realm for something.
    pub(super) fn form_at_realm(&self, fields: &[(&str, &str)]) -> Call {
        let url = self.world.auth.join("auth/token").unwrap();
        let mut all = vec![("service", SERVICE), ("client_id", "soak")];
        all.extend(fields);
        self.http.call(Method::POST, url.as_str()).form(&all)
    }

    /// A call of the admin API, as this one.
    pub(super) fn at_api(&self, method: Method, path: &str) -> Call {
        let url = self.world.auth.join("api/v1/").unwrap().join(path).unwrap();
        self.http
            .call(method, url.as_str())
            .bearer(&self.person.token)
    }

    /// Sends it. What no client may be told, whatever the weather, becomes a finding.
    pub(super) async fn send(&self, access: Access, call: Call) -> Reply {
        let began = self.world.tick();
        let reply = match tokio::time::timeout(PATIENCE, call.try_send()).await {
            Ok(Ok(answer)) => self.judge(answer, began, access),
            Ok(Err(error)) => {
                if !self.world.weather.since(began, Trouble::Down) {
                    self.finding(
                        "a connection broke though the server was up",
                        format!("{error:?}"),
                    );
                }
                Reply::Unknown
            }
            Err(_) => {
                self.finding("a request was never answered", format!("{access:?}"));
                Reply::Unknown
            }
        };
        if matches!(reply, Reply::Unknown) {
            Report::count(&self.world.report.unknown);
        }
        reply
    }

    fn judge(&self, answer: Answer, began: Tick, access: Access) -> Reply {
        let weather = &self.world.weather;
        let away = weather.since(began, Trouble::Down) || weather.since(began, Trouble::NoDatabase);
        let no_writes = access == Access::Write && weather.since(began, Trouble::NoWrites);
        let tolerable = match answer.status.as_u16() {
            405 | 507 => no_writes,
            503 => away || no_writes,
            500..600 => false,
            _ => return Reply::Answer(answer),
        };
        if !tolerable {
            let status = answer.status.as_u16();
            let what = match (access, no_writes || weather.since(began, Trouble::NoWrites)) {
                _ if status == 500 => "is answered 500".to_owned(),
                (Access::Read, true) => {
                    format!("is answered {status} because nothing can be written")
                }
                _ => format!("is answered {status} though nothing is wrong"),
            };
            self.finding(&format!("{} {what}", asked(&answer)), answer);
        }
        Reply::Unknown
    }
}
