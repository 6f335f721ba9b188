//! What the servers have promised: everything acknowledged, and what may have happened besides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use acceptance::{Blob, Manifest};
use bytes::Bytes;

use crate::register::{Outcome, Register, Value, WriteId};
use crate::weather::Tick;

/// A lease is believed for 30 seconds after its holder was last heard of. Somewhat longer than that.
const LEASE: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Blob,
    Manifest,
    Tag,
    /// What `docker login` keeps; the repository is the user.
    IdentityToken,
    PersonalToken,
}

/// Something with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub repository: String,
    pub kind: Kind,
    pub name: String,
}

impl Key {
    pub fn new(repository: &str, kind: Kind, name: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            kind,
            name: name.to_owned(),
        }
    }
}

pub type SessionId = u64;

/// An upload that is open, or may be.
#[derive(Clone, Debug)]
pub struct Session {
    pub owner: usize,
    pub repository: String,
    pub location: String,
    pub blob: Blob,
    /// So many bytes are acknowledged.
    pub acknowledged: usize,
    /// And so many may be there.
    pub possible: usize,
    /// A `PUT` or `DELETE` whose outcome nobody knows: it may have ended.
    pub ending: bool,
    /// When the last request that changed it began, by the servers' clock, and by ours.
    pub touched: (f64, Tick),
    /// When a request on it last broke off: whoever held the lease may hold it still.
    pub broken: Option<Instant>,
    /// What a cut may take: one that holds nothing is opened again.
    pub power_was_cut: bool,
}

impl Session {
    /// So much is there. What broke off a moment ago may still be on its way, and add to it.
    pub fn stands_at(&mut self, offset: usize) {
        self.acknowledged = offset;
        if !self.may_be_busy() {
            self.possible = offset;
        }
    }

    /// Whether "busy" is an honest answer.
    pub fn may_be_busy(&self) -> bool {
        self.broken.is_some_and(|broken| broken.elapsed() < LEASE)
    }
}

/// A sweep that has ended: what had not been touched since then, by the servers' clock, may be gone.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    cutoff: f64,
    ended: Tick,
}

#[derive(Debug, Default)]
pub struct Model {
    registers: BTreeMap<Key, Register>,
    blobs: HashMap<String, Bytes>,
    manifests: HashMap<String, (Manifest, Vec<String>)>,
    sessions: BTreeMap<SessionId, Session>,
    next_session: SessionId,
    sweeps: Vec<Sweep>,
    sweeping: Vec<Duration>,
}

impl Model {
    pub fn know_blob(&mut self, blob: &Blob) {
        self.blobs.insert(blob.digest.clone(), blob.bytes.clone());
    }

    pub fn know_manifest(&mut self, manifest: &Manifest, blobs: &[String]) {
        self.manifests.insert(
            manifest.digest.clone(),
            (manifest.clone(), blobs.to_owned()),
        );
    }

    pub fn blob(&self, digest: &str) -> Blob {
        Blob {
            bytes: self.blobs[digest].clone(),
            digest: digest.to_owned(),
        }
    }

    /// A manifest with the digests of its blobs.
    pub fn manifest(&self, digest: &str) -> Option<&(Manifest, Vec<String>)> {
        self.manifests.get(digest)
    }

    pub fn begin(&mut self, key: &Key, value: Value, now: Tick) -> WriteId {
        let register = self
            .registers
            .entry(key.clone())
            .or_insert_with(Register::new);
        register.begin(value, now)
    }

    pub fn end(&mut self, key: &Key, write: WriteId, outcome: Outcome, now: Tick) {
        if let Some(register) = self.registers.get_mut(key) {
            register.end(write, outcome, now);
        }
    }

    pub fn allowed(&self, key: &Key, read: Tick) -> BTreeSet<Value> {
        match self.registers.get(key) {
            Some(register) => register.allowed(read),
            None => BTreeSet::from([None]),
        }
    }

    pub fn pin(&mut self, key: &Key, value: Value) {
        let register = self
            .registers
            .entry(key.clone())
            .or_insert_with(Register::new);
        register.pin(value);
    }

    /// Certainly there.
    pub fn holds(&self, key: &Key, read: Tick) -> bool {
        !self.allowed(key, read).contains(&None)
    }

    pub fn may_hold(&self, key: &Key, read: Tick) -> bool {
        self.allowed(key, read).iter().any(Option::is_some)
    }

    pub fn keys(&self) -> Vec<Key> {
        self.registers.keys().cloned().collect()
    }

    /// Names of this kind in a repository.
    pub fn names(&self, repository: &str, kind: Kind) -> Vec<String> {
        let all = self.registers.keys();
        let of_kind = all.filter(|key| key.kind == kind && key.repository == repository);
        of_kind.map(|key| key.name.clone()).collect()
    }

    /// Those that are certainly there.
    pub fn held(&self, repository: &str, kind: Kind, read: Tick) -> Vec<String> {
        let mut names = self.names(repository, kind);
        names.retain(|name| self.holds(&Key::new(repository, kind, name), read));
        names
    }

    /// Whether manifests in the repository need this blob: certainly, and perhaps.
    pub fn needed(&self, repository: &str, blob: &str, read: Tick) -> (bool, bool) {
        let mut needed = (false, false);
        for digest in self.names(repository, Kind::Manifest) {
            let Some((_, blobs)) = self.manifests.get(&digest) else {
                continue;
            };
            if blobs.iter().any(|other| other == blob) {
                let key = Key::new(repository, Kind::Manifest, &digest);
                needed.0 |= self.holds(&key, read);
                needed.1 |= self.may_hold(&key, read);
            }
        }
        needed
    }

    /// Tags that may point at a manifest, and whether they certainly do.
    pub fn pointing(&self, repository: &str, digest: &str, read: Tick) -> Vec<(Key, bool)> {
        let target = Some(digest.to_owned());
        let tags = self.names(repository, Kind::Tag).into_iter();
        tags.filter_map(|tag| {
            let key = Key::new(repository, Kind::Tag, &tag);
            let allowed = self.allowed(&key, read);
            allowed
                .contains(&target)
                .then_some((key, allowed.len() == 1))
        })
        .collect()
    }

    pub fn open(&mut self, session: Session) -> SessionId {
        self.next_session += 1;
        self.sessions.insert(self.next_session, session);
        self.next_session
    }

    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).cloned()
    }

    pub fn change_session(&mut self, id: SessionId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&id) {
            change(session);
        }
    }

    pub fn close(&mut self, id: SessionId) {
        self.sessions.remove(&id);
    }

    pub fn sessions(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    pub fn sessions_of(&self, owner: usize) -> Vec<SessionId> {
        let all = self.sessions.iter();
        let own = all.filter(|(_, session)| session.owner == owner);
        own.map(|(id, _)| *id).collect()
    }

    /// Before anything is asked of servers that have just lost their power.
    pub fn power_was_cut(&mut self) {
        for session in self.sessions.values_mut() {
            session.power_was_cut = true;
        }
    }

    /// Leases of whoever died run out by a clock that is behind now.
    pub fn clock_went_back(&mut self, by: Duration) {
        for session in self.sessions.values_mut() {
            if session.may_be_busy() {
                session.broken = Some(Instant::now() + by);
            }
        }
    }

    pub fn sweep_begins(&mut self, older_than: Duration) {
        self.sweeping.push(older_than);
    }

    /// `now` by the servers' clock.
    pub fn sweep_ends(&mut self, older_than: Duration, now: f64, ended: Tick) {
        self.sweeping.retain(|other| *other != older_than);
        self.sweeps.push(Sweep {
            cutoff: now - older_than.as_secs_f64(),
            ended,
        });
    }

    /// Whether "unknown" is an honest answer to who asks for it.
    pub fn may_be_gone(&self, session: &Session, now: f64) -> bool {
        let (touched, tick) = session.touched;
        let mut sweeps = self.sweeps.iter();
        session.ending
            || session.power_was_cut && session.acknowledged == 0
            || sweeps.any(|sweep| sweep.ended > tick && touched <= sweep.cutoff)
            || (self.sweeping.iter()).any(|older_than| touched <= now - older_than.as_secs_f64())
    }
}
