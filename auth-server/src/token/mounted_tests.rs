use std::time::Duration;

use database::test_on_both;
use registry_token::SigningAlgorithm;

use super::*;
use crate::store;
use crate::testing::clock;
use crate::token::key_ring::KeyRing;
use crate::token::key_testing::{LIFETIME, Servers, kid};
use crate::token::rotation;
use crate::token::signing_key::KeyState;

fn generate() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256, clock().now()).unwrap()
}

/// A folder with the two files in it.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(key: &str, certificate: &str) -> Self {
        let mount = Self(tempfile::tempdir().unwrap());
        mount.write(Some(key), Some(certificate));
        mount
    }

    fn of(pair: &SigningKey) -> Self {
        Self::new(pair.to_pem().expose_secret(), &pair.certificate_pem())
    }

    fn write(&self, key: Option<&str>, certificate: Option<&str>) {
        for (text, name) in [(key, "key.pem"), (certificate, "cert.pem")] {
            if let Some(text) = text {
                fs::write(self.0.path().join(name), text).unwrap();
            }
        }
    }

    fn pair(&self, clock: &Clock) -> MountedPair {
        let file = |name| self.0.path().join(name);
        MountedPair::new(file("key.pem"), file("cert.pem"), clock.clone())
    }
}

#[test]
fn a_pair_of_either_kind_is_read() {
    for algorithm in ["ES256", "RS256"] {
        let algorithm: SigningAlgorithm = serde_json::from_value(algorithm.into()).unwrap();
        let made = SigningKey::generate(algorithm, clock().now()).unwrap();
        let mount = Mount::of(&made);
        let read = mount.pair(&clock()).load().unwrap();
        assert_eq!(read.key.algorithm(), algorithm);
        assert_eq!(read.key.key_id(), made.key_id());
        assert_eq!(read.path, mount.0.path().join("key.pem"));
    }
}

#[test]
fn a_pair_that_does_not_fit_is_refused_by_the_file_at_fault() {
    let (one, other) = (generate(), generate());
    let (key, certificate) = (one.to_pem().expose_secret(), one.certificate_pem());
    for (key, certificate, at_fault) in [
        (key, other.certificate_pem().as_str(), "cert.pem"),
        (key, "", "cert.pem"),
        ("", certificate.as_str(), "key.pem"),
        (certificate.as_str(), certificate.as_str(), "key.pem"),
    ] {
        let error = Mount::new(key, certificate).pair(&clock()).load();
        let error = error.unwrap_err().to_string();
        assert!(error.contains(at_fault), "{error}");
    }
    let missing = MountedPair::new("/nowhere/key.pem".into(), "/cert.pem".into(), clock());
    let error = missing.load().unwrap_err().to_string();
    assert!(error.contains("/nowhere/key.pem"), "{error}");
}

/// Looks at the files again and again.
struct Looks {
    pair: MountedPair,
    doubtful: Option<PairText>,
}

impl Looks {
    fn at(pair: MountedPair) -> Self {
        pair.load().unwrap();
        Self {
            pair,
            doubtful: None,
        }
    }

    /// What is found: `Ok(true)` if it is another pair.
    fn look(&mut self) -> Result<bool, String> {
        let found = self.pair.look(&mut self.doubtful);
        found.map_err(|error| error.to_string())
    }

    fn kid(&self) -> String {
        self.pair.load().unwrap().key.key_id()
    }
}

#[test]
fn halves_are_awaited_and_then_told() {
    let (one, two) = (generate(), generate());
    let mount = Mount::of(&one);
    let mut looks = Looks::at(mount.pair(&clock()));
    assert_eq!(looks.look(), Ok(false));

    mount.write(None, Some(&two.certificate_pem()));
    assert_eq!(looks.look(), Ok(false), "the key may follow");
    mount.write(Some(two.to_pem().expose_secret()), None);
    assert_eq!(looks.look(), Ok(true));
    assert_eq!(looks.kid(), two.key_id());
    assert_eq!(looks.look(), Ok(false));

    mount.write(Some(one.to_pem().expose_secret()), None);
    assert_eq!(looks.look(), Ok(false));
    for _ in 0..2 {
        let error = looks.look().unwrap_err();
        assert!(
            error.contains("cert.pem") && error.contains("does not belong"),
            "{error}"
        );
    }
    assert_eq!(looks.kid(), two.key_id(), "it signs on");
    mount.write(Some(two.to_pem().expose_secret()), None);
    assert_eq!(looks.look(), Ok(false), "all is as before");
}

#[test]
fn what_cannot_sign_leaves_the_pair_before_in_use() {
    let one = generate();
    let mount = Mount::of(&one);
    let clock = clock();
    let mut looks = Looks::at(mount.pair(&clock));
    let pem = one.to_pem().expose_secret();
    for (damaged, cause) in [
        ("", "no private key"),
        (&pem[..pem.len() / 2], "cut off or damaged"),
    ] {
        mount.write(Some(damaged), None);
        assert_eq!(looks.look(), Ok(false));
        let error = looks.look().unwrap_err();
        assert!(
            error.contains("key.pem") && error.contains(cause),
            "{error}"
        );
    }
    fs::remove_file(mount.0.path().join("key.pem")).unwrap();
    let error = looks.look().unwrap_err();
    assert!(
        error.contains("key.pem") && error.contains("No such file"),
        "{error}"
    );

    clock.advance(Duration::from_hours(24 * 365 * 11));
    let (then, ended) = (clock.now(), generate());
    mount.write(
        Some(ended.to_pem().expose_secret()),
        Some(&ended.certificate_pem()),
    );
    assert_eq!(looks.look(), Ok(false));
    let error = looks.look().unwrap_err();
    assert!(
        error.contains("cert.pem") && error.contains("has ended"),
        "{error}"
    );
    assert_eq!(looks.kid(), one.key_id());

    let fresh = SigningKey::generate(SigningAlgorithm::Es256, then).unwrap();
    mount.write(
        Some(fresh.to_pem().expose_secret()),
        Some(&fresh.certificate_pem()),
    );
    assert_eq!(looks.look(), Ok(true));
    assert_eq!(looks.kid(), fresh.key_id());
}

/// Looks twice, as time would have it, and does what the job does.
async fn follow(servers: &Servers, ring: &KeyRing) {
    let pair = ring.mounted().unwrap();
    let mut doubtful = None;
    for _ in 0..2 {
        pair.look(&mut doubtful).unwrap();
    }
    servers.pass(&[ring], Duration::from_secs(2)).await;
}

async fn states(servers: &Servers) -> Vec<(String, KeyState)> {
    let keys = rotation::list(&servers.database, servers.clock.now()).await;
    let keys = keys.unwrap().into_iter();
    keys.map(|key| (key.id, key.state)).collect()
}

test_on_both! {
    migrations: (store::SQLITE, store::POSTGRES);

    async fn a_pair_that_is_replaced_signs_and_its_predecessor_is_believed(database: Database) {
        let servers = Servers::new(&database);
        let (one, two) = (servers.generate(), servers.generate());
        let ring = servers.start(servers.mounted(&one)).await.unwrap();
        let token = servers.token(&ring);
        servers.clock.advance(Duration::from_mins(1));

        servers.mounted(&two);
        follow(&servers, &ring).await;
        assert_eq!(kid(&ring), two.key_id());
        for token in [token, servers.token(&ring)] {
            assert!(servers.registry(&ring).believes(&token));
        }
        let expected = [(one.key_id(), KeyState::Verifying), (two.key_id(), KeyState::Signing)];
        assert_eq!(states(&servers).await, expected);
        let told: Vec<String> = servers.events().await.into_iter().map(|event| event.2).collect();
        assert_eq!(told, [one.key_id(), two.key_id()]);

        // Back again: who replaces files decides.
        servers.clock.advance(Duration::from_mins(1));
        servers.mounted(&one);
        follow(&servers, &ring).await;
        assert_eq!(kid(&ring), one.key_id());
        servers.mounted(&two);
        follow(&servers, &ring).await;
        servers.pass(&[&ring], LIFETIME + Duration::from_mins(3)).await;
        let expected = [(one.key_id(), KeyState::Retired), (two.key_id(), KeyState::Signing)];
        assert_eq!(states(&servers).await, expected);

        // Registries refuse it for good: it must not sign.
        servers.mounted(&one);
        let pair = ring.mounted().unwrap();
        assert!(pair.look(&mut None).unwrap());
        let refused = crate::token::upkeep::tick(&ring).await.unwrap_err().to_string();
        assert!(refused.contains("was retired") && refused.contains(&one.key_id()), "{refused}");
        assert_eq!(kid(&ring), two.key_id());
        assert!(servers.registry(&ring).believes(&servers.token(&ring)));
    }

    async fn a_renewed_certificate_goes_with_the_next_token(database: Database) {
        let servers = Servers::new(&database);
        let key = servers.generate();
        let ring = servers.start(servers.mounted(&key)).await.unwrap();
        servers.clock.advance(Duration::from_hours(24));
        let renewed = SigningKey::from_key_pem(key.to_pem(), servers.clock.now()).unwrap();
        servers.mounted(&renewed);
        follow(&servers, &ring).await;
        assert_eq!(ring.current().unwrap().certificate_pem(), renewed.certificate_pem());
        assert_eq!(ring.load().published.bundle.body, renewed.certificate_pem());
        assert_eq!(states(&servers).await, [(key.key_id(), KeyState::Signing)]);
    }

    async fn replicas_follow_one_after_another(database: Database) {
        let servers = Servers::new(&database);
        let (one, two) = (servers.generate(), servers.generate());
        let first = servers.start(servers.mounted(&one)).await.unwrap();
        let second = servers.start(servers.mounted(&one)).await.unwrap();
        servers.clock.advance(Duration::from_mins(1));
        servers.mounted(&two);
        follow(&servers, &first).await;
        // The other has not looked yet: it signs on with what it has, and is believed.
        servers.pass(&[&second], Duration::from_secs(1)).await;
        assert_eq!(kid(&second), one.key_id());
        assert!(servers.registry(&first).believes(&servers.token(&second)));
        follow(&servers, &second).await;
        servers.pass(&[&first, &second], Duration::from_secs(2)).await;
        assert_eq!((kid(&first), kid(&second)), (two.key_id(), two.key_id()));
        let told: Vec<String> = servers.events().await.into_iter().map(|event| event.2).collect();
        assert_eq!(told, [one.key_id(), two.key_id()], "each step once");
    }
}
