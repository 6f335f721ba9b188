//! Projects that come into being with a push: below one's own name, and in groups that want it.

use std::collections::BTreeSet;

use registry_token::{Action, Actions, RepositoryName, Resource, Scope};

use super::{Snapshot, Subject};
use crate::accounts::namespace::{self, NamespaceError};
use crate::accounts::place::{Holder, Place, is_at_or_below, is_own};
use crate::accounts::project::{self, NewProject};
use crate::accounts::{Caller, ProjectError, Role, Visibility};
use crate::audit::Origin;
use crate::context::Context;

/// Why, in the audit log.
const REASON: &str = "the first push to a path that no project covered";

impl Snapshot {
    /// The project that a push to this repository makes, if it makes one: right below the nearest
    /// group or the user's own name.
    #[must_use]
    pub fn project_to_create(&self, repository: &RepositoryName) -> Option<RepositoryName> {
        if !self.subject.limit().contains(Action::Push)
            || self.places.project_of(repository).is_some()
        {
            return None;
        }
        let own = self
            .subject
            .user()
            .is_some_and(|user| is_own(user, repository));
        let namespace = if own {
            self.places.at(repository.namespace())?
        } else {
            self.places
                .group_of(repository)
                .filter(|group| self.may_push_into(group, repository))?
        };
        first_below(&namespace.path, repository)
    }

    /// What the subject may do in a project that its push makes.
    #[must_use]
    pub(super) fn actions_in_new(&self, project: &RepositoryName) -> Actions {
        let permitted = match &self.subject {
            Subject::Anonymous => Actions::NONE,
            Subject::User(user) | Subject::PersonalToken { user, .. } if user.is_admin => {
                Actions::ALL
            }
            Subject::User(user) | Subject::PersonalToken { user, .. } if is_own(user, project) => {
                Role::Owner.actions()
            }
            Subject::User(_) | Subject::PersonalToken { .. } => self
                .places
                .role_at(project, self.now)
                .map_or(Actions::NONE, |(_, held)| held.role.actions()),
            Subject::Token(token) => token.actions,
        };
        permitted.intersection(self.subject.limit())
    }

    fn may_push_into(&self, group: &Place, repository: &RepositoryName) -> bool {
        let wanted = matches!(group.holder, Holder::Group { create_on_push, .. } if create_on_push);
        wanted
            && match &self.subject {
                Subject::Anonymous => false,
                Subject::User(user) | Subject::PersonalToken { user, .. } => {
                    let role = self.places.role_at(&group.path, self.now);
                    user.is_admin || role.is_some_and(|(_, held)| held.role >= Role::Developer)
                }
                Subject::Token(token) => {
                    token.of_group
                        && is_at_or_below(&group.path, &token.path)
                        && token.actions.contains(Action::Push)
                        && token
                            .pattern
                            .as_ref()
                            .is_none_or(|pattern| pattern.matches(repository))
                }
            }
    }
}

/// The path with one component more than `namespace` on the way to the repository; `None` for
/// the namespace itself.
pub(super) fn first_below(
    namespace: &RepositoryName,
    repository: &RepositoryName,
) -> Option<RepositoryName> {
    let below = repository
        .as_str()
        .strip_prefix(namespace.as_str())?
        .strip_prefix('/')?;
    let component = below.split('/').next()?;
    RepositoryName::parse(&format!("{namespace}/{component}")).ok()
}

/// Creates what the pushes among these scopes are to make. Whether there is something new.
///
/// A database that cannot be written to keeps nobody from pushing below their own name, which
/// takes no project.
pub(super) async fn create(context: &Context, snapshot: &Snapshot, scopes: &[Scope]) -> bool {
    let wanted: BTreeSet<RepositoryName> = scopes
        .iter()
        .filter(|scope| scope.actions.contains(Action::Push))
        .filter_map(|scope| match &scope.resource {
            Resource::Repository(name) => snapshot.project_to_create(name),
            Resource::RegistryCatalog | Resource::Other { .. } => None,
        })
        .collect();
    let mut created = false;
    for path in wanted {
        match create_one(context, &snapshot.subject, path.clone()).await {
            // Or somebody was faster, or the group has gone.
            Ok(())
            | Err(ProjectError::Namespace(
                NamespaceError::Taken(_) | NamespaceError::NoNamespace { .. },
            )) => created = true,
            Err(error) => tracing::warn!(
                project = %path,
                error = &error as &dyn std::error::Error,
                "a push could not make its project"
            ),
        }
    }
    created
}

async fn create_one(
    context: &Context,
    subject: &Subject,
    path: RepositoryName,
) -> Result<(), ProjectError> {
    let context = Context {
        origin: Origin {
            actor: subject.actor(),
            ..context.origin.clone()
        },
        ..context.clone()
    };
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    // That the subject may has been decided; what remains is that nobody else has done it.
    namespace::claim_for_project(&mut tx, now, Caller::Administrator, &path).await?;
    let new = NewProject {
        path,
        owner: None,
        visibility: Visibility::Private,
    };
    project::insert(&mut tx, &context, new, Some(REASON)).await?;
    tx.commit().await?;
    Ok(())
}
