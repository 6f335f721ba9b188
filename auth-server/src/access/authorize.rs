//! What a token request gets.

use registry_token::{Access, Denials, Resource, Scope};

use super::{Snapshot, Subject, creation};
use crate::context::Context;

/// What a token is to say.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Authorization {
    /// Never more than was asked for.
    pub access: Access,
    /// Why it is less, for the subject to read.
    pub denials: Denials,
}

/// Decides about all scopes, and creates the projects that come into being with a push.
pub async fn authorize(
    context: &Context,
    subject: &Subject,
    scopes: &[Scope],
) -> Result<Authorization, database::Error> {
    let (database, now) = (&context.database, context.clock.now());
    let mut snapshot = Snapshot::load(database, now, subject.clone(), scopes).await?;
    if creation::create(context, &snapshot, scopes).await {
        snapshot = Snapshot::load(database, now, subject.clone(), scopes).await?;
    }
    let mut denials = Denials::default();
    for scope in scopes {
        if let Resource::Repository(name) = &scope.resource
            && let Some(sentence) = snapshot.denial(&snapshot.decide(scope))
        {
            denials.add(name.clone(), sentence);
        }
    }
    Ok(Authorization {
        access: snapshot.grant(scopes),
        denials,
    })
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
