//! [`Places`]: what there is at a path and above it, and what a user is there.
//!
//! All rules about who may do what where are about this: a role in a group is held in all below
//! it, the longest path of a project covers a repository, and everybody owns what is below their
//! name.

use chrono::{DateTime, Utc};
use database::{Database, Error, Tx};
use registry_token::RepositoryName;

use super::{Caller, GroupId, Project, Role, User, UserId, Visibility};
use crate::store;

/// A path that belongs to somebody, and what a certain user is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What tokens call it, in GitLab's field `root_namespace_id`.
    pub number: i64,
    pub path: RepositoryName,
    pub holder: Holder,
    /// The user's own membership here, expired or not.
    pub membership: Option<HeldRole>,
}

/// To whom a path belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    User(UserId),
    Group { id: GroupId, create_on_push: bool },
    Project(Project),
}

/// A role, and until when it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRole {
    pub role: Role,
    pub expires_at: Option<DateTime<Utc>>,
}

impl HeldRole {
    #[must_use]
    pub fn is_held(self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl Place {
    #[must_use]
    pub fn project(&self) -> Option<&Project> {
        match &self.holder {
            Holder::Project(project) => Some(project),
            Holder::User(_) | Holder::Group { .. } => None,
        }
    }

    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        match &self.holder {
            Holder::Group { id, .. } => Some(*id),
            Holder::User(_) | Holder::Project(_) => None,
        }
    }

    #[must_use]
    pub fn is_group(&self) -> bool {
        self.group().is_some()
    }
}

/// Whether `inner` is `outer`, or lies below it.
#[must_use]
pub fn is_at_or_below(inner: &RepositoryName, outer: &RepositoryName) -> bool {
    inner
        .as_str()
        .strip_prefix(outer.as_str())
        .is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// The path itself, and all above it, the shortest first.
pub fn at_and_above(path: &RepositoryName) -> impl Iterator<Item = &str> {
    let name = path.as_str();
    name.match_indices('/')
        .map(|(slash, _)| &name[..slash])
        .chain(std::iter::once(name))
}

/// What there is at some paths and above them, the shortest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

impl From<Vec<Place>> for Places {
    fn from(mut places: Vec<Place>) -> Self {
        places.sort_unstable_by_key(|place| place.path.as_str().len());
        Self(places)
    }
}

impl Places {
    /// With one statement, whatever the number of paths.
    pub(crate) async fn load(
        tx: &mut Tx,
        paths: impl IntoIterator<Item = &RepositoryName>,
        user: Option<UserId>,
    ) -> Result<Self, Error> {
        let mut listed: Vec<&str> = paths.into_iter().flat_map(at_and_above).collect();
        listed.sort_unstable();
        listed.dedup();
        if listed.is_empty() {
            return Ok(Self::default());
        }
        Ok(store::paths::at(tx, &listed, user).await?.into())
    }

    /// What is at the path or above it, the shortest first.
    pub fn above<'a>(&'a self, path: &'a RepositoryName) -> impl Iterator<Item = &'a Place> {
        self.0
            .iter()
            .filter(move |place| is_at_or_below(path, &place.path))
    }

    /// What is exactly there.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Place> {
        self.0.iter().find(|place| place.path.as_str() == path)
    }

    /// The project that a repository belongs to: of those that contain it, the one with the
    /// longest path.
    #[must_use]
    pub fn project_of<'a>(&'a self, repository: &'a RepositoryName) -> Option<&'a Project> {
        self.above(repository).filter_map(Place::project).last()
    }

    /// The group that is nearest, at the path itself or above it.
    #[must_use]
    pub fn group_of<'a>(&'a self, path: &'a RepositoryName) -> Option<&'a Place> {
        self.above(path).filter(|place| place.is_group()).last()
    }

    /// The greatest role that the user holds at `path`: by a membership there, or in a group
    /// above. What lies in a project within another is not the outer one's.
    #[must_use]
    pub fn role_at<'a>(
        &'a self,
        path: &'a RepositoryName,
        now: DateTime<Utc>,
    ) -> Option<(&'a Place, HeldRole)> {
        self.above(path)
            .filter(|place| place.is_group() || place.path == *path)
            .filter_map(|place| Some((place, place.membership?)))
            .filter(|(_, held)| held.is_held(now))
            // Of equal ones the last, which is the nearest.
            .max_by_key(|(_, held)| held.role)
    }
}

/// `alice/app` is alice's; the bare name `alice` is nobody's.
#[must_use]
pub fn is_own(user: &User, path: &RepositoryName) -> bool {
    path.as_str()
        .strip_prefix(user.username.as_str())
        .is_some_and(|below| below.starts_with('/'))
}

/// What somebody may do with a group or project, and with what lies below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The path itself, if there is something.
    pub place: Option<Place>,
    /// The greatest role there, whether inherited or not; administrators have every owner's. A
    /// path where nothing is has a role too: that in the nearest group above.
    pub role: Option<Role>,
    /// Whether they may know that it is there. Without that it must look like nothing.
    pub is_seen: bool,
}

/// What somebody may do with the group or project at a path: one statement, or two if it is only
/// seen because of a grant.
pub async fn standing(
    database: &Database,
    now: DateTime<Utc>,
    caller: Caller<'_>,
    path: &RepositoryName,
) -> Result<Standing, Error> {
    let mut tx = database.read().await?;
    let user = caller.user();
    let places = Places::load(&mut tx, [path], user.map(|user| user.id)).await?;
    let role = role(&places, now, caller, path);
    let place = places.at(path.as_str()).cloned();
    let mut is_seen = role.is_some();
    if let Some(Holder::Project(project)) = place.as_ref().map(|place| &place.holder)
        && !is_seen
    {
        is_seen = match (project.visibility, user) {
            (Visibility::Public | Visibility::Internal, _) => true,
            (Visibility::Private, Some(user)) => {
                store::grants::any_to_user(&mut tx, project.id, user.id, now).await?
            }
            (Visibility::Private, None) => false,
        };
    }
    Ok(Standing {
        is_seen: is_seen && place.is_some(),
        place,
        role,
    })
}

/// The greatest role of a caller at a path, as a change finds it.
pub(super) async fn role_of(
    tx: &mut Tx,
    now: DateTime<Utc>,
    caller: Caller<'_>,
    path: &RepositoryName,
) -> Result<Option<Role>, Error> {
    let places = Places::load(tx, [path], caller.user().map(|user| user.id)).await?;
    Ok(role(&places, now, caller, path))
}

/// The greatest role of a caller at a path, from places that were loaded for them.
pub(crate) fn role(
    places: &Places,
    now: DateTime<Utc>,
    caller: Caller<'_>,
    path: &RepositoryName,
) -> Option<Role> {
    match caller {
        Caller::Administrator => Some(Role::Owner),
        Caller::User(user) if is_own(user, path) => Some(Role::Owner),
        Caller::User(_) => places.role_at(path, now).map(|(_, held)| held.role),
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
