use std::time::Duration;

use chrono::TimeDelta;
use database::test_on_both;
use registry_token::SigningAlgorithm;
use secrecy::ExposeSecret as _;

use super::*;
use crate::store;
use crate::token::key_files::KeyFolder;
use crate::token::key_settings::KeyRingSettings;
use crate::token::key_testing::{AHEAD, LIFETIME, Registry, Servers, kid};
use crate::token::upkeep;

/// After which a superseded key is over.
const REST: Duration = Duration::from_mins(5 + 2);

async fn states(servers: &Servers) -> Vec<KeyState> {
    let keys = list(&servers.database, servers.clock.now()).await.unwrap();
    keys.into_iter().map(|key| key.state).collect()
}

fn actions(events: &[(String, String, String)]) -> Vec<(&str, &str)> {
    let events = events.iter();
    events
        .map(|(action, actor, _)| (action.as_str(), actor.as_str()))
        .collect()
}

/// Tokens are made and used every few seconds; a registry looks as seldom as it may.
async fn nothing_fails_while(servers: &Servers, rings: &[&KeyRing], steps: u32) {
    const STEP: Duration = Duration::from_secs(20);
    let mut tokens: Vec<(String, DateTime<Utc>)> = Vec::new();
    let mut registry: Option<(Registry, DateTime<Utc>)> = None;
    for step in 0..steps {
        servers.pass(rings, STEP).await;
        let now = servers.clock.now();
        let which = usize::try_from(step).unwrap() % rings.len();
        let is_old = |at: DateTime<Utc>| now + STEP - at >= TimeDelta::from_std(AHEAD).unwrap();
        if registry.as_ref().is_none_or(|(_, at)| is_old(*at)) {
            registry = Some((servers.registry(rings[which]), now));
        }
        tokens.push((servers.token(rings[which]), now + LIFETIME));
        tokens.retain(|(_, expires)| *expires + TimeDelta::seconds(60) > now);
        let (registry, _) = registry.as_ref().unwrap();
        for (token, _) in &tokens {
            assert!(registry.believes(token), "step {step}");
        }
    }
}

test_on_both! {
    migrations: (store::SQLITE, store::POSTGRES);

    async fn a_new_key_is_published_then_signs_then_the_old_one_goes(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        let old = kid(&ring);
        let of_old = servers.token(&ring);
        let new = rotate(&servers.context(), &ring).await.unwrap();
        assert_eq!(new.state, KeyState::Published);
        assert_eq!(new.signs_from, Some(servers.clock.now() + AHEAD));
        assert_eq!(kid(&ring), old, "not yet");
        let published = |ring: &KeyRing| {
            let ring = ring.load();
            let bundle = std::fs::read_to_string(servers.path().join("bundle.pem")).unwrap();
            assert_eq!(bundle, ring.published.bundle.body);
            bundle.matches("BEGIN CERTIFICATE").count()
        };
        assert_eq!(published(&ring), 2);
        assert_eq!(servers.key_files().len(), 2);

        servers.pass(&[&ring], AHEAD).await;
        assert_eq!(kid(&ring), new.id);
        assert_eq!(states(&servers).await, [KeyState::Verifying, KeyState::Signing]);
        assert_eq!(published(&ring), 2);
        servers.pass(&[&ring], Duration::from_secs(6 * 60 + 59)).await;
        assert_eq!(published(&ring), 2);
        servers.pass(&[&ring], Duration::from_secs(1)).await;
        assert_eq!(states(&servers).await, [KeyState::Retired, KeyState::Signing]);
        assert_eq!(published(&ring), 1);
        assert_eq!(servers.key_files().len(), 1, "nobody can sign with the old one");
        assert!(!servers.registry(&ring).believes(&of_old));

        let events = servers.events().await;
        let expected = [
            ("key.generate", "system"),
            ("key.generate", "operator"),
            ("key.activate", "system"),
            ("key.retire", "system"),
        ];
        assert_eq!(actions(&events), expected);
        let again = servers.start(servers.in_files()).await.unwrap();
        assert_eq!(kid(&again), new.id);
    }

    async fn no_token_is_refused_over_rotations_by_hand_and_by_time(database: Database) {
        let servers = Servers::new(&database);
        let rotating = KeyRingSettings {
            rotate_every: Some(Duration::from_mins(15)),
            ..servers.in_files()
        };
        let one = servers.start(servers.in_files()).await.unwrap();
        let two = servers.start(servers.in_files()).await.unwrap();
        nothing_fails_while(&servers, &[&one, &two], 10).await;
        rotate(&servers.context(), &one).await.unwrap();
        nothing_fails_while(&servers, &[&two, &one], 60).await;
        let (one, two) = (
            servers.start(rotating.clone()).await.unwrap(),
            servers.start(rotating).await.unwrap(),
        );
        nothing_fails_while(&servers, &[&one, &two], 180).await;
        assert!(states(&servers).await.len() >= 3);
    }

    async fn replicas_follow_each_other_and_take_each_step_once(database: Database) {
        let servers = Servers::new(&database);
        for settings in [servers.in_files(), servers.encrypted(1)] {
            let one = servers.start(settings.clone()).await.unwrap();
            let two = servers.start(settings).await.unwrap();
            let before = servers.events().await.len();
            let new = rotate(&servers.context(), &one).await.unwrap();
            upkeep::tick(&two).await.unwrap();
            assert!(two.load().published.jwks.body.contains(&new.id));
            servers.clock.advance(AHEAD);
            // By its own clock, without having asked anybody.
            assert_eq!(kid(&two), new.id);
            let ticks = [&one, &two, &one, &two].map(upkeep::tick);
            for tick in futures_util::future::join_all(ticks).await {
                tick.unwrap();
            }
            servers.clock.advance(REST);
            let ticks = [&one, &two, &one, &two].map(upkeep::tick);
            for tick in futures_util::future::join_all(ticks).await {
                tick.unwrap();
            }
            let events = servers.events().await;
            let expected = [
                ("key.generate", "operator"),
                ("key.activate", "system"),
                ("key.retire", "system"),
            ];
            assert_eq!(actions(&events)[before..], expected);
            servers.clock.advance(Duration::from_mins(1));
        }
    }

    async fn a_schedule_makes_one_key_however_many_servers_follow_it(database: Database) {
        let servers = Servers::new(&database);
        let settings = KeyRingSettings {
            rotate_every: Some(Duration::from_hours(24)),
            ..servers.in_files()
        };
        let one = servers.start(settings.clone()).await.unwrap();
        let two = servers.start(settings).await.unwrap();
        servers.pass(&[&one, &two], Duration::from_hours(24) - Duration::from_secs(1)).await;
        assert_eq!(states(&servers).await.len(), 1);
        servers.clock.advance(Duration::from_secs(1));
        for tick in futures_util::future::join_all([&one, &two, &one].map(upkeep::tick)).await {
            tick.unwrap();
        }
        assert_eq!(states(&servers).await, [KeyState::Signing, KeyState::Published]);
        assert_eq!(servers.key_files().len(), 2, "who was slower has left nothing");
    }

    async fn one_key_waits_at_a_time(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        let context = servers.context();
        let waiting = rotate(&context, &ring).await.unwrap();
        let error = rotate(&context, &ring).await.unwrap_err();
        assert!(matches!(&error, RotationError::Pending { kid } if *kid == waiting.id), "{error}");
        assert_eq!(servers.key_files().len(), 2);

        // Nothing was signed with it: taking it back is no matter.
        let ended = retire(&context, &ring, &waiting.thumbprint, false).await.unwrap();
        assert_eq!(ended.key.state, KeyState::Retired);
        assert!(ended.warnings.is_empty());
        assert_eq!(servers.key_files().len(), 1);
        servers.pass(&[&ring], AHEAD + REST).await;
        assert_eq!(states(&servers).await, [KeyState::Signing, KeyState::Retired]);
        rotate(&context, &ring).await.unwrap();
    }

    async fn a_compromised_key_is_ended_at_once(database: Database) {
        for encrypted in [false, true] {
            let servers = Servers::new(&database);
            let settings = if encrypted { servers.encrypted(1) } else { servers.in_files() };
            let ring = servers.start(settings).await.unwrap();
            let (stolen, token) = (kid(&ring), servers.token(&ring));
            let context = servers.context();
            let error = retire(&context, &ring, &stolen, false).await.unwrap_err();
            assert!(matches!(error, RotationError::Signing { .. }), "{error}");
            assert!(servers.registry(&ring).believes(&token));

            let ended = retire(&context, &ring, &stolen, true).await.unwrap();
            assert_eq!(ended.key.state, KeyState::Retired);
            assert_eq!(ended.warnings.len(), 2, "{:?}", ended.warnings);
            assert_ne!(kid(&ring), stolen);
            let registry = servers.registry(&ring);
            assert!(!registry.believes(&token));
            assert!(registry.believes(&servers.token(&ring)));
            let error = retire(&context, &ring, &stolen, true).await.unwrap_err();
            assert!(matches!(error, RotationError::Retired { .. }), "{error}");
            // For the next round.
            let now = kid(&ring);
            retire(&context, &ring, &now, true).await.unwrap();
            let mut tx = database.begin().await.unwrap();
            database::sql!(&mut tx, execute, "DELETE FROM signing_keys").unwrap();
            tx.commit().await.unwrap();
        }
    }

    async fn the_key_that_waits_takes_the_place_of_a_compromised_one(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        let context = servers.context();
        let next = rotate(&context, &ring).await.unwrap();
        let stolen = kid(&ring);
        servers.clock.advance(Duration::from_secs(1));
        retire(&context, &ring, &stolen, true).await.unwrap();
        assert_eq!(kid(&ring), next.id);
        assert_eq!(states(&servers).await, [KeyState::Retired, KeyState::Signing]);
        assert_eq!(servers.key_files().len(), 1);
    }

    async fn a_verifying_key_ends_by_itself_or_by_force(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        let (old, context) = (kid(&ring), servers.context());
        rotate(&context, &ring).await.unwrap();
        servers.pass(&[&ring], AHEAD).await;
        let error = retire(&context, &ring, &old, false).await.unwrap_err();
        assert!(matches!(error, RotationError::Verifying { .. }), "{error}");
        let ended = retire(&context, &ring, &old, true).await.unwrap();
        assert_eq!(ended.warnings.len(), 1);
        assert_eq!(states(&servers).await, [KeyState::Retired, KeyState::Signing]);
    }

    async fn a_pair_is_imported_and_signs_like_one_made_here(database: Database) {
        let servers = Servers::new(&database);
        for (settings, algorithm) in [
            (servers.in_files(), SigningAlgorithm::Es384),
            (servers.encrypted(1), SigningAlgorithm::Rs256),
        ] {
            let ring = servers.start(settings.clone()).await.unwrap();
            let context = servers.context();
            let pair = SigningKey::generate(algorithm, servers.clock.now()).unwrap();
            let with_certificate = KeyImport {
                private_key: Some(pair.to_pem().clone()),
                certificate: Some(pair.certificate_pem()),
            };
            let imported = import(&context, &ring, with_certificate.clone()).await.unwrap();
            assert_eq!(imported.id, pair.key_id());
            assert_eq!(imported.origin, "imported");
            assert_eq!(imported.algorithm, algorithm.to_string());
            let error = import(&context, &ring, with_certificate.clone()).await.unwrap_err();
            assert!(matches!(error, RotationError::Known { .. }), "{error}");
            servers.pass(&[&ring], AHEAD).await;
            assert_eq!(kid(&ring), pair.key_id());
            assert_eq!(kid(&servers.start(settings).await.unwrap()), pair.key_id());
            assert!(servers.registry(&ring).believes(&servers.token(&ring)));

            retire(&context, &ring, &imported.id, true).await.unwrap();
            let error = import(&context, &ring, with_certificate).await.unwrap_err();
            assert!(matches!(error, RotationError::Retired { .. }), "never again: {error}");
            servers.pass(&[&ring], REST).await;
        }
    }

    async fn an_import_without_certificate_gets_one(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        let pair = servers.generate();
        let alone = KeyImport { private_key: Some(pair.to_pem().clone()), certificate: None };
        let imported = import(&servers.context(), &ring, alone).await.unwrap();
        assert_eq!(imported.id, pair.key_id());
        assert!(imported.certificate_subject.is_some());
    }

    async fn a_lost_private_key_can_be_imported_again(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.encrypted(1)).await.unwrap();
        let key = ring.current().unwrap();
        let mut tx = database.begin().await.unwrap();
        database::sql!(&mut tx, execute, "UPDATE signing_keys SET private_sealed = NULL").unwrap();
        tx.commit().await.unwrap();
        let repairing = servers.open(servers.encrypted(1)).await;
        let pair = KeyImport {
            private_key: Some(key.to_pem().clone()),
            certificate: Some(key.certificate_pem()),
        };
        let imported = import(&servers.context(), &repairing, pair).await.unwrap();
        assert_eq!(imported.state, KeyState::Signing);
        assert_eq!(kid(&servers.start(servers.encrypted(1)).await.unwrap()), key.key_id());
    }

    async fn what_cannot_be_imported_is_refused_with_a_reason(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        let context = servers.context();
        let (one, two) = (servers.generate(), servers.generate());
        let private = |key: &SigningKey| Some(key.to_pem().clone());
        let long_ago = servers.clock.now() - TimeDelta::days(5_000);
        let ended = SigningKey::generate(SigningAlgorithm::Es256, long_ago).unwrap();
        for (private_key, certificate, words) in [
            (None, Some(one.certificate_pem()), "a private key is needed"),
            (Some("nonsense".into()), None, "no private key"),
            (Some(one.certificate_pem().into()), None, "no private key"),
            (private(&one), Some(two.certificate_pem()), "does not belong"),
            (private(&one), Some(String::new()), "no certificate"),
            (private(&ended), Some(ended.certificate_pem()), "has ended"),
        ] {
            let import = import(&context, &ring, KeyImport { private_key, certificate });
            let error = import.await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(states(&servers).await.len(), 1);
        assert_eq!(servers.key_files().len(), 1);
    }

    async fn a_mounted_key_is_rotated_by_who_mounts_it(database: Database) {
        let servers = Servers::new(&database);
        let (one, two) = (servers.generate(), servers.generate());
        let ring = servers.start(servers.mounted(&one)).await.unwrap();
        let context = servers.context();
        let error = rotate(&context, &ring).await.unwrap_err();
        assert!(error.to_string().contains("import the certificate"), "{error}");
        let private = KeyImport { private_key: Some(two.to_pem().clone()), certificate: None };
        let error = import(&context, &ring, private).await.unwrap_err();
        assert!(matches!(error, RotationError::PrivateKeyOfMounted), "{error}");
        let error = import(&context, &ring, KeyImport::default()).await.unwrap_err();
        assert!(matches!(error, RotationError::NoCertificate), "{error}");
        let error = retire(&context, &ring, &one.key_id(), true).await.unwrap_err();
        assert!(matches!(error, RotationError::MountedSigns { .. }), "{error}");

        // As it says: first the certificate, everywhere; then the pair.
        let announced = KeyImport { private_key: None, certificate: Some(two.certificate_pem()) };
        let announced = import(&context, &ring, announced).await.unwrap();
        assert_eq!((announced.state, announced.signs_from), (KeyState::Published, None));
        assert_eq!(announced.id, two.key_id());
        let registry = servers.registry(&ring);
        servers.pass(&[&ring], AHEAD).await;
        let of_one = servers.token(&ring);
        let again = servers.start(servers.mounted(&two)).await.unwrap();
        assert!(registry.believes(&servers.token(&again)), "known before it signed");
        assert!(servers.registry(&again).believes(&of_one));
        assert_eq!(states(&servers).await, [KeyState::Verifying, KeyState::Signing]);
        assert!(again.load().problem.is_none());
    }

    async fn a_key_that_this_server_cannot_see_is_told_and_another_signs(database: Database) {
        let servers = Servers::new(&database);
        let elsewhere = tempfile::tempdir().unwrap();
        let one = servers.start(servers.in_files()).await.unwrap();
        let file = servers.key_files().remove(0);
        std::fs::copy(&file, elsewhere.path().join("signing.pem")).unwrap();
        let folder = KeyFolder::new(elsewhere.path());
        let other = KeyRingSettings {
            place: KeyPlace::Folder(folder),
            bundle: None,
            ..servers.in_files()
        };
        let two = servers.start(other).await.unwrap();
        let old = kid(&two);
        let new = rotate(&servers.context(), &one).await.unwrap();
        upkeep::tick(&two).await.unwrap();
        let problem = two.load().problem.clone().unwrap();
        assert!(problem.contains(&new.id) && problem.contains("keys.path"), "{problem}");
        for _ in 0..100 {
            servers.pass(&[&one, &two], Duration::from_secs(20)).await;
            for ring in [&one, &two] {
                assert!(servers.registry(&one).believes(&servers.token(ring)));
            }
        }
        assert_eq!((kid(&one), kid(&two)), (new.id, old));
    }
}

#[test]
fn no_private_key_shows_in_debug() {
    let key = SigningKey::generate(SigningAlgorithm::Es256, crate::testing::clock().now());
    let pem = key.unwrap().to_pem().clone();
    let import = KeyImport {
        private_key: Some(pem.clone()),
        certificate: None,
    };
    let secret = pem.expose_secret().lines().nth(1).unwrap();
    assert!(!format!("{import:?}").contains(secret));
}

test_on_both! {
    migrations: (store::SQLITE, store::POSTGRES);

    async fn a_command_that_does_not_see_the_keys_makes_none(database: Database) {
        let servers = Servers::new(&database);
        let server = servers.start(servers.encrypted(7)).await.unwrap();
        let signing = kid(&server);
        // Without the variable that has the encryption key, and in another folder.
        let elsewhere = Servers::new(&database);
        for told in [servers.in_files(), elsewhere.in_files(), servers.encrypted(8)] {
            let opened = KeyRing::open_beside(told, database.clone(), servers.clock.clone());
            let command = opened.await.unwrap();
            let error = rotate(&servers.context(), &command).await.unwrap_err();
            assert!(matches!(error, RotationError::Blind(_)), "{error:?}");
        }
        assert_eq!(states(&servers).await, [KeyState::Signing]);
        assert_eq!(kid(&server), signing);
        assert!(elsewhere.key_files().is_empty());
        // With it, it does.
        let told = servers.encrypted(7);
        let opened = KeyRing::open_beside(told, database, servers.clock.clone());
        rotate(&servers.context(), &opened.await.unwrap()).await.unwrap();
    }

    async fn a_command_beside_the_server_goes_by_what_the_server_was_told(database: Database) {
        let servers = Servers::new(&database);
        let told = KeyRingSettings {
            algorithm: SigningAlgorithm::Es384,
            publish_ahead: Duration::from_hours(3),
            token_lifetime: Duration::from_hours(1),
            ..servers.in_files()
        };
        let server = servers.start(told.clone()).await.unwrap();
        // Without the server's variables.
        let opened = KeyRing::open_beside(servers.in_files(), database.clone(), servers.clock.clone());
        let command = opened.await.unwrap();
        let key = rotate(&servers.context(), &command).await.unwrap();
        let from = key.signs_from.unwrap();
        assert_eq!(from, servers.clock.now() + told.publish_ahead);
        assert_eq!(key.algorithm, "ES384");
        // The last start counts.
        servers.pass(&[&server], told.publish_ahead + Duration::from_secs(1)).await;
        servers.start(servers.in_files()).await.unwrap();
        let opened = KeyRing::open_beside(told, database, servers.clock.clone());
        assert_eq!(opened.await.unwrap().settings().publish_ahead, AHEAD);
    }
}
