//! [`RightPassword`]: what is written down when somebody has shown the right one.

use chrono::{DateTime, Utc};

use super::User;
use super::last_use;
use super::password::{PasswordHash, Verdict};
use super::session::acting;
use super::throttle::Attempt;
use crate::audit::{self, Action, Event};
use crate::context::Context;
use crate::store;

/// A password was the right one.
pub(super) struct RightPassword<'a> {
    pub user: &'a User,
    pub stored: PasswordHash,
    pub verdict: Verdict,
    pub attempt: Attempt,
    pub seen_at: Option<DateTime<Utc>>,
}

impl RightPassword<'_> {
    /// Writes what follows from it, if anything does; the hash that is stored now. A database that
    /// cannot be written to must not keep people out.
    pub(super) async fn remember(self, context: &Context) -> PasswordHash {
        self.attempt.succeeded_unwritten();
        let now = context.clock.now();
        let is_due = last_use::is_due(now, self.user.last_login_at);
        let has_news = self.attempt.has_news(now, self.seen_at);
        if !is_due && !has_news && self.verdict == Verdict::Right {
            return self.stored;
        }
        match self.write(context, now, is_due).await {
            Ok(true) => match self.verdict {
                Verdict::Outdated(new) => new,
                Verdict::Right | Verdict::Wrong => self.stored,
            },
            Ok(false) => self.stored,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(user = %self.user.username, error, "a login could not be recorded");
                self.stored
            }
        }
    }

    /// Whether the stored hash was replaced.
    async fn write(
        &self,
        context: &Context,
        now: DateTime<Utc>,
        is_due: bool,
    ) -> Result<bool, database::Error> {
        let user = self.user;
        let mut tx = context.database.begin().await?;
        let replaced = match &self.verdict {
            Verdict::Outdated(new) => {
                store::logins::replace_hash(&mut tx, user.id, &self.stored, new).await?
            }
            Verdict::Right | Verdict::Wrong => false,
        };
        if is_due {
            store::users::set_last_login(&mut tx, user.id, now).await?;
        }
        if is_due || self.attempt.is_news(now, self.seen_at) {
            let subject = audit::Subject::new("user", Some(user.id.0), user.username.as_str());
            let event = Event::success(Action::Login, subject);
            acting(context, user).record(&mut tx, &event).await?;
        }
        self.attempt
            .succeeded(&mut tx, now, user, self.seen_at)
            .await?;
        tx.commit().await?;
        Ok(replaced)
    }
}
