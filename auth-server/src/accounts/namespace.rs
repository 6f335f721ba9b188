//! How paths may be called, and where things may live.
//!
//! - A group lies in a group, or at the top, where administrators put it.
//! - A project lies somewhere below a group or a user, or at the top. Projects may lie in one
//!   another.
//! - All that is below a user's name is the user's.
//!
//! Paths never change, since images are stored under them. So groups nest by their paths, and
//! cannot go in circles.

use chrono::{DateTime, Utc};
use database::Tx;
use registry_token::{RepositoryName, RepositoryNameError};

use super::place::{self, Place, Places};
use super::{Caller, Role, username};
use crate::store;

/// Why a text cannot be the path of a group or project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error(transparent)]
    Grammar(#[from] RepositoryNameError),
    #[error("`{0}` is a reserved name, so no path begins with it")]
    Reserved(&'static str),
}

/// The path of a group or project to be.
pub fn parse_path(text: &str) -> Result<RepositoryName, InvalidPath> {
    let path = RepositoryName::parse(text)?;
    match username::reserved(path.namespace()) {
        Some(reserved) => Err(InvalidPath::Reserved(reserved)),
        None => Ok(path),
    }
}

/// Why nothing can be created at a path.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Told before anything about what there is at the path or above it.
    #[error(
        "you may not create `{path}`: groups are created by owners of the group above, projects by \
         its maintainers, and what is to lie at the top by administrators"
    )]
    Denied { path: RepositoryName },
    #[error("there is no group `{parent}` for `{path}` to lie in: create it first")]
    NoGroup {
        path: RepositoryName,
        parent: String,
    },
    #[error(
        "there is neither a group nor a user `{parent}` for `{path}` to lie in: create it first"
    )]
    NoNamespace {
        path: RepositoryName,
        parent: String,
    },
    #[error("the path `{0}` is taken")]
    Taken(RepositoryName),
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl NamespaceError {
    /// Somebody was faster between the look and the leap.
    pub(super) fn of_insertion(error: database::Error, path: &RepositoryName) -> Self {
        match error {
            database::Error::Conflict(_) => Self::Taken(path.clone()),
            error => error.into(),
        }
    }
}

/// Sees to it that the caller may create a group here, and that the group above stays until the
/// end of the transaction.
pub(super) async fn claim_for_group(
    tx: &mut Tx,
    now: DateTime<Utc>,
    caller: Caller<'_>,
    path: &RepositoryName,
) -> Result<(), NamespaceError> {
    let places = Places::load(tx, [path], caller.user().map(|user| user.id)).await?;
    let parent = path.as_str().rsplit_once('/').map(|(parent, _)| parent);
    let group = parent
        .and_then(|parent| places.at(parent))
        .filter(|place| place.is_group());
    if !caller.is_administrator() {
        let role = group.and_then(|group| place::role(&places, now, caller, &group.path));
        if role < Some(Role::Owner) {
            return Err(NamespaceError::Denied { path: path.clone() });
        }
    }
    if let Some(parent) = parent {
        hold(tx, group)
            .await?
            .ok_or_else(|| NamespaceError::NoGroup {
                path: path.clone(),
                parent: parent.to_owned(),
            })?;
    }
    refuse_taken(&places, path)
}

/// Sees to it that the caller may create a project here, and that what it lies in stays until the
/// end of the transaction.
pub(crate) async fn claim_for_project(
    tx: &mut Tx,
    now: DateTime<Utc>,
    caller: Caller<'_>,
    path: &RepositoryName,
) -> Result<(), NamespaceError> {
    let places = Places::load(tx, [path], caller.user().map(|user| user.id)).await?;
    let above = places.group_of(path).filter(|group| group.path != *path);
    if let Caller::User(user) = caller {
        let role = above.and_then(|group| places.role_at(&group.path, now));
        let may = role.is_some_and(|(_, held)| held.role >= Role::Maintainer);
        if !may && !place::is_own(user, path) {
            return Err(NamespaceError::Denied { path: path.clone() });
        }
    }
    let namespace = path.namespace();
    if namespace != path.as_str() {
        // What is at the top stays as long as something lies in it.
        let nearest = places.at(namespace).and_then(|_| {
            places
                .above(path)
                .filter(|place| place.path != *path)
                .last()
        });
        hold(tx, nearest)
            .await?
            .ok_or_else(|| NamespaceError::NoNamespace {
                path: path.clone(),
                parent: namespace.to_owned(),
            })?;
    }
    refuse_taken(&places, path)
}

/// The place, if it is still there; then it stays until the end of the transaction.
async fn hold<'a>(
    tx: &mut Tx,
    place: Option<&'a Place>,
) -> Result<Option<&'a Place>, database::Error> {
    match place {
        Some(place) if store::paths::hold(tx, place.number).await? => Ok(Some(place)),
        Some(_) | None => Ok(None),
    }
}

fn refuse_taken(places: &Places, path: &RepositoryName) -> Result<(), NamespaceError> {
    match places.at(path.as_str()) {
        Some(_) => Err(NamespaceError::Taken(path.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_cannot_be_are_refused_with_a_sentence() {
        let long = format!("team/{}", "a".repeat(251));
        for (path, words) in [
            ("", "empty"),
            ("Team", "lower-case"),
            ("team/../app", "separator"),
            ("..", "separator"),
            ("team//app", "empty component"),
            ("/team", "empty component"),
            ("team/", "empty component"),
            ("team app", "lower-case"),
            ("team\0", "lower-case"),
            // CYRILLIC SMALL LETTER A, FULLWIDTH LATIN SMALL LETTER A, ZERO WIDTH SPACE
            ("te\u{430}m", "lower-case"),
            ("\u{ff41}pp", "lower-case"),
            ("team\u{200b}", "lower-case"),
            (&long, "255 bytes"),
            ("v2", "reserved"),
            ("library/app", "reserved"),
            ("api/v1", "reserved"),
        ] {
            let message = parse_path(path).unwrap_err().to_string();
            assert!(message.contains(words), "{path:?}: {message}");
        }
    }

    #[test]
    fn only_the_first_component_is_reserved() {
        for path in ["team/api", "team/v2/token", "v22", "apis"] {
            assert!(parse_path(path).is_ok(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_a_plain_name(text in "\\PC{0,300}|[a-z0-9._/-]{0,20}") {
            if let Ok(path) = parse_path(&text) {
                prop_assert!(text.is_ascii() && text.len() <= 255);
                prop_assert!(path.components().all(|part| !part.is_empty() && part != ".."));
            }
        }
    }
}
