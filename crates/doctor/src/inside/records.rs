//! Verdicts on a server's database.

use database::DatabaseUrl;
use database::inspect::{InspectError, SchemaState};

use crate::files;
use crate::report::Verdict;

pub(super) fn verdict(url: &DatabaseUrl, found: &Result<SchemaState, InspectError>) -> Verdict {
    let shown = url.described();
    match found {
        Ok(state) => schema(&shown, state),
        Err(error) => unreachable(&shown, error),
    }
}

fn schema(shown: &str, state: &SchemaState) -> Verdict {
    if !state.unknown.is_empty() {
        let versions: Vec<String> = state
            .unknown
            .iter()
            .map(|one| format!("{one:04}"))
            .collect();
        return Verdict::failure(
            format!(
                "{shown} was changed by a newer version (migration {})",
                versions.join(", ")
            ),
            "run the newer version, or restore the backup from before it",
        );
    }
    if !state.interrupted.is_empty() {
        return Verdict::failure(
            format!(
                "{shown}: the migration {} was interrupted",
                state.interrupted.join(", ")
            ),
            "restore the backup from before the upgrade, and upgrade again",
        );
    }
    if !state.changed.is_empty() {
        return Verdict::failure(
            format!(
                "{shown}: the migration {} is not the one of this version",
                state.changed.join(", ")
            ),
            "run the version that made this database, or a newer one",
        );
    }
    if !state.pending.is_empty() {
        return Verdict::warning(
            format!(
                "{shown} is reachable, and not migrated: {}",
                state.pending.join(", ")
            ),
            "start the server of this version once: it migrates by itself",
        );
    }
    Verdict::ok(format!("{shown} is reachable and migrated"))
}

fn unreachable(shown: &str, error: &InspectError) -> Verdict {
    match error {
        InspectError::NoFile(path) => Verdict::warning(
            format!("there is no file {} yet", path.display()),
            "start the server once: it makes the file; or correct `database.url`",
        ),
        InspectError::File { path, source } => {
            let fix = "let the user that the server runs as own the file and its folder";
            files::unreadable(path, source).failure(path, fix)
        }
        InspectError::Silent(path) => files::silent(path),
        InspectError::NotADatabase(path) => Verdict::failure(
            format!("{} is no SQLite database, or is damaged", path.display()),
            "correct `database.url`, or restore the backup",
        ),
        InspectError::Damaged { path, damage } => Verdict::failure(
            format!("{} is damaged: {damage}", path.display()),
            "stop the server, and restore the backup (docs/backup.md)",
        ),
        InspectError::Unreachable(reason) => Verdict::failure(
            format!("{shown} cannot be reached: {reason}"),
            "start PostgreSQL, and correct host and port in `database.url`",
        ),
        InspectError::TimedOut => Verdict::failure(
            format!("{shown} does not answer"),
            "start PostgreSQL, correct its host in `database.url`, or open its port in the firewall \
             between",
        ),
        InspectError::Password(reason) => Verdict::failure(
            format!("{shown} refuses user or password: {reason}"),
            "correct user and password in `database.url` (or in the file of `database.url_file`); \
             the server's pg_hba.conf must let this machine in",
        ),
        InspectError::NoDatabase(reason) => Verdict::failure(
            format!("{shown}: {reason}"),
            "create the database (`createdb --owner USER NAME`), or correct its name in \
             `database.url`",
        ),
        InspectError::Tls(reason) => Verdict::failure(
            format!("{shown}: no TLS connection: {reason}"),
            "correct `sslmode` and `sslrootcert` in `database.url`",
        ),
        InspectError::Other(reason) => {
            Verdict::failure(format!("{shown}: {reason}"), "look into the database's log")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    fn of(found: &Result<SchemaState, InspectError>) -> Verdict {
        let url = "postgres://portcullis:secret@db.test/auth".parse().unwrap();
        let verdict = verdict(&url, found);
        assert!(!format!("{verdict:?}").contains("secret"));
        verdict
    }

    fn state(change: impl FnOnce(&mut SchemaState)) -> Verdict {
        let mut state = SchemaState::default();
        change(&mut state);
        of(&Ok(state))
    }

    #[test]
    fn the_schema_must_be_this_versions() {
        assert_eq!(
            state(|_| {}).message,
            "postgres://db.test/auth is reachable and migrated"
        );
        let pending = state(|state| state.pending.push("0002 audit".to_owned()));
        assert_eq!(pending.status, Status::Warning);
        assert!(pending.message.contains("not migrated: 0002 audit"));
        let newer = state(|state| state.unknown.push(7));
        assert!(newer.is_failure() && newer.message.contains("newer version (migration 0007)"));
        let changed = state(|state| state.changed.push("0001 accounts".to_owned()));
        assert!(changed.is_failure());
        let interrupted = state(|state| state.interrupted.push("0001 accounts".to_owned()));
        assert!(interrupted.message.contains("interrupted"));
    }

    #[test]
    fn what_keeps_one_out_is_told_apart() {
        let reason = || "reason".to_owned();
        for (error, words) in [
            (InspectError::Unreachable(reason()), "cannot be reached"),
            (InspectError::TimedOut, "does not answer"),
            (InspectError::Password(reason()), "refuses user or password"),
            (InspectError::NoDatabase(reason()), "reason"),
            (InspectError::Tls(reason()), "no TLS"),
            (InspectError::Other(reason()), "reason"),
            (
                InspectError::NotADatabase("/x".into()),
                "no SQLite database",
            ),
            (
                InspectError::Damaged {
                    path: "/x".into(),
                    damage: reason(),
                },
                "is damaged",
            ),
            (
                InspectError::File {
                    path: "/x".into(),
                    source: std::io::ErrorKind::PermissionDenied.into(),
                },
                "permission denied",
            ),
        ] {
            let verdict = of(&Err(error));
            assert!(
                verdict.is_failure() && verdict.message.contains(words),
                "{verdict:?}"
            );
        }
        assert_eq!(
            of(&Err(InspectError::NoFile("/x".into()))).status,
            Status::Warning
        );
    }
}
