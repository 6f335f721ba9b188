//! Finding events again: by page, the newest first, or all of them in a stream, the oldest first.

use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use database::Database;
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Action, Outcome};
use crate::accounts::{Page, PageRequest};
use crate::store::audit::{self as store, StoredEvent, StoredFilter};

/// How many events of a stream are in memory at once.
const BATCH: i64 = 500;

/// Which events are wanted: those for which all of this holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub action: Option<ActionFilter>,
    /// Who acted, by the name of then.
    pub actor: Option<String>,
    /// What it was done to, by the name of then.
    pub subject: Option<String>,
    pub outcome: Option<Outcome>,
    pub address: Option<IpAddr>,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// An action, or all that begin with a word: `user.create`, `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionFilter(String);

impl FromStr for ActionFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_end_matches('*').trim_end_matches('.');
        let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
            return Err("an action is written like `user.create`, or `user` for all of users");
        }
        Ok(Self(text.to_owned()))
    }
}

impl ActionFilter {
    /// One action; or from where to where, in the order of bytes: `user` itself and all that follows
    /// a point. What comes in between (`user-…`) no action is called.
    fn range(&self) -> (String, Option<String>) {
        let is_one = Action::ALL.iter().any(|action| action.as_str() == self.0);
        // A slash is the character behind the point.
        (self.0.clone(), (!is_one).then(|| format!("{}/", self.0)))
    }
}

impl AuditFilter {
    fn stored(&self) -> StoredFilter {
        StoredFilter {
            action: self.action.as_ref().map(ActionFilter::range),
            actor: self.actor.clone(),
            subject: self.subject.clone(),
            outcome: self.outcome.map(Outcome::as_str),
            address: self.address.map(|address| address.to_string()),
            since: self.since,
            until: self.until,
        }
    }
}

/// Somebody or something that an event tells of, by the name of then
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Party {
    /// Of an actor: `user`, `deploy_token`, `job_token`, `operator`, `system` or `anonymous`
    pub kind: String,
    /// None for what has no identifier, or has not shown it
    pub id: Option<Uuid>,
    pub name: String,
}

/// What happened, who did it, and how it ended
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Grows with every event
    pub number: i64,
    pub at: DateTime<Utc>,
    #[schema(examples("user.create"))]
    pub action: String,
    /// `success` or `failure`
    pub outcome: String,
    pub actor: Party,
    /// What it was done to
    pub subject: Option<Party>,
    /// The client's, as far as the proxies in between are trusted
    pub address: Option<String>,
    pub user_agent: Option<String>,
    /// As in the log, and in the `X-Request-Id` of the answer
    pub request_id: Option<String>,
    /// Why it failed, or was done
    pub reason: Option<String>,
    /// What the subject was like
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// What it is like now
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

impl From<StoredEvent> for AuditEntry {
    fn from(event: StoredEvent) -> Self {
        let state = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let subject = event.subject_kind.zip(event.subject_name);
        Self {
            number: event.number,
            at: event.at,
            action: event.action,
            outcome: event.outcome,
            actor: Party {
                kind: event.actor_kind,
                id: event.actor_id,
                name: event.actor_name,
            },
            subject: subject.map(|(kind, name)| Party {
                kind,
                id: event.subject_id,
                name,
            }),
            address: event.address,
            user_agent: event.user_agent,
            request_id: event.request_id,
            reason: event.reason,
            before: state(event.state_before),
            after: state(event.state_after),
        }
    }
}

/// A page of events, the newest first: those below a number, or the very newest.
pub async fn search(
    database: &Database,
    filter: &AuditFilter,
    below: Option<i64>,
    limit: u32,
) -> Result<Page<AuditEntry>, database::Error> {
    let (filter, request) = (filter.stored(), PageRequest::new(None, limit));
    let mut tx = database.read().await?;
    let below = below.unwrap_or(i64::MAX);
    let events = store::newest(&mut tx, &filter, below, request.fetch()).await?;
    let total = store::count(&mut tx, &filter).await?;
    let entries = events.into_iter().map(AuditEntry::from).collect();
    Ok(Page::new(entries, total, &request))
}

/// All events above a number, the oldest first, a few hundred in memory at a time. The connection
/// goes back between them: who reads slowly holds nothing up.
pub fn stream(
    database: Database,
    filter: &AuditFilter,
    above: i64,
) -> impl Stream<Item = Result<Vec<AuditEntry>, database::Error>> + use<> {
    let filter = filter.stored();
    stream::try_unfold(Some(above), move |above| {
        let (database, filter) = (database.clone(), filter.clone());
        async move {
            let Some(above) = above else {
                return Ok(None);
            };
            let mut tx = database.read().await?;
            let events = store::oldest(&mut tx, &filter, above, BATCH).await?;
            drop(tx);
            let is_full = i64::try_from(events.len()).is_ok_and(|length| length == BATCH);
            let next = events.last().map(|last| last.number).filter(|_| is_full);
            let entries: Vec<AuditEntry> = events.into_iter().map(AuditEntry::from).collect();
            Ok((!entries.is_empty()).then_some((entries, next)))
        }
    })
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
