use std::time::Duration;

use database::{Database, test_on_both};

use super::*;
use crate::store;
use crate::token::key_files::KeyFolder;
use crate::token::key_testing::{AHEAD, LIFETIME, Servers, kid};
use crate::token::rotation::{self, RotationError};
use crate::token::signing_key::KeyState;

async fn states(servers: &Servers) -> Vec<(String, KeyState)> {
    let keys = rotation::list(&servers.database, servers.clock.now()).await;
    let keys = keys.unwrap().into_iter();
    keys.map(|key| (key.id, key.state)).collect()
}

fn bundle(servers: &Servers) -> String {
    std::fs::read_to_string(servers.path().join("bundle.pem")).unwrap()
}

test_on_both! {
    migrations: (store::SQLITE, store::POSTGRES);

    async fn the_first_start_makes_a_key_that_signs_and_the_second_finds_it(database: Database) {
        let servers = Servers::new(&database);
        let first = servers.start(servers.in_files()).await.unwrap();
        assert_eq!(states(&servers).await, [(kid(&first), KeyState::Signing)]);
        assert_eq!(bundle(&servers), first.current().unwrap().certificate_pem());
        assert!(servers.registry(&first).believes(&servers.token(&first)));

        let keys = rotation::list(&database, servers.clock.now()).await.unwrap();
        let second = servers.start(servers.in_files()).await.unwrap();
        assert_eq!(kid(&second), kid(&first));
        assert_eq!(rotation::list(&database, servers.clock.now()).await.unwrap(), keys);
        let made = ("key.generate".to_owned(), "system".to_owned(), kid(&first));
        assert_eq!(servers.events().await, [made]);
    }

    async fn of_many_that_start_at_once_all_have_one_key(database: Database) {
        let servers = Servers::new(&database);
        for settings in [servers.in_files(), servers.encrypted(1)] {
            let starts = (0..4).map(|_| servers.start(settings.clone()));
            let rings = futures_util::future::join_all(starts).await;
            let kids: Vec<String> = rings.iter().map(|ring| kid(ring.as_ref().unwrap())).collect();
            assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
        }
        assert_eq!(states(&servers).await.len(), 1);
        assert_eq!(servers.key_files().len(), 1);
    }

    async fn a_key_of_an_earlier_version_is_adopted(database: Database) {
        let servers = Servers::new(&database);
        let key = servers.generate();
        KeyFolder::new(servers.path()).add(&key).unwrap();
        let ring = servers.start(servers.in_files()).await.unwrap();
        assert_eq!(kid(&ring), key.key_id());
        assert_eq!(states(&servers).await, [(key.key_id(), KeyState::Signing)]);
        assert_eq!(servers.events().await[0].0, "key.import");
    }

    async fn with_the_database_lost_the_oldest_key_signs_and_the_next_follows(database: Database) {
        let servers = Servers::new(&database);
        let folder = KeyFolder::new(servers.path());
        let old = servers.generate();
        servers.clock.advance(Duration::from_hours(24));
        let new = servers.generate();
        // In the order of their names or the other way round: their dates count.
        folder.add(&new).unwrap();
        folder.add(&old).unwrap();

        let ring = servers.start(servers.in_files()).await.unwrap();
        let expected = [(old.key_id(), KeyState::Signing), (new.key_id(), KeyState::Published)];
        assert_eq!(states(&servers).await, expected);
        assert!(bundle(&servers).contains(&new.certificate_pem()));
        servers.pass(&[&ring], AHEAD).await;
        assert_eq!(kid(&ring), new.key_id());
    }

    async fn a_lost_private_key_is_replaced_only_where_nobody_else_can_have_it(database: Database) {
        let servers = Servers::new(&database);
        let lost = kid(&servers.start(servers.in_files()).await.unwrap());
        std::fs::remove_dir_all(servers.path()).unwrap();
        servers.clock.advance(Duration::from_mins(1));
        let again = servers.start(servers.in_files()).await;
        if let Database::Postgres(_) = &database {
            let error = again.unwrap_err().to_string();
            for words in [&lost, "keys.path", "keys.encryptionkey", "--force"] {
                assert!(error.contains(words), "{error}");
            }
            // As the sentence says.
            let ring = servers.open(servers.in_files()).await;
            assert!(ring.current().is_none());
            assert!(ring.load().problem.as_ref().unwrap().contains(&lost));
            let retired = rotation::retire(&servers.context(), &ring, &lost, true).await.unwrap();
            assert_eq!(retired.key.state, KeyState::Retired);
            let ring = servers.start(servers.in_files()).await.unwrap();
            assert_ne!(kid(&ring), lost);
        } else {
            let ring = again.unwrap();
            let expected = [(lost, KeyState::Verifying), (kid(&ring), KeyState::Signing)];
            assert_eq!(states(&servers).await, expected);
        }
    }

    async fn files_move_into_the_database_and_servers_without_them_sign(database: Database) {
        let servers = Servers::new(&database);
        let in_files = servers.start(servers.in_files()).await.unwrap();
        let sealed = servers.start(servers.encrypted(1)).await.unwrap();
        assert_eq!(kid(&sealed), kid(&in_files));
        std::fs::remove_dir_all(servers.path()).unwrap();
        let elsewhere = servers.start(servers.encrypted(1)).await.unwrap();
        assert_eq!(kid(&elsewhere), kid(&in_files));
        assert!(servers.registry(&in_files).believes(&servers.token(&elsewhere)));
        assert!(servers.key_files().is_empty());

        let mut tx = database.read().await.unwrap();
        let row = signing_keys::all(&mut tx).await.unwrap().remove(0);
        let stored = row.private_sealed.unwrap();
        let plain = b"PRIVATE KEY";
        assert!(!stored.windows(plain.len()).any(|window| window == plain));
    }

    async fn the_wrong_encryption_key_and_none_are_refused(database: Database) {
        let servers = Servers::new(&database);
        let kid = kid(&servers.start(servers.encrypted(1)).await.unwrap());
        let error = servers.start(servers.encrypted(2)).await.unwrap_err();
        assert!(matches!(error, KeyError::WrongEncryptionKey { .. }), "{error}");
        assert!(error.to_string().contains("keys.encryptionkey is not the key"), "{error}");
        let error = servers.start(servers.in_files()).await.unwrap_err();
        assert!(matches!(error, KeyError::NoEncryptionKey { .. }), "{error}");
        assert!(error.to_string().contains(&kid), "{error}");
        assert_eq!(states(&servers).await, [(kid, KeyState::Signing)]);
    }

    async fn a_mounted_pair_signs_at_once_and_its_predecessor_is_still_believed(
        database: Database
    ) {
        let servers = Servers::new(&database);
        let (one, two) = (servers.generate(), servers.generate());
        let first = servers.start(servers.mounted(&one)).await.unwrap();
        assert_eq!(kid(&first), one.key_id());
        let token = servers.token(&first);
        servers.clock.advance(Duration::from_mins(1));

        let second = servers.start(servers.mounted(&two)).await.unwrap();
        assert_eq!(kid(&second), two.key_id());
        assert!(servers.registry(&second).believes(&token));
        assert!(servers.registry(&second).believes(&servers.token(&second)));
        assert_eq!(
            states(&servers).await,
            [(one.key_id(), KeyState::Verifying), (two.key_id(), KeyState::Signing)]
        );
        // One that was not started again yet signs on, and its key lives on with it.
        for _ in 0..40 {
            servers.pass(&[&first, &second], Duration::from_secs(30)).await;
            assert!(servers.registry(&second).believes(&servers.token(&first)));
        }
        servers.pass(&[&second], LIFETIME + Duration::from_mins(3)).await;
        assert_eq!(states(&servers).await[0], (one.key_id(), KeyState::Retired));
        let error = servers.start(servers.mounted(&one)).await.unwrap_err().to_string();
        assert!(error.contains("was retired") && error.contains("keys.signingkey"), "{error}");
    }

    async fn who_mounts_the_old_pair_again_signs_with_it(database: Database) {
        let servers = Servers::new(&database);
        let (one, two) = (servers.generate(), servers.generate());
        servers.start(servers.mounted(&one)).await.unwrap();
        servers.clock.advance(Duration::from_mins(1));
        servers.start(servers.mounted(&two)).await.unwrap();
        servers.clock.advance(Duration::from_mins(1));
        let ring = servers.start(servers.mounted(&one)).await.unwrap();
        assert_eq!(kid(&ring), one.key_id());
        assert_eq!(
            states(&servers).await,
            [(two.key_id(), KeyState::Verifying), (one.key_id(), KeyState::Signing)]
        );
    }

    async fn a_renewed_certificate_of_a_mounted_key_is_published(database: Database) {
        let servers = Servers::new(&database);
        let key = servers.generate();
        servers.start(servers.mounted(&key)).await.unwrap();
        servers.clock.advance(Duration::from_hours(24));
        let renewed = SigningKey::from_key_pem(key.to_pem(), servers.clock.now()).unwrap();
        assert_ne!(renewed.certificate_pem(), key.certificate_pem());
        let ring = servers.start(servers.mounted(&renewed)).await.unwrap();
        assert_eq!(bundle(&servers), renewed.certificate_pem());
        assert!(servers.registry(&ring).believes(&servers.token(&ring)));
        assert_eq!(states(&servers).await.len(), 1);
    }

    async fn looking_at_keys_makes_none(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.open(servers.in_files()).await;
        assert!(ring.current().is_none());
        assert!(states(&servers).await.is_empty());
        assert!(!servers.path().join("bundle.pem").exists());
        let nothing = rotation::retire(&servers.context(), &ring, "x", true).await;
        assert!(matches!(nothing, Err(RotationError::NotFound(_))));
    }

    async fn a_longer_lifetime_of_tokens_keeps_keys_for_longer(database: Database) {
        let servers = Servers::new(&database);
        let ring = servers.start(servers.in_files()).await.unwrap();
        rotation::rotate(&servers.context(), &ring).await.unwrap();
        let until = || async {
            let keys = rotation::list(&database, servers.clock.now()).await.unwrap();
            keys[0].verifies_until.unwrap()
        };
        let before = until().await;
        let longer = KeyRingSettings { token_lifetime: LIFETIME * 3, ..servers.in_files() };
        servers.start(longer).await.unwrap();
        assert_eq!(until().await, before + LIFETIME * 2);
        servers.start(servers.in_files()).await.unwrap();
        assert_eq!(until().await, before + LIFETIME * 2, "others may still make long ones");
    }
}

#[test]
fn a_certificate_outside_its_dates_is_told() {
    let clock = crate::testing::clock();
    let key = SigningKey::generate(registry_token::SigningAlgorithm::Es256, clock.now()).unwrap();
    assert_eq!(check_dates(&key, clock.now()), None);
    // Somebody puts the clock right after the first start.
    assert_eq!(
        check_dates(&key, clock.now() - chrono::TimeDelta::hours(23)),
        None
    );
    for (days, words) in [(-2, "check the clock"), (3_651, "has ended")] {
        let told = check_dates(&key, clock.now() + chrono::TimeDelta::days(days)).unwrap();
        assert!(told.contains(words), "{told}");
    }
}
