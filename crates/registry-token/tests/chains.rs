//! Certificates that a token brings along, and how they lead to the bundle.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it builds")]

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyUsagePurpose};
use registry_token::{Algorithm, Certificate, TrustedKeys, Verifier, VerifyError};
use serde_json::json;
use support::*;

fn with_roots<'a>(roots: impl IntoIterator<Item = &'a Certificate>) -> Verifier {
    verifier(TrustedKeys::from_certificates(roots.into_iter().cloned()))
}

fn token(signer: &Signer, chain: &[&Certificate]) -> String {
    signer.token(json!({"x5c": x5c(chain.iter().copied())}), &claims())
}

fn path_length(name: &str, length: u8) -> CertificateParams {
    let mut params = ca_params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
    params
}

fn between(mut params: CertificateParams, from: i64, to: i64) -> CertificateParams {
    set_dates(
        &mut params,
        now() + TimeDelta::seconds(from),
        now() + TimeDelta::seconds(to),
    );
    params
}

#[test]
fn a_leaf_signed_by_the_bundle() {
    let root = Authority::root(ca_params("root"));
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let leaf = Signer::new(algorithm);
        let certificate = root.certify(&params("leaf"), &leaf);
        let verifier = with_roots([&root.certificate]);
        assert!(
            verifier
                .verify(&token(&leaf, &[&certificate]), now())
                .is_ok()
        );
        // Sending the root along is allowed.
        let chain = [&certificate, &root.certificate];
        assert!(verifier.verify(&token(&leaf, &chain), now()).is_ok());
    }
}

#[test]
fn a_leaf_behind_intermediates_in_any_order() {
    let root = Authority::root(ca_params("root"));
    let upper = root.below(ca_params("upper"));
    let lower = upper.below(ca_params("lower"));
    let leaf = Signer::new(Algorithm::Es256);
    let certificate = lower.certify(&params("leaf"), &leaf);
    let verifier = with_roots([&root.certificate]);
    for chain in [
        [&certificate, &lower.certificate, &upper.certificate],
        [&certificate, &upper.certificate, &lower.certificate],
    ] {
        assert!(verifier.verify(&token(&leaf, &chain), now()).is_ok());
    }
    let gap = token(&leaf, &[&certificate, &lower.certificate]);
    let refused = verifier.verify(&gap, now()).unwrap_err();
    assert!(
        matches!(refused, VerifyError::UntrustedChain { .. }),
        "{refused}"
    );
    // An intermediate may itself be what the operator trusts.
    assert!(with_roots([&upper.certificate]).verify(&gap, now()).is_ok());
}

#[test]
fn the_bundles_own_certificate_need_not_be_an_authority() {
    let leaf = Signer::new(Algorithm::Es256);
    let certificate = leaf.self_signed("leaf");
    let verifier = with_roots([&certificate]);
    assert!(
        verifier
            .verify(&token(&leaf, &[&certificate]), now())
            .is_ok()
    );
}

#[test]
fn a_renewed_certificate_for_a_trusted_key() {
    let leaf = Signer::new(Algorithm::Es256);
    let (old, new) = (leaf.self_signed("old"), leaf.self_signed("new"));
    assert!(
        with_roots([&old])
            .verify(&token(&leaf, &[&new]), now())
            .is_ok()
    );
    let jwk = leaf.public_key().to_jwk("k".into());
    let json = json!({ "keys": [jwk] }).to_string();
    let by_jwks = verifier(TrustedKeys::from_jwks_json(json.as_bytes()).unwrap());
    assert!(by_jwks.verify(&token(&leaf, &[&new]), now()).is_ok());
}

#[test]
fn strangers_are_refused() {
    let root = Authority::root(ca_params("root"));
    let verifier = with_roots([&root.certificate]);
    let refuse = |signer: &Signer, chain: &[&Certificate]| {
        let refused = verifier.verify(&token(signer, chain), now()).unwrap_err();
        assert!(
            matches!(refused, VerifyError::UntrustedChain { .. }),
            "{refused}"
        );
        refused.to_string()
    };
    let stranger = Signer::new(Algorithm::Es256);
    let own = stranger.self_signed("I am fine");
    let sentence = refuse(&stranger, &[&own]);
    assert!(sentence.contains("I am fine"), "{sentence}");

    // Another authority that took the same name.
    let impostor = Authority::root(ca_params("root"));
    let certificate = impostor.certify(&params("leaf"), &stranger);
    refuse(&stranger, &[&certificate]);
    refuse(&stranger, &[&certificate, &impostor.certificate]);
    refuse(
        &stranger,
        &[&certificate, &impostor.certificate, &root.certificate],
    );
}

#[test]
fn a_good_chain_proves_nothing_about_another_key() {
    let root = Authority::root(ca_params("root"));
    let (leaf, thief) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let certificate = root.certify(&params("leaf"), &leaf);
    let stolen = token(&thief, &[&certificate]);
    let refused = with_roots([&root.certificate])
        .verify(&stolen, now())
        .unwrap_err();
    assert_eq!(refused, VerifyError::BadSignature);
}

#[test]
fn only_authorities_may_sign() {
    let root = Authority::root(ca_params("root"));
    let no_authority = root.below(params("no authority"));
    let mut usage = ca_params("without the usage");
    usage.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let no_usage = root.below(usage);
    let no_further = root.below(path_length("no further", 0));
    let one_more = no_further.below(ca_params("one more"));
    let verifier = with_roots([&root.certificate]);
    for (issuer, chain) in [
        (&no_authority, vec![&no_authority.certificate]),
        (&no_usage, vec![&no_usage.certificate]),
        (
            &one_more,
            vec![&one_more.certificate, &no_further.certificate],
        ),
    ] {
        let leaf = Signer::new(Algorithm::Es256);
        let certificate = issuer.certify(&params("leaf"), &leaf);
        let chain: Vec<&Certificate> = [&certificate].into_iter().chain(chain).collect();
        let refused = verifier.verify(&token(&leaf, &chain), now()).unwrap_err();
        assert!(
            matches!(refused, VerifyError::UntrustedChain { .. }),
            "{refused}"
        );
    }
    let leaf = Signer::new(Algorithm::Es256);
    let certificate = no_further.certify(&params("leaf"), &leaf);
    let allowed = token(&leaf, &[&certificate, &no_further.certificate]);
    assert!(verifier.verify(&allowed, now()).is_ok());
    // A self-signed certificate of the bundle that is no authority vouches for itself only.
    let anchor = Authority::root(params("plain"));
    let below = anchor.certify(&params("leaf"), &leaf);
    let refused = with_roots([&anchor.certificate]).verify(&token(&leaf, &[&below]), now());
    assert!(matches!(refused, Err(VerifyError::UntrustedChain { .. })));
}

#[test]
fn every_certificate_of_the_chain_must_be_current() {
    let expired = |result: Result<_, VerifyError>| {
        let refused = result.map(drop).unwrap_err();
        assert!(
            matches!(refused, VerifyError::CertificateExpired { .. }),
            "{refused}"
        );
        refused.to_string()
    };
    let good_root = Authority::root(ca_params("root"));
    let old_root = Authority::root(between(ca_params("old root"), -100, -1));
    let old_middle = good_root.below(between(ca_params("old middle"), -100, -1));
    let leaf = Signer::new(Algorithm::Es256);

    let certificate = good_root.certify(&between(params("old leaf"), -100, -1), &leaf);
    let sentence =
        expired(with_roots([&good_root.certificate]).verify(&token(&leaf, &[&certificate]), now()));
    assert_eq!(
        sentence,
        "the certificate \"CN=old leaf\" expired at 2027-01-15T07:59:59Z"
    );

    let certificate = old_middle.certify(&params("leaf"), &leaf);
    let chain = [&certificate, &old_middle.certificate];
    expired(with_roots([&good_root.certificate]).verify(&token(&leaf, &chain), now()));

    let certificate = old_root.certify(&params("leaf"), &leaf);
    expired(with_roots([&old_root.certificate]).verify(&token(&leaf, &[&certificate]), now()));

    let early = good_root.certify(&between(params("early"), 1, 100), &leaf);
    let refused = with_roots([&good_root.certificate]).verify(&token(&leaf, &[&early]), now());
    assert!(matches!(
        refused,
        Err(VerifyError::CertificateNotYetValid { .. })
    ));
}

/// Who holds a key can write any date into a certificate for it; the operator's dates count.
#[test]
fn a_fresh_certificate_does_not_revive_an_expired_one() {
    let signer = Authority::root(between(params("old"), -100, -1));
    let fresh = signer.signer.self_signed("fresh");
    let token = token(&signer.signer, &[&fresh]);
    let refused = with_roots([&signer.certificate])
        .verify(&token, now())
        .unwrap_err();
    assert!(
        matches!(refused, VerifyError::CertificateExpired { .. }),
        "{refused}"
    );
    // Replaced in the bundle by one with newer dates, the old one does no harm.
    assert!(
        with_roots([&signer.certificate, &fresh])
            .verify(&token, now())
            .is_ok()
    );
}

/// distribution looks keys up by id without looking at dates, and GitLab's certificates are
/// often forgotten until they run out.
#[test]
fn a_key_found_by_its_id_has_no_dates() {
    let signer = Authority::root(between(params("old"), -100, -1));
    let header = json!({"kid": signer.signer.public_key().libtrust_id()});
    let token = signer.signer.token(header, &claims());
    assert!(
        with_roots([&signer.certificate])
            .verify(&token, now())
            .is_ok()
    );
}

#[test]
fn trust_ends_with_the_certificate_even_for_a_remembered_token() {
    let root = Authority::root(ca_params("root"));
    let leaf = Signer::new(Algorithm::Es256);
    let certificate = root.certify(&between(params("leaf"), -100, 30), &leaf);
    let verifier = with_roots([&root.certificate]);
    let token = token(&leaf, &[&certificate]);
    let at = |seconds: i64| -> DateTime<Utc> { now() + TimeDelta::seconds(seconds) };
    assert!(verifier.verify(&token, at(0)).is_ok());
    assert!(verifier.verify(&token, at(30)).is_ok());
    let refused = verifier.verify(&token, at(31)).unwrap_err();
    assert!(
        matches!(refused, VerifyError::CertificateExpired { .. }),
        "{refused}"
    );
}

#[test]
fn an_untrusted_chain_falls_back_to_the_key_id() {
    let signer = Signer::new(Algorithm::Es256);
    let other = Authority::root(ca_params("other"));
    let certificate = other.certify(&params("leaf"), &signer);
    let trusted = signer.self_signed("signer");
    let header = json!({
        "x5c": x5c([&Signer::new(Algorithm::Es256).self_signed("stray")]),
        "kid": signer.public_key().libtrust_id(),
    });
    let verifier = with_roots([&trusted]);
    assert!(
        verifier
            .verify(&signer.token(header, &claims()), now())
            .is_ok()
    );
    assert!(
        verifier
            .verify(&token(&signer, &[&certificate]), now())
            .is_ok()
    );
}

#[test]
fn damaged_chains_are_refused() {
    let signer = Signer::new(Algorithm::Es256);
    let certificate = signer.self_signed("signer");
    let verifier = with_roots([&certificate]);
    let refuse = |x5c| {
        let token = signer.token(json!({ "x5c": x5c }), &claims());
        verifier.verify(&token, now()).unwrap_err()
    };
    assert!(matches!(
        refuse(json!(["%"])),
        VerifyError::Malformed { .. }
    ));
    assert!(matches!(
        refuse(json!(["AAAA"])),
        VerifyError::Certificate { .. }
    ));
    assert!(matches!(
        refuse(json!([""])),
        VerifyError::Certificate { .. }
    ));
    let mut list = x5c([&certificate]);
    list.as_array_mut().unwrap().push("AAAA".into());
    assert!(matches!(refuse(list), VerifyError::Certificate { .. }));
    let many = x5c(std::iter::repeat_n(&certificate, 9));
    assert!(matches!(refuse(many), VerifyError::Malformed { .. }));
}

#[test]
fn a_critical_extension_we_do_not_know_is_not_ignored() {
    let signer = Signer::new(Algorithm::Es256);
    let mut params = params("critical");
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
    let certificate = params.self_signed(&signer.pair).unwrap();
    let refused = Certificate::from_der(certificate.der()).unwrap_err();
    assert!(
        refused.to_string().contains("critical extension"),
        "{refused}"
    );
}

/// Many certificates of one name would let one token cost hundreds of signature checks, so the
/// search ends after sixteen.
#[test]
fn the_work_for_one_token_is_bounded() {
    let namesakes: Vec<Authority> = (0..17)
        .map(|_| Authority::root(ca_params("same")))
        .collect();
    let verifier = with_roots(namesakes.iter().map(|authority| &authority.certificate));
    let leaf = Signer::new(Algorithm::Es256);
    let verify = |authority: &Authority| {
        let certificate = authority.certify(&params("leaf"), &leaf);
        verifier.verify(&token(&leaf, &[&certificate]), now())
    };
    assert!(verify(&namesakes[15]).is_ok());
    let refused = verify(&namesakes[16]).unwrap_err();
    assert!(
        matches!(refused, VerifyError::UntrustedChain { .. }),
        "{refused}"
    );
}

/// Made with OpenSSL: one authority, one key, two certificates that differ in the hash only.
#[test]
fn sha_1_proves_nothing() {
    let read = |pem: &str| {
        Certificate::bundle_from_pem(pem.as_bytes())
            .unwrap()
            .remove(0)
    };
    let root = read(include_str!("data/sha1-root.crt"));
    let verifier = with_roots([&root]);
    let stranger = Signer::new(Algorithm::Rs256);
    let refuse = |leaf: Certificate| {
        let refused = verifier.verify(&token(&stranger, &[&leaf]), now());
        refused.unwrap_err()
    };
    let by_sha_1 = refuse(read(include_str!("data/sha1-leaf.crt")));
    assert!(
        matches!(by_sha_1, VerifyError::UntrustedChain { .. }),
        "{by_sha_1}"
    );
    // The chain is fine, so it comes to the signature, which is the stranger's.
    let by_sha_256 = refuse(read(include_str!("data/sha256-leaf.crt")));
    assert_eq!(by_sha_256, VerifyError::BadSignature);
}
