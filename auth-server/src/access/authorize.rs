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
    /// The scopes of which nothing was granted, and why, as the audit log has it. Of who has not
    /// logged in there are none: their client is about to ask them to.
    pub refused: Vec<Refused>,
}

/// A scope of which nothing was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub scope: Scope,
    pub reason: String,
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
    let mut refused = Vec::new();
    for scope in scopes {
        let decision = snapshot.decide(scope);
        let denial = snapshot.denial(&decision);
        if decision.granted.is_empty()
            && !scope.actions.is_empty()
            && *subject != Subject::Anonymous
        {
            let reason = denial.clone();
            refused.push(Refused {
                scope: scope.clone(),
                reason: reason.unwrap_or_else(|| "nothing of it is allowed".to_owned()),
            });
        }
        if let (Resource::Repository(name), Some(sentence)) = (&scope.resource, denial) {
            denials.add(name.clone(), sentence);
        }
    }
    Ok(Authorization {
        access: snapshot.grant(scopes),
        denials,
        refused,
    })
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
