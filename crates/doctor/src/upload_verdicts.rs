//! Verdicts on a push that was tried out.

use std::time::Duration;

use crate::challenge::Asked;
use crate::http::{Answer, Trouble};
use crate::realm::said;
use crate::report::Verdict;
use crate::upload::{SENT, SIZE};

const MIB: u64 = 1024 * 1024;

const LIMIT: &str = "lift the proxy's limit for bodies below /v2/ (nginx: `client_max_body_size 0`, \
     Apache: `LimitRequestBody 0`, and `SecRequestBodyLimit` of mod_security)";

const TIMEOUTS: &str = "raise the proxy's timeouts (nginx: `client_body_timeout 300s`, \
     `proxy_read_timeout 900s`; Apache: `RequestReadTimeout body=0`, `Timeout 300`, \
     `ProxyTimeout 900`)";

const DROPPED: &str = "the registry drops it by itself after a while \
     (`storage.maintenance.uploadpurging`)";

/// What came of sending a layer.
#[derive(Clone, Debug)]
pub struct Sent {
    pub answer: Result<Answer, Trouble>,
    /// How much had been sent by then.
    pub bytes: u64,
    pub took: Duration,
}

/// The answer to an opened upload.
pub fn opened(answer: &Result<Answer, Trouble>, repository: &str) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(trouble) => {
            return Verdict::failure(
                format!("no upload can be opened: {trouble}"),
                "look into the logs of the proxy and of the registry at this moment",
            );
        }
    };
    let status = answer.status;
    match status {
        202 => Verdict::ok(format!("an upload is open in {repository}")),
        401 | 403 if answer.error_code().is_some() => {
            let stripped = matches!(
                Asked::by(answer),
                Asked::Bearer(challenge) if challenge.error.is_none()
            );
            if stripped {
                return Verdict::failure(
                    "the token arrives for GET, and not for POST",
                    "let the proxy pass `Authorization` on for all methods",
                );
            }
            Verdict::failure(
                format!("this user may not push to {repository}: {}", said(answer)),
                "name a repository that the user may push to with --repository",
            )
        }
        403 => Verdict::failure(
            "the proxy forbids POST (403)",
            "allow POST, PUT, PATCH and DELETE below /v2/ in the proxy",
        ),
        405 if answer.error_code().is_some() => Verdict::failure(
            format!("the registry is read-only: {}", said(answer)),
            "set `storage.maintenance.readonly.enabled` of the registry to false, or see that its \
             storage and its database can be written: run doctor with --registry-config on its host",
        ),
        405 => Verdict::failure(
            "the proxy refuses POST (405)",
            "allow POST, PUT, PATCH and DELETE below /v2/ in the proxy",
        ),
        500 | 503 | 507 => Verdict::failure(
            format!(
                "the registry cannot take an upload ({status}): {}",
                said(answer)
            ),
            "see that its storage is writable and has space, and that its database is there: run \
             doctor with --registry-config on its host",
        ),
        _ => Verdict::failure(
            format!("POST of an upload was answered {status}: {}", said(answer)),
            "look into the registry's log",
        ),
    }
}

/// Whether a body of the size of a layer gets through.
pub fn size(sent: &Sent) -> Verdict {
    let mebibytes = sent.bytes / MIB;
    let answer = match &sent.answer {
        Ok(answer) => answer,
        Err(Trouble::TimedOut) => {
            return Verdict::failure(
                format!("no answer in time to a layer of {} MiB", SIZE / MIB),
                format!("{TIMEOUTS}, or see what holds the registry up"),
            );
        }
        Err(Trouble::Failed(reason)) => {
            return Verdict::failure(
                format!(
                    "the connection was cut while a layer was sent, after about {mebibytes} MiB: {reason}"
                ),
                format!("{LIMIT}, and look into its error log"),
            );
        }
    };
    let status = answer.status;
    match status {
        200..=299 => {
            let rate = rate(sent);
            Verdict::ok(format!("{} MiB got through{rate}", SIZE / MIB))
        }
        413 => {
            let who = answer.proxy().unwrap_or("something between");
            Verdict::failure(
                format!("{who} refuses bodies of {} MiB (413)", SIZE / MIB),
                LIMIT,
            )
        }
        411 => Verdict::failure(
            "something between refuses bodies whose length is not known in advance (411), which is \
             how docker pushes",
            "let the proxy take `Transfer-Encoding: chunked`: no rule that demands a \
             `Content-Length`, and HTTP/1.1 to the registry (nginx: `proxy_http_version 1.1`)",
        ),
        408 => Verdict::failure(
            format!(
                "{} gave up waiting for the rest of a layer (408)",
                who(answer)
            ),
            TIMEOUTS,
        ),
        504 => Verdict::failure(
            format!(
                "{} gave up waiting for the registry while a layer was sent (504)",
                who(answer)
            ),
            format!("see what holds the registry up; if it is only slow, {TIMEOUTS}"),
        ),
        502 => Verdict::failure(
            format!(
                "{} lost the registry while a layer was sent (502)",
                who(answer)
            ),
            format!(
                "look into the registry's log: it may have been ended, for want of memory for \
                 example; if it is only slow, {TIMEOUTS}"
            ),
        ),
        507 | 500 | 503 => not_stored(answer),
        405 if answer.error_code().is_some() => not_stored(answer),
        _ => Verdict::failure(
            format!("a layer was answered {status}: {}", said(answer)),
            "look into the logs of the proxy and of the registry",
        ),
    }
}

fn not_stored(answer: &Answer) -> Verdict {
    Verdict::failure(
        format!(
            "the registry could not store a layer ({}): {}",
            answer.status,
            said(answer)
        ),
        "see that its storage is writable and has space: run doctor with --registry-config on \
         its host",
    )
}

fn who(answer: &Answer) -> &'static str {
    answer.proxy().unwrap_or("the proxy")
}

fn rate(sent: &Sent) -> String {
    let milliseconds = sent.took.as_millis();
    if milliseconds == 0 {
        return String::new();
    }
    let per_second = u128::from(sent.bytes / MIB) * 1000 / milliseconds;
    format!(", {per_second} MiB a second")
}

/// The end of `Range: 0-41`.
fn offset(answer: &Answer) -> Option<u64> {
    let range = answer.header("range")?;
    let range = range.trim().trim_start_matches("bytes=");
    range.strip_prefix("0-")?.parse().ok()
}

/// Whether the registry says how much it has, after all was sent.
pub fn progress(status: &Result<Answer, Trouble>) -> Verdict {
    let cannot = "an upload that breaks off cannot be gone on with";
    match status {
        Err(trouble) => Verdict::failure(
            format!("{cannot}: {trouble}"),
            "look into the logs of the proxy and of the registry at this moment",
        ),
        Ok(answer) if answer.status != 204 => Verdict::failure(
            format!(
                "{cannot}: its status was answered {}: {}",
                answer.status,
                said(answer)
            ),
            "with several replicas, let them share database and storage, or let the proxy keep a \
             client on one; else look into the registry's log",
        ),
        Ok(answer) => match offset(answer) {
            Some(end) if end + 1 == SENT => Verdict::ok("the registry knows how much it has"),
            Some(end) => Verdict::failure(
                format!("{SENT} bytes were sent, and the registry has {}", end + 1),
                "see whether something between changes bodies, or replicas do not share their state",
            ),
            None => Verdict::failure(
                format!("{cannot}: the answer has no `Range` header"),
                "let the proxy pass `Range` of answers on as the registry sends it",
            ),
        },
    }
}

/// The answer to more bytes, behind those that are there.
pub fn resumed(more: &Result<Answer, Trouble>) -> Verdict {
    match more {
        Ok(answer) if answer.status == 202 => {
            Verdict::ok("an upload that breaks off can be gone on with")
        }
        Ok(answer) => Verdict::failure(
            format!(
                "more bytes behind those that are there were answered {}: {}",
                answer.status,
                said(answer)
            ),
            "let the proxy pass `Content-Range` on, and look into the registry's log",
        ),
        Err(trouble) => Verdict::failure(
            format!("more bytes behind those that are there: {trouble}"),
            "look into the logs of the proxy and of the registry at this moment",
        ),
    }
}

/// What was seen while a layer was under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// The registry had some of it, or was busy with it.
    Arrived(Duration),
    /// Nothing could be seen of it for this long.
    HeldBack(Duration),
    /// Somebody answered before it was complete, or cut the connection.
    AnsweredEarly {
        answer: Result<u16, Trouble>,
        after: Duration,
    },
}

/// Whether the status of an upload that is being sent shows that its registry knows. Ours says that
/// it is busy; distribution stumbles over bytes that are on the disk and in no answer yet.
pub fn has_arrived(status: &Result<Answer, Trouble>) -> bool {
    status.as_ref().is_ok_and(|answer| match answer.status {
        204 => offset(answer).is_some_and(|end| end > 0),
        400 | 404 | 409 | 416 => true,
        _ => false,
    })
}

pub fn streaming(seen: &Streaming) -> Verdict {
    match seen {
        Streaming::Arrived(after) => Verdict::ok(format!(
            "bytes reach the registry while they are sent (seen after {:.1} s)",
            after.as_secs_f32()
        )),
        Streaming::HeldBack(waited) => Verdict::warning(
            format!(
                "the proxy holds uploads back until they are complete: of a first part, nothing had \
                 arrived after {:.1} s. Large layers fill its disk and run into timeouts",
                waited.as_secs_f32()
            ),
            "let it pass bodies on as they come (nginx: `proxy_request_buffering off` and \
             `proxy_http_version 1.1`, Apache: no `proxy-sendcl`)",
        ),
        Streaming::AnsweredEarly { answer, after } => gave_up(answer, *after),
    }
}

/// A body that pauses is one that its sender is slow with: no reason to end it.
fn gave_up(answer: &Result<u16, Trouble>, after: Duration) -> Verdict {
    let after = after.as_secs_f32();
    match answer {
        Ok(408 | 502 | 504) | Err(Trouble::Failed(_)) => {
            let how = match answer {
                Ok(status) => format!("({status})"),
                Err(trouble) => format!("({trouble})"),
            };
            Verdict::failure(
                format!(
                    "the proxy gave up an upload that paused, {after:.1} s after it began {how}"
                ),
                TIMEOUTS,
            )
        }
        Ok(status) => Verdict::skipped(format!(
            "an upload was answered {status} before it was sent"
        )),
        Err(trouble) => Verdict::skipped(trouble),
    }
}

/// Whether there is no use in asking again.
pub fn is_out_of_reach(answer: &Result<Answer, Trouble>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| matches!(answer.status, 502..=504))
}

/// Whether anything is left.
pub fn cancelled(deleted: &Result<Answer, Trouble>, after: &Result<Answer, Trouble>) -> Verdict {
    match (deleted, after) {
        (_, Ok(after)) if matches!(after.status, 404 | 400) => {
            Verdict::ok("the upload is cancelled, and nothing is left of it")
        }
        (Ok(deleted), _) if deleted.status == 204 => Verdict::ok("the upload is cancelled"),
        (Ok(answer), _) => {
            let allow = if is_out_of_reach(deleted) {
                ""
            } else {
                "allow DELETE in the proxy; "
            };
            Verdict::warning(
                format!(
                    "the upload could not be cancelled ({}): {}",
                    answer.status,
                    said(answer)
                ),
                format!("{allow}{DROPPED}"),
            )
        }
        (Err(trouble), _) => Verdict::warning(
            format!("the upload could not be cancelled: {trouble}"),
            DROPPED,
        ),
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
