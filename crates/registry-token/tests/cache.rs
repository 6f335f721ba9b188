//! Tokens that were verified before.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it builds")]

mod support;

use std::sync::Arc;

use chrono::TimeDelta;
use registry_token::{Algorithm, TrustedKeys, Verifier, VerifierSettings, VerifyError};
use serde_json::json;
use support::*;

fn trusted(signer: &Signer) -> TrustedKeys {
    TrustedKeys::from_certificates([signer.self_signed("signer")])
}

fn token(signer: &Signer, subject: &str) -> String {
    let header = json!({"kid": signer.public_key().libtrust_id()});
    signer.token(header, &claims_with(json!({ "sub": subject })))
}

#[test]
fn a_token_is_remembered() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = verifier(trusted(&signer));
    let token = token(&signer, "alice");
    let first = verifier.verify(&token, now()).unwrap();
    let second = verifier.verify(&token, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn a_remembered_token_still_expires() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = verifier(trusted(&signer));
    let token = token(&signer, "alice");
    assert!(verifier.verify(&token, now()).is_ok());
    assert!(
        verifier
            .verify(&token, now() + TimeDelta::seconds(360))
            .is_ok()
    );
    let refused = verifier
        .verify(&token, now() + TimeDelta::seconds(361))
        .unwrap_err();
    assert!(matches!(refused, VerifyError::Expired { .. }));
    let refused = verifier
        .verify(&token, now() - TimeDelta::seconds(66))
        .unwrap_err();
    assert!(matches!(refused, VerifyError::NotYetValid { .. }));
}

#[test]
fn other_keys_forget_what_the_old_ones_said() {
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let verifier = verifier(trusted(&old));
    let (by_old, by_new) = (token(&old, "alice"), token(&new, "alice"));
    assert!(verifier.verify(&by_old, now()).is_ok());
    assert!(verifier.verify(&by_new, now()).is_err());
    verifier.replace_keys(trusted(&new));
    assert!(
        verifier.verify(&by_old, now()).is_err(),
        "a withdrawn key must not live on"
    );
    assert!(
        verifier.verify(&by_new, now()).is_ok(),
        "a refusal must not be remembered"
    );
}

/// The cache hashes only the end of a token; everything in front must still count.
#[test]
fn a_token_with_the_end_of_a_remembered_one_is_another() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = verifier(trusted(&signer));
    let (alice, bob) = (token(&signer, "alice"), token(&signer, "bob"));
    assert!(verifier.verify(&alice, now()).is_ok());
    let (_, signature) = alice.rsplit_once('.').unwrap();
    let (unsigned, _) = bob.rsplit_once('.').unwrap();
    let forged = format!("{unsigned}.{signature}");
    assert_eq!(
        verifier.verify(&forged, now()).unwrap_err(),
        VerifyError::BadSignature
    );
    let remembered = verifier.verify(&alice, now()).unwrap();
    assert_eq!(remembered.subject.as_deref(), Some("alice"));
}

#[test]
fn many_tokens_pass_through_a_small_cache() {
    let signer = Signer::new(Algorithm::EdDsa);
    let settings = VerifierSettings {
        cache_capacity: 10_000,
        ..settings()
    };
    let verifier = Verifier::new(settings, trusted(&signer));
    let tokens: Vec<String> = (0..200)
        .map(|n| token(&signer, &format!("user{n}")))
        .collect();
    for _ in 0..2 {
        for (n, token) in tokens.iter().enumerate() {
            let claims = verifier.verify(token, now()).unwrap();
            assert_eq!(claims.subject, Some(format!("user{n}")));
        }
    }
    assert!(verifier.remembered_bytes() <= 10_000);
}

#[test]
fn tokens_are_verified_while_keys_change() {
    let signers = [Signer::new(Algorithm::EdDsa), Signer::new(Algorithm::EdDsa)];
    let both = signers.iter().map(|signer| signer.self_signed("signer"));
    let both = TrustedKeys::from_certificates(both);
    let verifier = verifier(both.clone());
    std::thread::scope(|scope| {
        for signer in &signers {
            let (verifier, token) = (&verifier, token(signer, "alice"));
            scope.spawn(move || {
                for _ in 0..2000 {
                    assert!(verifier.verify(&token, now()).is_ok());
                }
            });
        }
        for _ in 0..200 {
            verifier.replace_keys(both.clone());
        }
    });
}
