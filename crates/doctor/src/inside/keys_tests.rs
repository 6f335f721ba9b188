use super::*;
use crate::certificate::parse_pem;
use crate::files::Unusable;
use crate::testing::{Authority, noon, params, self_signed};

/// A server's certificate below an intermediate, and a key that signs tokens.
struct Fixture {
    root: Authority,
    middle: Authority,
    server: Certificate,
    signer: Certificate,
}

impl Fixture {
    fn new() -> Self {
        let root = Authority::root("Root");
        let middle = root.below("Middle");
        Self {
            server: middle.server(&["registry.test"]),
            signer: self_signed(&params("token signer", &[], (2029, 2031))),
            root,
            middle,
        }
    }

    fn servers(&self) -> Vec<(String, Certificate)> {
        vec![("shown at registry.test".to_owned(), self.server.clone())]
    }

    fn bundle(&self, certificates: &[&Certificate], signers: &[Certificate]) -> Verdict {
        let path = Path::new("/bundle.pem");
        bundle(
            path,
            &Ok(holding(certificates)),
            &self.servers(),
            signers,
            noon(),
        )
    }

    /// A pair of this chain, whose key is that of `key`.
    fn pair(&self, chain: &[&Certificate], key: &Certificate, mode: u32) -> Verdict {
        let keys = PemFile {
            keys: vec![Some(key.public_key.clone())],
            ..PemFile::default()
        };
        let read = PairFiles {
            certificate: Ok(holding(chain)),
            key: Ok(keys),
            mode: Some(mode),
        };
        let trust = Trust::only(vec![self.root.certificate.clone()]);
        server_pair(
            &names(),
            &read,
            std::slice::from_ref(&self.signer),
            &trust,
            noon(),
        )
    }
}

fn names() -> Pair {
    Pair {
        certificate: "/tls.crt".into(),
        key: "/tls.key".into(),
    }
}

fn holding(certificates: &[&Certificate]) -> PemFile {
    PemFile {
        certificates: certificates.iter().map(|one| (*one).clone()).collect(),
        ..PemFile::default()
    }
}

#[track_caller]
fn fails(verdict: &Verdict, words: &str) {
    assert!(verdict.is_failure(), "{verdict:?}");
    assert!(verdict.message.contains(words), "{words:?}: {verdict:?}");
}

#[test]
fn the_bundle_must_hold_what_signs_tokens() {
    let one = Fixture::new();
    let setting = "auth.token.rootcertbundle";
    let good = one.bundle(&[&one.signer], std::slice::from_ref(&one.signer));
    assert_eq!(good.status, Status::Ok);
    assert_eq!(one.bundle(&[&one.signer], &[]).status, Status::Ok);

    let server = one.bundle(&[&one.server], std::slice::from_ref(&one.signer));
    fails(
        &server,
        "is the TLS server certificate (shown at registry.test)",
    );
    assert!(server.fix.unwrap().contains(setting));
    let authority = one.bundle(&[&one.middle.certificate], &[]);
    fails(
        &authority,
        "is the authority \"CN=Middle\" that signed the TLS server certificate",
    );
    // Nobody shows this one, and still it is for servers.
    let other = one.middle.server(&["other.test"]);
    fails(
        &one.bundle(&[&other], &[]),
        "is a TLS server certificate (for other.test)",
    );
    // An authority that signs tokens as well is its owner's business.
    let both = one.bundle(
        &[&one.signer, &one.middle.certificate],
        std::slice::from_ref(&one.signer),
    );
    assert_eq!(both.status, Status::Ok);
}

#[test]
fn a_bundle_that_cannot_be_used_says_why() {
    let one = Fixture::new();
    let old = self_signed(&params("old", &[], (2020, 2021)));
    fails(&one.bundle(&[&old], &[]), "has expired");
    let key = PemFile {
        keys: vec![None],
        ..holding(&[&one.signer])
    };
    let path = Path::new("/bundle.pem");
    fails(
        &bundle(path, &Ok(key), &[], &[], noon()),
        "holds a private key",
    );
    for (bytes, words) in [
        (&b""[..], "is empty"),
        (&[0x30, 0x82, 0x01][..], "DER form"),
        (&b"hello"[..], "neither a certificate nor a key"),
        (
            &b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"[..],
            "PEM form",
        ),
    ] {
        fails(&bundle(path, &parse_pem(bytes), &[], &[], noon()), words);
    }
    let missing = read_pem(Path::new("/nowhere/bundle.pem"));
    fails(
        &bundle(path, &missing, &[], &[], noon()),
        "there is no such file",
    );
}

#[test]
fn a_server_must_show_a_server_certificate() {
    let one = Fixture::new();
    let middle = &one.middle.certificate;
    let good = one.pair(&[&one.server, middle], &one.server, 0o600);
    assert_eq!(good.status, Status::Ok, "{good:?}");

    fails(
        &one.pair(&[&one.signer], &one.signer, 0o600),
        "is the token signing certificate",
    );
    let root = &one.root.certificate;
    fails(
        &one.pair(&[root], root, 0o600),
        "is the authority \"CN=Root\"",
    );
    let old = one.root.signed(&params("registry.test", &[], (2029, 2031)));
    fails(&one.pair(&[&old], &old, 0o600), "no subjectAltName");
}

#[test]
fn a_key_must_be_the_certificates() {
    let one = Fixture::new();
    let middle = &one.middle.certificate;
    let chain = [&one.server, middle];
    fails(
        &one.pair(&chain, &one.signer, 0o600),
        "it is the key that signs tokens",
    );
    let other = one.middle.server(&["other.test"]);
    fails(
        &one.pair(&chain, &other, 0o600),
        "the key of another certificate",
    );
    let turned = one.pair(&[middle, &one.server], &one.server, 0o600);
    fails(&turned, "is the authority \"CN=Middle\"");
    let two = one.pair(&[&other, &one.server], &one.server, 0o600);
    fails(&two, "the server's own must come first");
    let open = one.pair(&chain, &one.server, 0o644);
    assert_eq!(open.status, Status::Warning);
    assert!(open.message.contains("mode 644"), "{open:?}");
}

#[test]
fn files_that_were_exchanged_are_recognized() {
    let one = Fixture::new();
    let trust = Trust::only(Vec::new());
    let key = PemFile {
        keys: vec![Some(one.server.public_key.clone())],
        ..PemFile::default()
    };
    let judge = |certificate: Result<PemFile, Unusable>, key: Result<PemFile, Unusable>| {
        let read = PairFiles {
            certificate,
            key,
            mode: None,
        };
        server_pair(&names(), &read, &[], &trust, noon())
    };
    let server = || Ok(holding(&[&one.server]));
    let exchanged = judge(Ok(key.clone()), server());
    fails(&exchanged, "holds a private key and no certificate");
    assert!(
        exchanged
            .fix
            .unwrap()
            .contains("exchange `http.tls.certificate`")
    );
    fails(&judge(server(), server()), "holds no private key");
    fails(
        &judge(server(), Err("is empty".into())),
        "/tls.key is empty",
    );
    fails(
        &judge(Err("is empty".into()), Ok(key.clone())),
        "/tls.crt is empty",
    );
    let encrypted = PemFile {
        encrypted: true,
        ..PemFile::default()
    };
    fails(&judge(server(), Ok(encrypted)), "passphrase");
    // That nobody here knows the authority may be told by --ca-file.
    assert_eq!(judge(server(), Ok(key)).status, Status::Warning);
}

#[test]
fn tokens_need_a_key_of_their_own() {
    let one = Fixture::new();
    let auth = AuthSide {
        issuer: "issuer".to_owned(),
        services: Vec::new(),
        bundle: Some("/bundle.pem".into()),
        folder: None,
        mounted: Some(names()),
        tls: None,
        database: "sqlite:/auth.sqlite".parse().unwrap(),
        schema: database::Schema::EMPTY,
    };
    let judge = |certificate: &Certificate, key: &Certificate, mode| {
        let keys = PemFile {
            keys: vec![Some(key.public_key.clone())],
            ..PemFile::default()
        };
        let read = PairFiles {
            certificate: Ok(holding(&[certificate])),
            key: Ok(keys),
            mode: Some(mode),
        };
        signing(&auth, Some((&names(), &read)), &one.servers())
    };
    assert_eq!(judge(&one.signer, &one.signer, 0o600).status, Status::Ok);
    assert_eq!(
        judge(&one.signer, &one.signer, 0o640).status,
        Status::Warning
    );
    fails(&judge(&one.signer, &one.server, 0o600), "does not match");
    let shared = judge(&one.server, &one.server, 0o600);
    fails(
        &shared,
        "signed with the key of the TLS server certificate (shown at registry.test)",
    );
}

#[test]
fn a_folder_of_keys_must_be_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert_eq!(signing_folder(&missing).status, Status::Warning);
    assert!(signing_folder(folder.path()).message.contains("no key in"));
    let key = folder.path().join("signing.pem");
    std::fs::write(&key, "").unwrap();
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode));
    mode(0o600).unwrap();
    assert_eq!(signing_folder(folder.path()).status, Status::Ok);
    mode(0o644).unwrap();
    let open = signing_folder(folder.path());
    assert!(
        open.message.contains("whoever reads it can make tokens"),
        "{open:?}"
    );
    assert_eq!(open.status, Status::Warning);
}

#[test]
fn what_was_never_published_is_said() {
    let one = Fixture::new();
    let path = Path::new("/bundle.pem");
    let good = published(path, &Ok(holding(&[&one.signer])), noon());
    assert_eq!(good.status, Status::Ok);
    let old = self_signed(&params("old", &[], (2020, 2021)));
    fails(
        &published(path, &Ok(holding(&[&old])), noon()),
        "has expired",
    );
    let missing = published(path, &Err("is missing".into()), noon());
    assert_eq!(missing.status, Status::Warning);
}
