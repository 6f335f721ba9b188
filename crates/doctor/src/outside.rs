//! What can be seen of a registry from anywhere, step by step.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use secrecy::SecretString;
use url::Url;

use crate::access::{Access, Guest};
use crate::certificate::Certificate;
use crate::challenge::{self, Entrance};
use crate::clocks;
use crate::http::{Answer, Clock, Http, Trouble};
use crate::network::{self, Server};
use crate::reach::{Reach, reach};
use crate::realm;
use crate::report::{Report, Verdict};
use crate::token::{self, Belief, Token};
use crate::trust::Trust;
use crate::upload;

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: String,
    pub password: SecretString,
}

/// What to look at.
#[derive(Clone, Debug)]
pub struct Outside {
    /// `https://registry.example.com/`, with a path if it has a prefix.
    pub registry: Url,
    pub credentials: Option<Credentials>,
    /// Where to push to and pull from.
    pub repository: Option<String>,
    pub trust: Trust,
    /// Whether this machine is the registry's.
    pub from_registry: bool,
    /// What the registry believes, if its configuration is known.
    pub belief: Option<Belief>,
    pub clock: Clock,
}

/// What follows the challenge.
const AFTER_CHALLENGE: [&str; 2] = ["registry.version", "registry.clock"];

/// What follows the realm.
const AFTER_REALM: [&str; 7] = [
    "token.issued",
    "token.subject",
    "token.service",
    "token.form",
    "token.dates",
    "token.signature",
    "token.accepted",
];

/// The certificates that a server shows, if it can be reached.
pub async fn certificates(url: &Url) -> Vec<Certificate> {
    let Some(server) = Server::of(url).filter(|server| server.tls) else {
        return Vec::new();
    };
    for address in network::resolve(&server).await.unwrap_or_default() {
        if let Ok(chain) = network::handshake(&server, address).await {
            return chain;
        }
    }
    Vec::new()
}

/// Everything that can be seen from here, causes first.
pub async fn examine(outside: &Outside, report: &mut Report) {
    let http = match Http::new(&outside.trust, outside.clock) {
        Ok(http) => http,
        Err(reason) => {
            let fix = "repair the installation of certificates on this machine";
            report.add("registry.dns", Verdict::failure(reason, fix));
            return;
        }
    };
    let registry = &outside.registry;
    let reached = reach("registry", registry, &outside.trust, http.now(), report).await;
    let visit = Visit {
        http,
        outside,
        registry: reached,
    };
    let Some((answer, entrance)) = visit.challenge(report).await else {
        report.skip(&["realm.url"], "there is no challenge");
        report.skip(&AFTER_REALM[..1], "there is no challenge");
        report.skip(&upload::CHECKS[..1], "there is no challenge");
        return;
    };
    let ahead = clocks::ahead(&answer);
    let access = match entrance {
        Entrance::Open => Ok(Access::Nobody),
        Entrance::Password => visit.login(report).await,
        Entrance::Token { realm, service } => visit.by_token(&realm, &service, ahead, report).await,
    };
    visit.transfer(access, report).await;
}

/// A visit to a registry.
struct Visit<'a> {
    http: Http,
    outside: &'a Outside,
    registry: Reach,
}

impl Visit<'_> {
    /// `GET /v2/` without credentials, and what it tells.
    async fn challenge(&self, report: &mut Report) -> Option<(Answer, Entrance)> {
        if let Some(because) = &self.registry.blocked {
            report.skip(&["registry.challenge"], because);
            report.skip(&AFTER_CHALLENGE, because);
            return None;
        }
        let url = api(&self.outside.registry, "");
        let (verdict, answer, entrance) = match self.http.send(self.http.look(&url)).await {
            Ok(answer) => {
                let (verdict, entrance) = challenge::entrance(&answer);
                (verdict, Some(answer), entrance)
            }
            Err(trouble) => (no_answer("GET /v2/", &trouble), None, None),
        };
        let failed = report.add("registry.challenge", verdict);
        let Some(answer) = answer.filter(|_| !failed) else {
            report.skip(&AFTER_CHALLENGE, "registry.challenge failed");
            return None;
        };
        report.add("registry.version", challenge::version_verdict(&answer));
        report.add("registry.clock", clocks::skew(clocks::ahead(&answer)));
        Some((answer, entrance?))
    }

    /// The registry checks the password itself.
    async fn login(&self, report: &mut Report) -> Result<Access, String> {
        let Some(credentials) = &self.outside.credentials else {
            return Err("nobody is logged in".to_owned());
        };
        if !self.registry.trusted {
            return Err("a password must not go over this connection".to_owned());
        }
        let access = Access::Password(credentials.clone());
        let request = self.http.ask(Method::GET, &api(&self.outside.registry, ""));
        let verdict = match self.http.send(access.on(request)).await {
            Err(trouble) => no_answer("GET /v2/", &trouble),
            Ok(answer) if answer.status == 200 => Verdict::ok("the registry accepts the password"),
            Ok(answer) => Verdict::failure(
                format!("the registry refuses the password ({})", answer.status),
                "use the right user name and password; if they are right, see that the proxy \
                 passes the `Authorization` header on",
            ),
        };
        if report.add("registry.login", verdict) {
            return Err("registry.login failed".to_owned());
        }
        Ok(access)
    }

    /// From the realm to a token that the registry accepts.
    async fn by_token(
        &self,
        realm: &Url,
        service: &str,
        ahead: Option<TimeDelta>,
        report: &mut Report,
    ) -> Result<Access, String> {
        let header_passes = self.header(report).await;
        let reached = self.realm(realm, service, report).await;
        let failed = |because: String, from: usize, report: &mut Report| {
            report.skip(&AFTER_REALM[from..], &because);
            Err(because)
        };
        let reached = match reached {
            Ok(reached) => reached,
            Err(because) => return failed(because, 0, report),
        };
        if !reached.trusted {
            let because = "the connection to the realm is not to be trusted with a password";
            return failed(because.to_owned(), 0, report);
        }
        let asked = self.ask_for_token(realm, service).await;
        let (verdict, text) = match &asked {
            Ok(answer) => {
                let user = self.outside.credentials.as_ref();
                token::issued(answer, user.map(|who| who.user.as_str()))
            }
            Err(trouble) => (no_answer("asking for a token", trouble), None),
        };
        report.add("token.issued", verdict);
        let Some(text) = text else {
            return failed("there is no token".to_owned(), 1, report);
        };
        let token = match Token::decode(&text) {
            Ok(token) => token,
            // Some issuers' tokens are for their own registry alone.
            Err(problem) => {
                report.add(
                    "token.form",
                    Verdict::skipped(format!("the token {problem}")),
                );
                return self.accepted(text, None, header_passes, report).await;
            }
        };
        let now = self.http.now() + ahead.unwrap_or_default();
        self.judge_token(&text, &token, (service, now), &reached, report);
        self.accepted(text, Some(&token), header_passes, report)
            .await
    }

    /// Whether a token would arrive, tried with a bad one.
    async fn header(&self, report: &mut Report) -> bool {
        let url = api(&self.outside.registry, "");
        let request = self.http.look(&url).bearer_auth("portcullis-doctor");
        let verdict = match self.http.send(request).await {
            Ok(answer) => token::header_verdict(&answer),
            Err(trouble) => no_answer("GET /v2/ with a bad token", &trouble),
        };
        !report.add("registry.authorization", verdict)
    }

    async fn realm(
        &self,
        realm: &Url,
        service: &str,
        report: &mut Report,
    ) -> Result<Reach, String> {
        let registry = &self.outside.registry;
        let insecure = report.add("realm.url", realm::url_verdict(registry, realm));
        let reached = if realm.origin() == registry.origin() {
            self.registry.clone()
        } else {
            reach("realm", realm, &self.outside.trust, self.http.now(), report).await
        };
        let from = ["realm.from-registry", "realm.answer", "realm.clock"];
        if let Some(because) = &reached.blocked {
            let here = self.outside.from_registry;
            if here {
                let verdict = Verdict::failure(
                    format!("the realm cannot be reached from the registry's host: {because}"),
                    "let the registry's host resolve the realm's name and connect to it",
                );
                report.add("realm.from-registry", verdict);
            }
            report.skip(&from[usize::from(here)..], because);
            return Err(because.clone());
        }
        report.add("realm.from-registry", self.seen_from_registry());
        let mut url = realm.clone();
        url.query_pairs_mut().append_pair("service", service);
        let answer = self.http.send(self.http.look(&url)).await;
        let failed = report.add(
            "realm.answer",
            realm::answer_verdict(&answer, realm, service),
        );
        let ahead = answer.as_ref().ok().and_then(clocks::ahead);
        report.add("realm.clock", clocks::skew(ahead));
        if failed {
            return Err("realm.answer failed".to_owned());
        }
        if insecure {
            return Err("realm.url failed".to_owned());
        }
        Ok(reached)
    }

    fn seen_from_registry(&self) -> Verdict {
        if self.outside.from_registry {
            return Verdict::ok("reached from the registry's host, which is this one");
        }
        Verdict::skipped("this machine is not known to be the registry's host").unless(format!(
            "run it there too (in its container, if it is in one): portcullis doctor --registry {} \
             --from-registry",
            self.outside.registry
        ))
    }

    async fn ask_for_token(&self, realm: &Url, service: &str) -> Result<Answer, Trouble> {
        let mut url = realm.clone();
        url.query_pairs_mut().append_pair("service", service);
        if let Some(repository) = self.repository() {
            let scope = format!("repository:{repository}:pull,push,delete");
            url.query_pairs_mut().append_pair("scope", &scope);
        }
        let access = match &self.outside.credentials {
            Some(credentials) => {
                url.query_pairs_mut()
                    .append_pair("account", &credentials.user);
                Access::Password(credentials.clone())
            }
            None => Access::Nobody,
        };
        self.http
            .send(access.on(self.http.ask(Method::GET, &url)))
            .await
    }

    fn judge_token(
        &self,
        text: &str,
        token: &Token,
        (service, registry_now): (&str, DateTime<Utc>),
        realm: &Reach,
        report: &mut Report,
    ) {
        let user = self.outside.credentials.as_ref();
        let user = user.map(|who| who.user.as_str());
        report.add("token.subject", token::subject_verdict(token, user));
        report.add("token.service", token::service_verdict(token, service));
        let servers = [&self.registry.chain, &realm.chain];
        let served = servers.into_iter().filter_map(|chain| chain.first());
        report.add("token.form", form(token, served));
        report.add(
            "token.dates",
            clocks::token_dates(token.validity(), registry_now),
        );
        let verdict = match &self.outside.belief {
            Some(belief) => token::signature_verdict(text, token, belief, registry_now),
            None => Verdict::skipped("the registry's keys are not known here")
                .unless("run doctor with --registry-config on the registry's host to check it"),
        };
        report.add("token.signature", verdict);
    }

    /// What the registry makes of the token.
    async fn accepted(
        &self,
        text: String,
        token: Option<&Token>,
        header_passes: bool,
        report: &mut Report,
    ) -> Result<Access, String> {
        let blocked = if !self.registry.trusted {
            Some("the connection to the registry is not to be trusted with a token")
        } else if !header_passes {
            Some("registry.authorization failed")
        } else {
            None
        };
        if let Some(because) = blocked {
            report.skip(&["token.accepted"], because);
            return Err(because.to_owned());
        }
        let access = Access::Token(text.into());
        let request = self.http.ask(Method::GET, &api(&self.outside.registry, ""));
        let verdict = match self.http.send(access.on(request)).await {
            Ok(answer) => token::accepted_verdict(&answer, token),
            Err(trouble) => no_answer("GET /v2/ with a token", &trouble),
        };
        if report.add("token.accepted", verdict) {
            return Err("token.accepted failed".to_owned());
        }
        Ok(access)
    }

    fn repository(&self) -> Option<String> {
        let outside = self.outside;
        let own = || {
            let user = outside.credentials.as_ref()?.user.to_lowercase();
            Some(format!("{user}/portcullis-doctor"))
        };
        let name = outside.repository.clone().or_else(own)?;
        name.parse::<registry_token::RepositoryName>().ok()?;
        Some(name)
    }

    /// A push and a pull.
    async fn transfer(&self, access: Result<Access, String>, report: &mut Report) {
        let access = match access {
            Ok(access)
                if self.outside.credentials.is_some() || self.outside.repository.is_some() =>
            {
                access
            }
            Ok(_) => {
                let because = "nobody is logged in; --user and --password-stdin do that";
                report.skip(&upload::CHECKS[..1], because);
                return;
            }
            Err(because) => {
                report.skip(&upload::CHECKS[..1], &because);
                return;
            }
        };
        let Some(repository) = self.repository() else {
            let because = "no repository can be named after this user; --repository names one";
            report.skip(&upload::CHECKS[..1], because);
            return;
        };
        let (http, registry) = (&self.http, &self.outside.registry);
        let guest = Guest {
            http,
            registry,
            repository: &repository,
            access: &access,
        };
        guest.push(report).await;
        report.add("download.range", guest.pull().await);
    }
}

/// The form of a token, and whether a server's certificate signs tokens too.
fn form<'a>(token: &Token, mut served: impl Iterator<Item = &'a Certificate>) -> Verdict {
    let signer = token.chain.first();
    if served.any(|leaf| signer.is_some_and(|signer| signer.public_key == leaf.public_key)) {
        return Verdict::warning(
            "tokens are signed with the key of the TLS server certificate: they are refused when \
             that is renewed",
            "give the token server a key of its own (`keys.signingkey` unset: the auth-server makes \
             one), and the TLS certificate to TLS alone",
        );
    }
    token::form_verdict(token)
}

fn no_answer(what: &str, trouble: &Trouble) -> Verdict {
    Verdict::failure(
        format!("{what}: {trouble}"),
        "look into the logs of the proxy and of the server behind it at this moment",
    )
}

/// An address of the API: `path` is behind `/v2/`.
pub(crate) fn api(registry: &Url, path: &str) -> Url {
    let mut url = registry.clone();
    let prefix = registry
        .path()
        .trim_end_matches('/')
        .trim_end_matches("/v2");
    url.set_path(&format!("{prefix}/v2/{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}
