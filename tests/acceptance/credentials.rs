//! Every credential with every client: each opens what the table of roles, scopes and tokens says,
//! and nothing else.
//!
//! The stage: a group `team` with the private projects `team/app` and `team/other`; `dev` develops in
//! the group, `rep` reports, `guest` is a guest of it, `stranger` is nothing.

use acceptance::tools::{Docker, Layout, Podman, Skopeo};
use acceptance::{Finished, Portcullis};

const PASSWORD: &str = "a passphrase nobody would guess";

/// A client of its own: nothing is remembered of the last one.
trait Client {
    fn new() -> Self;
    fn login(&self, host: &str, name: &str, password: &str) -> Finished;
    /// Pushes an image that nobody has seen before.
    fn push(&self, image: &str) -> Finished;
    fn pull(&self, image: &str) -> Finished;
}

impl Client for Docker {
    fn new() -> Self {
        Docker::new()
    }

    fn login(&self, host: &str, name: &str, password: &str) -> Finished {
        Docker::login(self, host, name, password)
    }

    fn push(&self, image: &str) -> Finished {
        self.build(image);
        self.command(["push", image]).run()
    }

    fn pull(&self, image: &str) -> Finished {
        self.command(["pull", image]).run()
    }
}

impl Client for Podman {
    fn new() -> Self {
        Podman::new()
    }

    fn login(&self, host: &str, name: &str, password: &str) -> Finished {
        Podman::login(self, host, name, password)
    }

    fn push(&self, image: &str) -> Finished {
        self.build(image);
        self.command(["push", "--tls-verify=false", image]).run()
    }

    fn pull(&self, image: &str) -> Finished {
        self.command(["pull", "--tls-verify=false", image]).run()
    }
}

impl Client for Skopeo {
    fn new() -> Self {
        Skopeo::new()
    }

    fn login(&self, host: &str, name: &str, password: &str) -> Finished {
        Skopeo::login(self, host, name, password)
    }

    fn push(&self, image: &str) -> Finished {
        let layout = Layout::new().image("linux", "amd64", &[10_000]);
        self.copy(&layout.finish(), &format!("docker://{image}"))
    }

    fn pull(&self, image: &str) -> Finished {
        let folder = tempfile::tempdir().unwrap();
        let target = format!("oci:{}:pulled", folder.path().display());
        self.copy(&format!("docker://{image}"), &target)
    }
}

/// A server with the stage set.
struct Stage {
    server: Portcullis,
}

impl Stage {
    async fn set() -> Self {
        let stage = Self {
            server: Portcullis::up().await,
        };
        for user in ["dev", "rep", "guest", "stranger"] {
            stage
                .server
                .accounts(["auth", "user", "create", user, "--password-stdin"])
                .input(format!("{PASSWORD}\n"))
                .run()
                .expect_success();
        }
        stage.run(&["group", "create", "team"]);
        stage.run(&["project", "create", "team/app"]);
        stage.run(&["project", "create", "team/other"]);
        for (user, role) in [
            ("dev", "developer"),
            ("rep", "reporter"),
            ("guest", "guest"),
        ] {
            stage.run(&["member", "set", user, role, "--group", "team"]);
        }
        let seed = Skopeo::new();
        Client::login(&seed, &stage.host(), "dev", PASSWORD).expect_success();
        seed.push(&stage.image("team/app")).expect_success();
        seed.push(&stage.image("team/other")).expect_success();
        stage
    }

    fn host(&self) -> String {
        self.server.host()
    }

    fn image(&self, repository: &str) -> String {
        format!("{}/{repository}:1", self.host())
    }

    /// A command on the accounts.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Finished {
        let arguments = ["auth"].iter().chain(arguments).copied();
        self.server.accounts(arguments).run().expect_success()
    }

    /// A new token: username, secret and id.
    #[track_caller]
    fn token(&self, arguments: &[&str]) -> Token {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        let created = self.run(&arguments).json();
        let field = |name: &str| created[name].as_str().unwrap_or_default().to_owned();
        Token {
            username: field("username"),
            secret: field("token"),
            id: field("id"),
        }
    }

    /// Logs in, pulls and pushes: as far as it should come, and no further.
    #[track_caller]
    fn expect<C: Client>(&self, name: &str, password: &str, repository: &str, may: May) {
        let client = C::new();
        client.login(&self.host(), name, password).expect_success();
        let image = self.image(repository);
        let pulled = client.pull(&image);
        let pushed = client.push(&format!("{}/{repository}:2", self.host()));
        match may {
            May::Nothing => {
                pulled.expect_failure();
                pushed.expect_failure();
            }
            May::Pull => {
                pulled.expect_success();
                pushed.expect_failure();
            }
            May::Push => {
                pulled.expect_success();
                pushed.expect_success();
            }
        }
    }
}

struct Token {
    username: String,
    secret: String,
    id: String,
}

#[derive(Clone, Copy)]
enum May {
    Nothing,
    Pull,
    Push,
}

async fn roles_decide_what_a_password_opens<C: Client>() {
    let stage = Stage::set().await;
    for (user, may) in [
        ("dev", May::Push),
        ("rep", May::Pull),
        ("guest", May::Nothing),
        ("stranger", May::Nothing),
    ] {
        stage.expect::<C>(user, PASSWORD, "team/app", may);
    }
    C::new()
        .login(&stage.host(), "dev", "a wrong passphrase")
        .expect_failure();
    stage.run(&["user", "disable", "rep"]);
    C::new()
        .login(&stage.host(), "rep", PASSWORD)
        .expect_failure();
}

async fn scopes_limit_what_a_personal_token_opens<C: Client>() {
    let stage = Stage::set().await;
    let create = |user, scope| {
        stage.token(&[
            "token", "create", "laptop", "--user", user, "--scope", scope,
        ])
    };
    let (reading, writing) = (
        create("dev", "read_registry"),
        create("dev", "write_registry"),
    );

    stage.expect::<C>("dev", &reading.secret, "team/app", May::Pull);
    // Any username goes with a personal token.
    stage.expect::<C>("whoever", &writing.secret, "team/app", May::Push);
    // A token gives no more than its user has, and nothing without the scope.
    let reporters = create("rep", "write_registry");
    stage.expect::<C>("rep", &reporters.secret, "team/app", May::Pull);
    let managing = create("dev", "api");
    stage.expect::<C>("dev", &managing.secret, "team/app", May::Nothing);

    stage.run(&["token", "revoke", &writing.id, "--user", "dev"]);
    C::new()
        .login(&stage.host(), "dev", &writing.secret)
        .expect_failure();
    stage.run(&["user", "disable", "dev"]);
    C::new()
        .login(&stage.host(), "dev", &reading.secret)
        .expect_failure();
}

async fn a_deploy_token_opens_its_project_alone<C: Client>() {
    let stage = Stage::set().await;
    let token = stage.token(&["deploy-token", "create", "cluster", "--project", "team/app"]);
    let group = stage.token(&[
        "deploy-token",
        "create",
        "builder",
        "--group",
        "team",
        "--actions",
        "pull,push",
        "--pattern",
        "team/app/**",
    ]);

    stage.expect::<C>(&token.username, &token.secret, "team/app", May::Pull);
    stage.expect::<C>(&token.username, &token.secret, "team/other", May::Nothing);
    stage.expect::<C>(&group.username, &group.secret, "team/app", May::Push);
    stage.expect::<C>(&group.username, &group.secret, "team/other", May::Nothing);
    // It has a username of its own.
    C::new()
        .login(&stage.host(), "dev", &token.secret)
        .expect_failure();
    stage.run(&["deploy-token", "revoke", &token.id, "--project", "team/app"]);
    C::new()
        .login(&stage.host(), &token.username, &token.secret)
        .expect_failure();
}

async fn a_job_token_opens_its_project_until_the_job_is_over<C: Client>() {
    let stage = Stage::set().await;
    let token = stage.token(&[
        "job-token",
        "create",
        "pipeline-1",
        "--project",
        "team/app",
        "--actions",
        "pull,push",
        "--expires",
        "10m",
    ]);

    stage.expect::<C>(&token.username, &token.secret, "team/app", May::Push);
    stage.expect::<C>(&token.username, &token.secret, "team/other", May::Nothing);
    stage.run(&["job-token", "revoke", &token.id, "--project", "team/app"]);
    C::new()
        .login(&stage.host(), &token.username, &token.secret)
        .expect_failure();
}

/// Writes a test of each for a client.
macro_rules! with_client {
    ($($module:ident: $client:ty;)+) => { $(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn password() {
                roles_decide_what_a_password_opens::<$client>().await;
            }

            #[tokio::test]
            async fn personal_token() {
                scopes_limit_what_a_personal_token_opens::<$client>().await;
            }

            #[tokio::test]
            async fn deploy_token() {
                a_deploy_token_opens_its_project_alone::<$client>().await;
            }

            #[tokio::test]
            async fn job_token() {
                a_job_token_opens_its_project_until_the_job_is_over::<$client>().await;
            }
        }
    )+ };
}

with_client! {
    docker: Docker;
    podman: Podman;
    skopeo: Skopeo;
}

/// Docker and podman keep a refresh token instead of the password. It is a session: listed, and
/// over when somebody ends it or the password changes.
#[tokio::test]
async fn an_identity_token_is_a_session_that_can_be_ended() {
    let stage = Stage::set().await;
    let docker = Docker::new();
    Client::login(&docker, &stage.host(), "dev", PASSWORD).expect_success();
    docker.push(&stage.image("team/app")).expect_success();
    let sessions = || {
        let list = stage.run(&["session", "list", "--user", "dev", "--output", "json"]);
        list.json().as_array().unwrap().clone()
    };
    let of_docker: Vec<_> = sessions()
        .into_iter()
        .filter(|session| session["client"] == "docker")
        .collect();
    assert_eq!(of_docker.len(), 1, "{of_docker:?}");

    let id = of_docker[0]["id"].as_str().unwrap();
    stage.run(&["session", "revoke", id, "--user", "dev"]);
    docker.pull(&stage.image("team/app")).expect_failure();

    Client::login(&docker, &stage.host(), "dev", PASSWORD).expect_success();
    docker.pull(&stage.image("team/app")).expect_success();
    stage
        .server
        .accounts(["auth", "user", "set-password", "dev", "--password-stdin"])
        .input("another passphrase nobody would guess\n")
        .run()
        .expect_success();
    docker.pull(&stage.image("team/app")).expect_failure();
}

/// Docker shows the sentence that the realm has put into its refusal.
#[tokio::test]
async fn a_push_that_no_project_covers_is_told_which_to_create() {
    let stage = Stage::set().await;
    let docker = Docker::new();
    Client::login(&docker, &stage.host(), "dev", PASSWORD).expect_success();

    docker
        .push(&stage.image("team/new"))
        .expect_failure()
        .expect_says(["denied", "team/new", "create"]);

    // Unless the group lets a push create it.
    stage.run(&["group", "update", "team", "--create-on-push", "true"]);
    docker.push(&stage.image("team/new")).expect_success();
    let project = stage.run(&["project", "show", "team/new", "--output", "json"]);
    assert_eq!(project.json()["visibility"], "private");
    // As everybody's own namespace does.
    docker.push(&stage.image("dev/mine")).expect_success();
    stage.run(&["project", "show", "dev/mine"]);
}
