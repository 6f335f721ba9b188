//! Changes that failed: who tried, and why it came to nothing. What succeeds is recorded by the
//! domain, in the transaction of the change.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use percent_encoding::percent_decode_str;

use super::error::ApiError;
use crate::audit::{Action, Event, Subject};
use crate::context::Context;

/// Runs a handler that tries `action`, and records it if it fails. Who did not even log in is no
/// matter of this: that is a failed login.
pub async fn failures<B: MessageBody>(
    action: Action,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let response = next.call(request).await?;
    if !response.status().is_success()
        && let Some(context) = context_of(response.request())
    {
        let reason = response
            .response()
            .error()
            .and_then(|error| error.as_error::<ApiError>())
            .map_or_else(|| response.status().to_string(), ToString::to_string);
        let event = Event::failure(action, subject(action, response.request()), reason);
        if let Err(error) = record(&context, &event).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a failed change could not be recorded"
            );
        }
    }
    Ok(response)
}

fn context_of(request: &HttpRequest) -> Option<Context> {
    request.extensions().get::<Context>().cloned()
}

async fn record(context: &Context, event: &Event) -> Result<(), database::Error> {
    let mut tx = context.database.begin().await?;
    context.record(&mut tx, event).await?;
    tx.commit().await
}

/// What the path names, the innermost last; the kind is that of the action: `user.delete`.
fn subject(action: Action, request: &HttpRequest) -> Option<Subject> {
    const LENGTH: usize = 256;
    let (kind, _) = action.as_str().split_once('.')?;
    let names: Vec<String> = request
        .match_info()
        .iter()
        .map(|(_, value)| {
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            decoded
                .chars()
                .filter(|c| !c.is_control())
                .take(LENGTH)
                .collect()
        })
        .collect();
    (!names.is_empty()).then(|| Subject::new(kind, None, names.join(" ")))
}
