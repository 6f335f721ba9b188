//! The gatekeeper with a house full of accounts, for what depends on how many there are.
//!
//! Ten thousand projects in a thousand groups, of each of which [`USER`] is a member, and a grant
//! in each project; a hundred thousand events. They go straight into the tables, as many at a time
//! as there are: through the API each would wait for the disk.

use std::path::Path;

use acceptance::Invocation;
use database::{Database, DatabaseUrl, sql};

use crate::servers::{self, PASSWORD, Server};
use crate::{Result, say};

/// Who asks for tokens: no administrator, for whom every decision would be a short one.
pub const USER: &str = "measured";

/// Groups, and memberships of [`USER`].
pub const GROUPS: i64 = 1_000;

const PROJECTS_PER_GROUP: i64 = 10;

pub const EVENTS: i64 = 100_000;

/// A server of its own, and credentials for it.
#[derive(Debug)]
pub struct Gate {
    pub server: Server,
    /// A personal token of [`USER`], for the registry.
    pub token: String,
    /// A personal token of the administrator, for reading in the admin API.
    pub reader: String,
    /// A time after one half of the events and before the other.
    pub middle: String,
}

impl Gate {
    pub async fn open(program: &Path, folder: &Path) -> Result<Self> {
        let server = servers::portcullis(program, folder.join("gate")).await?;
        let data = server.folder().join("data");
        let run = |arguments: &[&str]| {
            Invocation::new(program)
                .arg("auth")
                .args(arguments)
                .args(["--output", "json", "--data-dir"])
                .arg(&data)
                .input(format!("{PASSWORD}\n"))
                .run()
                .expect_success()
                .json()
        };
        run(&["user", "create", USER, "--password-stdin"]);
        let token = |user: &str, scopes: &[&str]| {
            let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
            let start = ["token", "create", "bench", "--user", user];
            let arguments: Vec<&str> = start.into_iter().chain(scopes).collect();
            let created = run(&arguments);
            let token = created["token"].as_str().map(str::to_owned);
            token.ok_or_else(|| format!("no token in {created}"))
        };
        let (token, reader) = (
            token(USER, &["write_registry", "delete_registry"])?,
            token("admin", &["read_api"])?,
        );
        let middle = fill(&data.join("auth.sqlite")).await?;
        say("accounts made");
        Ok(Self {
            server,
            token,
            reader,
            middle,
        })
    }
}

/// One of the projects, by any number.
pub fn project(number: usize) -> String {
    let groups = usize::try_from(GROUPS).unwrap_or(1);
    let projects = usize::try_from(PROJECTS_PER_GROUP).unwrap_or(1);
    format!(
        "group-{:03}/project-{}",
        number % groups,
        number / groups % projects
    )
}

/// The time in the middle of the events.
async fn fill(file: &Path) -> Result<String> {
    let database = Database::connect(&DatabaseUrl::Sqlite(file.to_owned()), 1).await?;
    let mut tx = database.begin().await?;
    sql!(
        &mut tx,
        execute,
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
         INSERT INTO groups (id, path, create_on_push, created_at)
         SELECT randomblob(16), printf('group-%03d', i), 0, '2026-01-01T00:00:00+00:00' FROM n",
        GROUPS
    )?;
    sql!(
        &mut tx,
        execute,
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
         INSERT INTO projects (id, path, visibility, created_at)
         SELECT randomblob(16), g.path || '/project-' || i, 'private', g.created_at
         FROM n, groups g",
        PROJECTS_PER_GROUP
    )?;
    sql!(
        &mut tx,
        execute,
        "INSERT INTO paths (path, group_id) SELECT path, id FROM groups"
    )?;
    sql!(
        &mut tx,
        execute,
        "INSERT INTO paths (path, project_id) SELECT path, id FROM projects"
    )?;
    sql!(
        &mut tx,
        execute,
        "INSERT INTO memberships (path, user_id, role, created_at)
         SELECT p.number, u.id, 'developer', g.created_at
         FROM paths p JOIN groups g ON g.id = p.group_id JOIN users u ON u.username = $1",
        USER
    )?;
    sql!(
        &mut tx,
        execute,
        "INSERT INTO grants (id, project_id, group_id, actions, pattern, created_at)
         SELECT randomblob(16), o.id, g.id, 'pull,delete', o.path || '/cache/**', o.created_at
         FROM projects o JOIN groups g ON o.path > g.path || '/' AND o.path < g.path || '0'"
    )?;
    // A minute apart, up to now. Who does what is mixed by numbers that have no factor in common.
    sql!(
        &mut tx,
        execute,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO audit_events (at, action, outcome, actor_kind, actor_id, actor_name,
                                   subject_kind, subject_id, subject_name, address, user_agent,
                                   request_id, state_after)
         SELECT strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', printf('-%d minutes', $1 - i)),
                CASE WHEN i % 3 > 0 THEN 'login' WHEN i % 7 > 0 THEN 'project.update'
                     ELSE 'member.set' END,
                CASE WHEN i % 11 > 0 THEN 'success' ELSE 'failure' END,
                'user', randomblob(16), printf('user-%d', i % 101),
                'project', randomblob(16), printf('group-%03d/project-%d', i % 997, i % 10),
                printf('10.0.0.%d', i % 251), 'docker/28.0', lower(hex(randomblob(16))),
                '{\"visibility\":\"private\"}'
         FROM n",
        EVENTS
    )?;
    let (middle,) = sql!(
        &mut tx,
        fetch_one(String,),
        "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', printf('-%d minutes', $1 / 2))",
        EVENTS
    )?;
    tx.commit().await?;
    database.close().await;
    Ok(middle)
}
