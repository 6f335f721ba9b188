//! What time brings for keys: one begins to sign, another is over, the next one is due.

use chrono::{DateTime, TimeDelta, Utc};
use database::Tx;

use super::key_ring::{self, KeyRing};
use super::key_start::subject;
use super::mounted;
use super::rotation::{RotationError, add, end};
use super::signing_key::{KeySchedule, LAST_SIGNED_PRECISION};
use crate::audit::{Action, Actor, Event, Origin};
use crate::context::Context;
use crate::store::signing_keys::{self, StoredKey};

/// For a job: takes over what others have changed, notes which key signs now, retires those that
/// are over, mounts a pair that was replaced, and makes the next key if it is due. However many servers do
/// this at once, each step is taken once.
pub(crate) async fn tick(ring: &KeyRing) -> Result<(), RotationError> {
    ring.refresh().await?;
    let context = Context {
        database: ring.database().clone(),
        clock: ring.clock().clone(),
        origin: Origin::local(Actor::system()),
    };
    let now = context.clock.now();
    let signer = ring.current().map(|key| key.key_id());
    let due = {
        let ring = ring.load();
        Due::of(&ring.schedule, signer.as_deref(), now).is_some()
    };
    if due {
        let mut tx = context.database.begin().await?;
        let schedule = key_ring::lock(&mut tx).await?;
        if let Some(due) = Due::of(&schedule, signer.as_deref(), now) {
            due.settle(&context, &mut tx, &schedule).await?;
        }
        tx.commit().await?;
        ring.refresh().await?;
    }
    mounted::mount(&context, ring).await?;
    rotate_if_due(&context, ring).await
}

/// What has to be written down.
struct Due<'a> {
    begun: Option<&'a StoredKey>,
    over: Vec<&'a StoredKey>,
    /// A key that this server goes on signing with, although another is to.
    overtime: Option<&'a StoredKey>,
}

impl<'a> Due<'a> {
    fn of(schedule: &'a KeySchedule, signer: Option<&str>, now: DateTime<Utc>) -> Option<Self> {
        let current = schedule.current(now);
        let ours = signer.and_then(|kid| schedule.live().find(|key| key.kid == kid));
        let is_recent = |key: &StoredKey| {
            key.last_signed_at
                .is_some_and(|at| now - at < LAST_SIGNED_PRECISION)
        };
        let due = Self {
            begun: current.filter(|key| key.activated_at.is_none()),
            over: schedule.over(now).collect(),
            overtime: ours
                .filter(|ours| current.is_some_and(|current| current.kid != ours.kid))
                .filter(|ours| !is_recent(ours)),
        };
        let any = due.begun.is_some() || due.overtime.is_some() || !due.over.is_empty();
        any.then_some(due)
    }

    async fn settle(
        &self,
        context: &Context,
        tx: &mut Tx,
        schedule: &KeySchedule,
    ) -> Result<(), database::Error> {
        let now = context.clock.now();
        if let Some(key) = self.begun {
            signing_keys::set_activated(tx, &key.kid, now).await?;
            let event = Event::success(Action::KeyActivate, subject(&key.kid))
                .after(schedule.info(key, now));
            context.record(tx, &event).await?;
        }
        if let Some(key) = self.overtime {
            signing_keys::set_last_signed(tx, &key.kid, now).await?;
        }
        for key in &self.over {
            if self.overtime.is_none_or(|ours| ours.kid != key.kid) {
                let reason = Some("its last token has expired");
                end(context, tx, schedule, key, reason).await?;
            }
        }
        Ok(())
    }
}

async fn rotate_if_due(context: &Context, ring: &KeyRing) -> Result<(), RotationError> {
    let Some(every) = ring.settings().rotate_every else {
        return Ok(());
    };
    let now = context.clock.now();
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    let is_due = {
        let ring = ring.load();
        ring.schedule.pending(now).is_none()
            && ring
                .schedule
                .current(now)
                .and_then(|key| key.signs_from)
                .is_some_and(|from| now.signed_duration_since(from) >= every)
    };
    if !is_due {
        return Ok(());
    }
    let key = ring.generate().await?;
    let reason = Some("keys.rotateevery");
    match add(context, ring, &key, Action::KeyGenerate, reason).await {
        // Another server was faster.
        Ok(_) | Err(RotationError::Pending { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
