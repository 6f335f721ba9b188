//! The doctor inside the containers of a deployment: a step of a test that has one.

use acceptance::compose::Deployment;

use crate::documents::{commands, document};

/// It finds the configuration as the servers do, with what the document types; and what is wrong there.
/// Afterwards half of the deployment is stopped.
pub fn the_doctor_works_in_them(deployment: &Deployment) {
    let typed = commands(&document("docs/troubleshooting.md"));
    let typed: Vec<_> = typed
        .iter()
        .filter(|line| line.starts_with("docker compose exec "))
        .collect();
    let [of_registry, of_auth] = typed[..] else {
        panic!("{typed:?}");
    };
    let look = |line: &str| {
        let shell = deployment.docker().shell(line);
        shell.current_dir(deployment.path()).run()
    };
    look(of_registry).expect_code(0).expect_says([
        "All is well",
        "registry.jwks: http://auth:5001/.well-known/jwks.json: keys to believe: 1",
        "storage.writable: /var/lib/registry can be written to",
        "registry.database: postgres://postgres/registry is reachable and migrated",
    ]);
    look(of_auth).expect_code(0).expect_says([
        "All is well",
        "auth.keys: the signing key is in the database",
        "auth.database: postgres://postgres/auth is reachable and migrated",
    ]);

    deployment.run(["stop", "postgres"]);
    look(of_auth).expect_code(1).expect_says([
        "FAILURE auth.database: postgres://postgres/auth ",
        "start PostgreSQL",
    ]);
    deployment.run(["stop", "auth"]);
    look(of_registry).expect_code(1).expect_says([
        "FAILURE registry.jwks: http://auth:5001/.well-known/jwks.json cannot be fetched",
        "FAILURE registry.database: postgres://postgres/registry ",
    ]);
}
