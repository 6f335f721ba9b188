//! What can be seen of a registry from anywhere.

use secrecy::SecretString;
use url::Url;

use crate::challenge::{self, Entrance};
use crate::http::{Answer, Clock, Http, Trouble};
use crate::reach::{Reach, reach};
use crate::report::{Report, Verdict};
use crate::trust::Trust;

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
    /// Where to push to.
    pub repository: Option<String>,
    pub trust: Trust,
    pub clock: Clock,
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
    let now = http.now();
    let reached = reach("registry", &outside.registry, &outside.trust, now, report).await;
    let _ = look_at_registry(&http, &outside.registry, &reached, report).await;
}

/// `GET /v2/` without credentials, and what it tells.
async fn look_at_registry(
    http: &Http,
    registry: &Url,
    reached: &Reach,
    report: &mut Report,
) -> Option<(Answer, Entrance)> {
    if let Some(because) = &reached.blocked {
        for check in ["registry.challenge", "registry.version"] {
            report.add(check, Verdict::skipped(format!("because {because}")));
        }
        return None;
    }
    let answer = match http.send(http.look(&api(registry, ""))).await {
        Ok(answer) => answer,
        Err(trouble) => {
            report.add("registry.challenge", no_answer(&trouble));
            let because = "because registry.challenge failed";
            report.add("registry.version", Verdict::skipped(because));
            return None;
        }
    };
    let (verdict, entrance) = challenge::entrance(&answer);
    if report.add("registry.challenge", verdict) {
        let because = "because registry.challenge failed";
        report.add("registry.version", Verdict::skipped(because));
        return None;
    }
    report.add("registry.version", challenge::version_verdict(&answer));
    Some((answer, entrance?))
}

fn no_answer(trouble: &Trouble) -> Verdict {
    Verdict::failure(
        format!("GET /v2/: {trouble}"),
        "look into the logs of the proxy and of the registry at this moment",
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
