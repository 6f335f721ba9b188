//! Every file that we ship, as it is, is accepted by the program it is for, without a warning.

use acceptance::Pki;
use acceptance::proxy::{Kind, Variant};
use acceptance::sandbox::Sandbox;

use crate::documents::project;

/// A machine with certificates where our files expect them.
fn machine_with_certificates() -> Sandbox {
    let pki = Pki::new();
    let sandbox = Sandbox::new();
    sandbox
        .shell(&project(), "mkdir -p /etc/portcullis/tls")
        .run()
        .expect_success();
    for name in ["git.example.com", "registry.example.com", "example.com"] {
        let pair = pki.server([name]).issue();
        let place = format!("/etc/portcullis/tls/{name}");
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let copy = format!("cp {certificate} {place}.pem && cp {key} {place}.key");
        sandbox.shell(&project(), &copy).run().expect_success();
    }
    sandbox
}

/// What a file offers besides, taken up.
const SENDFILE: &str = "s/# ([iI]nclude portcullis.sendfile)/\\1/";
const REPLICAS: &str = "s/# ([iI]nclude portcullis.replicas)/\\1/; /nclude portcullis.servers/d";

#[test]
fn nginx_accepts_every_file() {
    let sandbox = machine_with_certificates();
    for variant in Variant::ALL {
        let file = variant.file();
        for edit in ["", SENDFILE, REPLICAS] {
            let script = format!(
                "rm -rf /etc/nginx/portcullis
                 cp -r nginx/portcullis /etc/nginx/
                 cp nginx/{file} /etc/nginx/conf.d/portcullis.conf
                 sed -i -E '{edit}' /etc/nginx/conf.d/portcullis.conf
                 nginx -t"
            );
            let tested = sandbox.shell(&project(), &script).run().expect_success();
            let said: Vec<&str> = tested
                .stderr
                .lines()
                // Of nginx 1.25.1 and newer; the newer way is unknown to older ones.
                .filter(|line| !line.contains("\"listen ... http2\" directive is deprecated"))
                .collect();
            assert_eq!(said.len(), 2, "{file}: {tested}");
            assert!(said[1].ends_with("test is successful"), "{tested}");
        }
    }
}

#[test]
fn apache_accepts_every_file() {
    let sandbox = machine_with_certificates();
    let modules = "a2enmod --quiet ssl http2 headers proxy_http rewrite
                   a2enmod --quiet xsendfile proxy_balancer lbmethod_byrequests
                   echo 'ServerName localhost' > /etc/apache2/conf-enabled/name.conf";
    sandbox.shell(&project(), modules).run().expect_success();
    for variant in Variant::ALL {
        let file = variant.file();
        for edit in ["", SENDFILE, REPLICAS] {
            let script = format!(
                "rm -rf /etc/apache2/portcullis
                 cp -r apache/portcullis /etc/apache2/
                 cp apache/{file} /etc/apache2/sites-available/portcullis.conf
                 sed -i -E '{edit}' /etc/apache2/sites-available/portcullis.conf
                 a2ensite --quiet portcullis
                 apachectl configtest"
            );
            let tested = sandbox.shell(&project(), &script).run().expect_success();
            assert_eq!(tested.stderr.trim(), "Syntax OK", "{file}: {tested}");
        }
    }
}

#[test]
fn every_snippet_is_used() {
    for kind in Kind::ALL {
        let folder = kind.configuration();
        let mut texts = String::new();
        let snippets = std::fs::read_dir(folder.join("portcullis")).unwrap();
        let names: Vec<String> = snippets
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let files = names.iter().map(|name| format!("portcullis/{name}"));
        for file in files.chain(Variant::ALL.map(|variant| variant.file().to_owned())) {
            texts += &std::fs::read_to_string(folder.join(file)).unwrap();
        }
        for name in names {
            let included = format!("nclude portcullis/{name}");
            assert!(
                texts.contains(&included),
                "{kind:?}: nobody includes {name}"
            );
        }
    }
}
